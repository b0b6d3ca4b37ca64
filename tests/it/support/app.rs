//! The program under test: the real binary, as a service or as a command.
//!
//! It runs with an empty environment, so that variables of this machine cannot change a test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use super::fake_telegram::FakeTelegram;
use super::http::{self, Response};
use super::wait::{Monitor, wait_until};

/// A service that runs until it is dropped.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    child: Child,
    log: Arc<Monitor<Vec<String>>>,
    /// Collects the log until the program ends.
    log_reader: Option<JoinHandle<()>>,
    /// The working directory, with the data directory in it.
    pub(crate) folder: PathBuf,
    /// Values that must not appear in the log.
    secrets: Vec<String>,
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_telewire");

/// Flags whose values are secrets.
const SECRETS: [&str; 3] = ["--token", "--admin-token", "--media-key"];

impl App {
    /// Starts the service on a free port in a new directory, and waits until it listens.
    pub(crate) fn start(upstream: &str, flags: &[&str]) -> Self {
        Self::start_in(new_folder(), upstream, flags)
    }

    /// Starts the service in an existing directory, such as that of a stopped one.
    pub(crate) fn start_in(folder: PathBuf, upstream: &str, flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", folder, upstream, flags)
    }

    /// Starts the service on a given address.
    pub(crate) fn start_at(listen: &str, folder: PathBuf, upstream: &str, flags: &[&str]) -> Self {
        let mut app = Self::launch(listen, folder, upstream, flags);
        app.address = app.wait_for_listener("");
        app
    }

    /// Starts the service with a limit of open files.
    pub(crate) fn start_with_open_files(n_files: u32, upstream: &str, flags: &[&str]) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={n_files}")).arg(PROGRAM).env_clear();
        let mut app = Self::spawn(command, "127.0.0.1:0", new_folder(), upstream, flags);
        app.address = app.wait_for_listener("");
        app
    }

    /// Starts the service without waiting until it listens.
    pub(crate) fn launch(listen: &str, folder: PathBuf, upstream: &str, flags: &[&str]) -> Self {
        Self::spawn(telewire(), listen, folder, upstream, flags)
    }

    fn spawn(mut command: Command, listen: &str, folder: PathBuf, upstream: &str, flags: &[&str]) -> Self {
        if !flags.contains(&"--telegraph") {
            // Nothing listens there.
            command.env("TELEWIRE_TELEGRAPH", "http://127.0.0.1:9");
        }
        let mut child = command
            .args(["serve", "--listen", listen, "--upstream", upstream])
            .env("TELEWIRE_LOG_FORMAT", "text")
            .args(flags)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::default();
        let log_reader = Some(collect_log(child.stderr.take().unwrap(), &log));
        let secrets = flags.windows(2).filter(|pair| SECRETS.contains(&pair[0]));
        let secrets = secrets.flat_map(|pair| pair[1].split(',')).map(str::to_owned).collect();
        Self { address: ([127, 0, 0, 1], 0).into(), child, log, log_reader, folder, secrets }
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        http::ask(self.address, method, target, headers)
    }

    /// Sends a GET request without headers and waits for the answer.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[])
    }

    /// Makes a service without fresh feeds (`--fresh-max 0s`) fetch the current state of a channel.
    pub(crate) fn refresh(&self, fake: &FakeTelegram, channel: &str) {
        let page = format!("/s/{channel}");
        let before = fake.count(&page);
        // The first fetch may have begun before this call. The third one begins after the second was merged.
        wait_until("the channel is fetched three times", || {
            assert_eq!(self.get(&format!("/{channel}/rss")).status, 200);
            fake.count(&page) >= before + 3
        });
    }

    /// Waits until the service logs that it listens, and returns the socket address in the line's `url` field. `path` is
    /// the path of the URL, which tells the metrics listener from the other one.
    pub(crate) fn wait_for_listener(&self, path: &str) -> SocketAddr {
        let find = |log: &Vec<String>| log.iter().find_map(|line| listener_in(line, path));
        let is_logged = self.log.wait_for(|log| find(log).is_some());
        assert!(is_logged, "no listener in the log: {:#?}", self.log.read(Vec::clone));
        self.log.read(find).unwrap()
    }

    /// Returns the log lines so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.read(Vec::clone)
    }

    /// Returns the value of a metric, given with its labels; 0 if it does not exist.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/-/metrics");
        let find = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        answer.text().lines().find_map(find).unwrap_or(0.0)
    }

    /// Waits until a metric has a value.
    pub(crate) fn wait_for_metric(&self, name: &str, value: f64) {
        wait_until(&format!("{name} is {value}"), || self.metric(name).total_cmp(&value).is_eq());
    }

    /// Returns the peak resident memory in bytes. `None` without `/proc`.
    pub(crate) fn peak_memory(&self) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
    }

    /// Kills the program and returns its directory for the next one.
    pub(crate) fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.folder)
    }

    /// Stops the program with SIGTERM and returns its directory for the next one.
    pub(crate) fn stop(mut self) -> PathBuf {
        self.terminate();
        assert_eq!(self.exit_code(), Some(0));
        std::mem::take(&mut self.folder)
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Returns whether the program has exited.
    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the program to exit and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // The test is over, so failures to clean up do not matter.
        drop(self.child.kill());
        drop(self.child.wait());
        if !thread::panicking() {
            self.log_reader.take().unwrap().join().unwrap();
            self.log.read(|log| {
                let leaks = |line: &&String| self.secrets.iter().any(|secret| line.contains(secret));
                assert_eq!(log.iter().find(leaks), None, "the log contains a secret");
            });
        }
        if self.folder != Path::new("") {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// Creates a directory for one test.
pub(crate) fn new_folder() -> PathBuf {
    static N: AtomicU32 = AtomicU32::new(0);
    let n = N.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("app-{}-{n}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns the socket address in the `url` field of a log line, as text or JSON, if the URL has this path.
fn listener_in(line: &str, path: &str) -> Option<SocketAddr> {
    let url = ["url=\"http://", "\"url\":\"http://"].iter().find_map(|field| line.split_once(field))?.1;
    let (address, rest) = url.split_at(url.find(['/', '"'])?);
    (rest.split('"').next() == Some(path)).then(|| address.parse().ok())?
}

/// Starts a thread that adds each line of standard error to the log.
fn collect_log(stderr: ChildStderr, log: &Arc<Monitor<Vec<String>>>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            log.update(|lines| lines.push(line));
        }
    })
}

/// The exit code and output of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command in `tests/pages`.
pub(crate) fn run(args: &[&str]) -> Output {
    run_with(args, &[], Stdio::piped())
}

/// Runs a command in a directory.
pub(crate) fn run_in(folder: &Path, args: &[&str]) -> Output {
    output(telewire().args(args).current_dir(folder).stdout(Stdio::piped()))
}

/// Runs a command in `tests/pages` with environment variables and a given standard output.
pub(crate) fn run_with(args: &[&str], variables: &[(&str, &str)], stdout: Stdio) -> Output {
    let mut command = telewire();
    command.args(args).envs(variables.iter().copied()).current_dir(super::pages_folder()).stdout(stdout);
    output(&mut command)
}

fn output(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn telewire() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear();
    command
}
