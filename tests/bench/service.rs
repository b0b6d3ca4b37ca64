//! The real binary as a service of its own. What it says of its memory comes from `/proc`, on Linux only.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A service that runs until it is dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts it on a free port.
    pub(crate) fn start(data: &Folder, upstream: SocketAddr, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_telewire"))
            .args(["--listen", "127.0.0.1:0", "--upstream", &format!("http://{upstream}")])
            .args(["--fresh-min", "1h", "--log", "telewire::cli=info", "--log-format", "text"])
            .args(flags)
            .arg("--data-dir")
            .arg(data.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("its log")).read_line(&mut line).expect("its first line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
        Self { child, address: address.expect("an address in its first line") }
    }

    /// A line of its status in kilobytes: `VmRSS:` is what is resident now, `VmHWM:` what was at most.
    pub(crate) fn kilobytes(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let found = status.lines().find_map(|found| found.strip_prefix(line)).expect("the line");
        found.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().expect("a service that can be ended");
        self.child.wait().expect("its end");
    }
}

/// A data folder for this run of a benchmark, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A folder that has the benchmark's name.
    pub(crate) fn new(benchmark: &str) -> Self {
        Self(std::env::temp_dir().join(format!("telewire-bench-{benchmark}-{}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A benchmark that failed may not have come as far as to use it.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
