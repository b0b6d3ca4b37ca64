//! Runs the real binary as a child process, and reads its memory from `/proc` (Linux only).

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running service; killed when dropped.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts the service on a free port and waits until it listens.
    pub(crate) fn start(data: &Folder, upstream: SocketAddr, flags: &[&str]) -> Self {
        // By default nothing is fetched again during a benchmark.
        let fresh: &[&str] = if flags.contains(&"--fresh-min") { &[] } else { &["--fresh-min", "1h"] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_telewire"))
            .args(["--listen", "127.0.0.1:0", "--upstream", &format!("http://{upstream}")])
            .args(["--log", "telewire::cli=info", "--log-format", "text"])
            .args(fresh)
            .args(flags)
            .arg("--data-dir")
            .arg(data.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("a log")).read_line(&mut line).expect("a first log line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
        Self { child, address: address.expect("an address in the first log line") }
    }

    /// Returns a memory value from `/proc` in KiB: `VmRSS:` is the current resident set, `VmHWM:` its peak.
    pub(crate) fn kilobytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
        value.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().expect("a running service");
        self.child.wait().expect("an exit status");
    }
}

/// The path of a temporary data directory, which is removed on drop.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Returns a path that contains the benchmark's name; the service creates the directory.
    pub(crate) fn new(benchmark: &str) -> Self {
        Self(std::env::temp_dir().join(format!("telewire-bench-{benchmark}-{}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The directory may not exist if the benchmark has failed early.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
