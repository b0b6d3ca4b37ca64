//! A temporary PostgreSQL cluster on a free port of 127.0.0.1, from the system's package.
//!
//! PostgreSQL refuses to run as root, so for root it is started as the package's user `postgres`. A shell is its parent
//! process, and stops it when the test program ends, even by a crash.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::skip_without;
use super::wait::WAIT_TIMEOUT;

/// A running cluster.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// The shell's standard input. The shell stops PostgreSQL when it is closed.
    alive: ChildStdin,
    shell: Child,
}

impl Postgres {
    /// Returns the cluster shared by the tests that do not stop it. `None`, with a note, if PostgreSQL is not installed.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Starts a cluster for one test.
    pub(crate) fn start() -> Option<Self> {
        static SAID: OnceLock<()> = OnceLock::new();
        static N: AtomicU32 = AtomicU32::new(0);
        let Some(programs) = programs() else {
            SAID.get_or_init(|| skip_without("PostgreSQL", "tests with PostgreSQL"));
            return None;
        };
        let n = N.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("telewire-postgres-{}-{n}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let cluster = folder.join("cluster");
        let mut initdb = as_postgres(&programs.join("initdb"));
        run(initdb.args(["-A", "trust", "-U", "telewire", "-N", "--locale=C.UTF-8", "-D"]).arg(&cluster));
        // Another process could take this port before PostgreSQL does, which is unlikely.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (shell, alive) = launch(&programs, &folder, port);
        let postgres = Self { programs, folder, port, alive, shell };
        postgres.wait();
        Some(postgres)
    }

    /// Creates an empty database and returns its URL.
    pub(crate) fn database(&self) -> String {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("telewire_{}", N.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        let mut createdb = Command::new(self.programs.join("createdb"));
        run(createdb.args(["-h", "127.0.0.1", "-U", "telewire", "-p", &port, &name]));
        format!("postgres://telewire@127.0.0.1:{port}/{name}")
    }

    /// Suspends all its processes (SIGSTOP), so that connections hang instead of failing.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Resumes the processes after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// Kills all its processes (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        self.shell.wait().unwrap();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    pub(crate) fn restart(&mut self) {
        (self.shell, self.alive) = launch(&self.programs, &self.folder, self.port);
        self.wait();
    }

    fn signal(&self, signal: &str) {
        let mut ids = descendants(self.shell.id());
        // The shell must keep waiting for PostgreSQL.
        ids.retain(|id| *id != self.shell.id());
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        // `kill` fails for processes that have ended in the meantime, which does not matter.
        Command::new("kill").arg(signal).args(ids).stderr(Stdio::null()).status().unwrap();
    }

    /// Waits until the cluster accepts connections.
    fn wait(&self) {
        let until = Instant::now() + WAIT_TIMEOUT;
        let port = self.port.to_string();
        while Instant::now() < until {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-U", "telewire", "-d", "postgres", "-p", &port]);
            if ready.status().unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start in time: {log}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal("-KILL");
        drop(self.shell.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn launch(programs: &Path, folder: &Path, port: u16) -> (Child, ChildStdin) {
    // `cat` ends with the test program; then PostgreSQL is stopped and its directory removed.
    let script = "exec 3<&0; \"$@\" </dev/null >>\"$FOLDER/log\" 2>&1 & server=$!; \
                  (cat <&3 >/dev/null; kill -INT $server; sleep 5; rm -rf \"$FOLDER\") 2>/dev/null & wait $server";
    let mut shell = as_postgres(Path::new("sh"));
    let options =
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=80"];
    shell.args(["-c", script, "sh"]).arg(programs.join("postgres")).arg("-D").arg(folder.join("cluster"));
    shell.args(["-p", &port.to_string()]).args(options.iter().flat_map(|option| ["-c", option]));
    shell.env("FOLDER", folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = shell.current_dir("/").spawn().unwrap();
    let alive = shell.stdin.take().unwrap();
    (shell, alive)
}

/// Returns the directory of PostgreSQL's programs: the newest version of the Debian package, else from `PATH`.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(io::Result::ok);
    let newest =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    let path = std::env::split_paths(&path_variable()).find(|folder| folder.join("initdb").exists());
    newest.or(path)
}

#[expect(clippy::disallowed_methods, reason = "the path of the system's programs")]
fn path_variable() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn as_postgres(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Returns the ids of a process and its descendants.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name of the process is in parentheses and may contain any character.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut n_seen = 0;
    while n_seen < found.len() {
        let parent = found[n_seen];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        n_seen += 1;
    }
    found
}
