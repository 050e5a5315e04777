//! `sluicegate` as a child process, in a directory of its own.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use loadtests::redis_server::{Fsync, RedisServer};
use tempfile::TempDir;

/// How long anything may take before a test gives up. Never part of what is asserted.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "test-token-0123456789";
/// Encrypts what is secret in Redis.
pub(crate) const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Settings that make waiting short.
const QUICK: [(&str, &str); 8] = [
    ("SLUICEGATE_LISTEN", "127.0.0.1:0"),
    ("SLUICEGATE_ADMIN_LISTEN", "127.0.0.1:0"),
    ("SLUICEGATE_DISPATCHER__REQUEST_TIMEOUT", "5s"),
    ("SLUICEGATE_DISPATCHER__RETRY_SCHEDULE", "100ms,200ms"),
    ("SLUICEGATE_DISPATCHER__LEASE_TTL", "1500ms"),
    ("SLUICEGATE_DISPATCHER__LEASE_RENEWAL", "400ms"),
    ("SLUICEGATE_GATEWAY__WORKERS", "1"),
    ("SLUICEGATE_DISPATCHER__WORKERS", "1"),
];

/// A store of its own, and a directory in which processes run.
pub(crate) struct Site {
    pub(crate) directory: TempDir,
    redis: Option<RedisServer>,
}

/// Which engine a site has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Embedded,
    Redis,
}

impl Site {
    pub(crate) fn new(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let redis = match engine {
            Engine::Embedded => None,
            Engine::Redis => Some(RedisServer::start(directory.path(), Fsync::Always).unwrap()),
        };
        Self { directory, redis }
    }

    /// Its server.
    pub(crate) fn redis(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("a site with Redis")
    }

    /// A command in this site with nothing but quick settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.directory.path(), arguments);
        command.envs(QUICK);
        if let Some(redis) = &self.redis {
            command.env("SLUICEGATE_STORE", redis.url()).env("SLUICEGATE_SECRETS__KEYS", KEY);
        }
        command
    }

    /// Starts a process that may deliver to this machine.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        command.env("SLUICEGATE_API_TOKEN", TOKEN).env("SLUICEGATE_ALLOW_CIDR", "127.0.0.0/8");
        Process::start(&mut command)
    }
}

/// Whether one process does everything, or a gateway and a dispatcher share the work.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Whole,
    Halves,
}

/// The processes that serve a site together.
pub(crate) struct Deployment {
    pub(crate) gateway: Process,
    dispatcher: Option<Process>,
}

impl Deployment {
    /// Waits until all of it is ready.
    pub(crate) async fn ready(&self) {
        self.gateway.ready().await;
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.ready().await;
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.gateway).chain(&self.dispatcher)
    }

    /// Asks all of it to stop and sees that it ends well.
    pub(crate) fn stop(self) {
        self.gateway.stop();
        if let Some(dispatcher) = self.dispatcher {
            dispatcher.stop();
        }
    }
}

impl Site {
    /// Starts what serves the site.
    pub(crate) fn deploy(&self, form: Form) -> Deployment {
        self.deploy_with(form, &[])
    }

    /// As [`Site::deploy`], with these settings too.
    pub(crate) fn deploy_with(&self, form: Form, settings: &[(&str, &str)]) -> Deployment {
        let start = |arguments: &[&str]| {
            let mut command = self.command(arguments);
            command.env("SLUICEGATE_ALLOW_CIDR", "127.0.0.0/8").env("SLUICEGATE_API_TOKEN", TOKEN);
            Process::start(command.envs(settings.iter().copied()))
        };
        match form {
            Form::Whole => Deployment { gateway: start(&[]), dispatcher: None },
            Form::Halves => Deployment {
                gateway: start(&["gateway"]),
                dispatcher: Some(start(&["dispatcher"])),
            },
        }
    }
}

/// A command that sees no settings of the machine's.
pub(crate) fn bare(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(arguments).current_dir(directory).env_clear();
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A running process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    /// All that it has told at start.
    pub(crate) welcome: String,
    /// Lines on stdout that came later.
    pub(crate) lines: mpsc::Receiver<String>,
}

impl Process {
    /// Starts it and waits until it has told where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_until(command, "  durability")
    }

    /// Starts it and waits for a line that starts like this.
    pub(crate) fn start_until(command: &mut Command, last: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let collected = log.clone();
        thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|length| length > 0) {
                collected.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        let lines = read_lines(child.stdout.take().unwrap());
        let mut process = Self { child, log, welcome: String::new(), lines };
        while !process.welcome.lines().any(|line| line.starts_with(last)) {
            let Ok(line) = process.lines.recv_timeout(PATIENCE) else {
                panic!("it did not start:\n{}{}", process.welcome, process.log());
            };
            process.welcome.push_str(&line);
            process.welcome.push('\n');
        }
        process
    }

    /// What it has told under this heading.
    pub(crate) fn told(&self, what: &str) -> &str {
        let found = self.welcome.lines().find_map(|line| line.trim().strip_prefix(what));
        found.unwrap_or_else(|| panic!("nothing about {what}:\n{}", self.welcome)).trim()
    }

    /// The URL of a path on its admin server.
    pub(crate) fn admin(&self, path: &str) -> String {
        self.told("health").replace("/readyz", path)
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        self.readiness(200).await;
    }

    /// Waits until it is not ready, and answers why.
    pub(crate) async fn not_ready(&self) -> String {
        self.readiness(503).await
    }

    /// Readiness can only be asked for, again and again.
    async fn readiness(&self, wanted: u16) -> String {
        let started = Instant::now();
        loop {
            let (status, text) = get(&self.admin("/readyz")).await;
            if status == wanted {
                return text;
            }
            assert!(started.elapsed() < PATIENCE, "{status}: {text}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Bytes of memory that it holds.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end:\n{}", self.log())
    }

    /// Asks it to stop and sees that it ends well.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("its log:\n{}", self.log());
        }
    }
}

/// Status and text of an answer; 0 where there is none.
pub(crate) async fn get(url: &str) -> (u16, String) {
    match reqwest::get(url).await {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
        Err(error) => (0, error.to_string()),
    }
}

fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
            if send.send(line.trim_end().to_owned()).is_err() {
                // Nobody reads any more, but the process must not block.
                let _ = stdout.read_to_end(&mut Vec::new());
                return;
            }
            line.clear();
        }
    });
    lines
}
