//! Whole processes: started, asked until they answer, ended as an operator ends them; and how long that takes.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::microseconds;
use crate::row::{Figure, median};

/// A child that is ended at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command; what it says goes to the end of a file.
    pub(crate) fn start(command: &[String], log: &Path) -> anyhow::Result<Self> {
        Ok(Self(prepared(command, log)?.spawn().with_context(|| format!("{} does not start", command.join(" ")))?))
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks `http://address/path` until there is an answer, and insists that it is 200.
    pub(crate) fn first_answer(&mut self, address: SocketAddr, path: &str) -> anyhow::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let deadline = Instant::now() + START_TIME_MAX;
        while Instant::now() < deadline {
            if let Ok(mut stream) = TcpStream::connect(address) {
                stream.set_read_timeout(Some(START_TIME_MAX))?;
                stream.write_all(request.as_bytes())?;
                let mut status = [0; STATUS_OK.len()];
                stream.read_exact(&mut status).context("the server closed the connection")?;
                ensure!(status == *STATUS_OK, "the first answer is {:?}", String::from_utf8_lossy(&status));
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("the server ended with {status}");
            }
            std::thread::sleep(POLL);
        }
        bail!("the server did not answer within {} seconds", START_TIME_MAX.as_secs())
    }

    /// Ends it with the signal that lets it clean up (a server, its workers too), and waits for that.
    pub(crate) fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.0.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.0), signal)?;
        }
        let deadline = Instant::now() + END_TIME_MAX;
        while self.0.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "process {} does not end", self.id());
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.end(Signal::TERM).is_err() {
            // Both fail only where it has ended already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Runs a command to its end, which must be a good one, and gives its stdout.
pub(crate) fn run(command: &[String], log: &Path) -> anyhow::Result<String> {
    let output = prepared(command, log)?.stdout(Stdio::piped()).output();
    let output = output.with_context(|| format!("{} does not start", command.join(" ")))?;
    ensure!(output.status.success(), "{} ended with {}, see {}", command.join(" "), output.status, log.display());
    Ok(String::from_utf8(output.stdout)?)
}

/// The middle time of starting a server until it answers.
pub(crate) fn start_times(command: &[String], log: &Path, address: SocketAddr, path: &str) -> anyhow::Result<Figure> {
    let once = || {
        let began = Instant::now();
        let mut server = Process::start(command, log)?;
        server.first_answer(address, path)?;
        let took = began.elapsed();
        server.end(Signal::TERM)?;
        Ok(took)
    };
    middle(STARTS, once)
}

/// The middle time of running a command.
pub(crate) fn run_times(command: &[String], log: &Path) -> anyhow::Result<Figure> {
    let once = || {
        let began = Instant::now();
        run(command, log)?;
        Ok(began.elapsed())
    };
    middle(RUNS, once)
}

fn middle(times: usize, once: impl Fn() -> anyhow::Result<Duration>) -> anyhow::Result<Figure> {
    let times = (0..times).map(|_| Ok(microseconds(once()?))).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Figure::new(median(times).context("nothing was run")? / 1000.0, "ms"))
}

/// An address on this machine that nobody listens on. Somebody else may take it before it is used.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn prepared(command: &[String], log: &Path) -> anyhow::Result<Command> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let log_file = OpenOptions::new().create(true).append(true).open(log);
    let log_file = log_file.with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file);
    Ok(command)
}

const STATUS_OK: &[u8; 12] = b"HTTP/1.1 200";
/// Between two looks; what is measured is exact to this.
const POLL: Duration = Duration::from_micros(200);
const START_TIME_MAX: Duration = Duration::from_secs(30);
const END_TIME_MAX: Duration = Duration::from_secs(30);
const STARTS: usize = 11;
const RUNS: usize = 21;
