//! A real redis-server as a child process, in a directory of its own.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How many logical databases a server has, so that many tests can share one.
pub const DATABASES: u16 = 512;

/// How a server keeps what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// `appendfsync always`: what the durability level `disk` asks for.
    Always,
    /// `appendfsync everysec`: the level `process`.
    EverySecond,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    directory: PathBuf,
    fsync: Fsync,
    child: Child,
}

/// A free port below the range from which the system takes the ports of outgoing connections.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..1000 {
        let port = rand::random_range(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 10000 and 32000")
}

impl RedisServer {
    /// Starts a server whose data lie in `directory`, and waits until it answers.
    pub fn start(directory: &Path, fsync: Fsync) -> anyhow::Result<Self> {
        let port = free_port()?;
        let child = Self::spawn(directory, port, fsync)?;
        let server = Self { port, directory: directory.into(), fsync, child };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn spawn(directory: &Path, port: u16, fsync: Fsync) -> anyhow::Result<Child> {
        let appendfsync = match fsync {
            Fsync::Always => "always",
            Fsync::EverySecond => "everysec",
        };
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", appendfsync])
            .args(["--maxmemory-policy", "noeviction", "--no-appendfsync-on-rewrite", "no"])
            .args(["--auto-aof-rewrite-min-size", "512mb", "--rdbcompression", "no"])
            .args(["--stream-node-max-bytes", "512", "--databases", &DATABASES.to_string()])
            .arg("--dir")
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("redis-server does not start: install the package `redis-server`")
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if self.ping().is_ok_and(|reply| reply.starts_with("+PONG")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("redis-server does not answer on port {}", self.port)
    }

    fn ping(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 64];
        let length = stream.read(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
    }

    /// `redis://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its process, for signals.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it with SIGTERM and waits until it has ended; fails when `patience` is over.
    pub fn terminate(&mut self, patience: Duration) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + patience;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("redis-server did not stop within {patience:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts it again on the same port and data, and waits until it answers.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = Self::spawn(&self.directory, self.port, self.fsync)?;
        self.wait_until_ready()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
