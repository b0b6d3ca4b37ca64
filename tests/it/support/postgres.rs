//! A PostgreSQL of the tests' own: a temporary cluster from the system's package, on a free port of 127.0.0.1.
//!
//! PostgreSQL does not run as root, so there it runs as the user `postgres`, which the package has made. A shell stands
//! between it and the test program, and ends it when that ends, in whichever way.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::print_note;
use super::wait::WAIT_TIMEOUT;

pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Its end is the shell's sign to end PostgreSQL.
    alive: ChildStdin,
    shell: Child,
}

impl Postgres {
    /// The one that tests share which do not harm it; `None`, and a line about that, where there is no package.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// One of a test's own.
    pub(crate) fn start() -> Option<Self> {
        static SAID: OnceLock<()> = OnceLock::new();
        static N: AtomicU32 = AtomicU32::new(0);
        let Some(programs) = programs() else {
            SAID.get_or_init(|| {
                print_note("PostgreSQL is not installed: the archive is tested on SQLite alone")
            });
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
        // The port is free at this moment, and soon after.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (shell, alive) = launch(&programs, &folder, port);
        let postgres = Self { programs, folder, port, alive, shell };
        postgres.wait();
        Some(postgres)
    }

    /// A new empty database.
    pub(crate) fn database(&self) -> String {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("telewire_{}", N.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        let mut createdb = Command::new(self.programs.join("createdb"));
        run(createdb.args(["-h", "127.0.0.1", "-U", "telewire", "-p", &port, &name]));
        format!("postgres://telewire@127.0.0.1:{port}/{name}")
    }

    /// Stops every process of it, as if the machine had lost its power for thinking.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// Kills it as it is.
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
        // The shell only waits.
        ids.retain(|id| *id != self.shell.id());
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        // Those that have ended in between are no matter.
        Command::new("kill").arg(signal).args(ids).stderr(Stdio::null()).status().unwrap();
    }

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
        panic!("PostgreSQL does not start: {log}");
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
    // `read` ends with the test program, which leaves nothing behind then.
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

/// Where the package has its programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(io::Result::ok);
    let newest =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    let path = std::env::split_paths(&path_variable()).find(|folder| folder.join("initdb").exists());
    newest.or(path)
}

#[expect(clippy::disallowed_methods, reason = "where the system's programs are")]
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

/// A process and all that it has started.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name may hold anything, up to the last bracket.
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
