//! Whole processes: how fast a server answers after its start, how long a command takes, what a process holds.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::microseconds;
use crate::row::{Row, RowArgs, median};
use crate::usage;

#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// Where the server will listen
    #[arg(long, value_name = "HOST:PORT")]
    address: SocketAddr,
    /// What is asked for until it is answered with 200
    #[arg(long, value_name = "PATH", default_value = "/v2/")]
    path: String,
    /// How often it is started
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    #[command(flatten)]
    row: RowArgs,
    /// The server; it ends on SIGTERM
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// How often it is run
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    #[command(flatten)]
    row: RowArgs,
    /// What to run; it must succeed
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MemoryArgs {
    /// The process
    #[arg(long, value_name = "PID")]
    server: u32,
    #[command(flatten)]
    row: RowArgs,
}

/// Starts the server again and again.
pub(crate) fn start(args: &StartArgs) -> anyhow::Result<Row> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", args.path, args.address);
    let mut times = Vec::new();
    for _ in 0..args.times {
        let began = Instant::now();
        let mut server = Ended(spawn(&args.command)?);
        let answered = first_answer(&mut server.0, args.address, &request);
        let took = began.elapsed();
        server.end()?;
        answered?;
        times.push(microseconds(took));
    }
    in_milliseconds(&args.row, times)
}

/// Runs the command again and again.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for _ in 0..args.times {
        let began = Instant::now();
        let status = spawn(&args.command)?.wait()?;
        times.push(microseconds(began.elapsed()));
        ensure!(status.success(), "{} ended with {status}", args.command.join(" "));
    }
    in_milliseconds(&args.row, times)
}

/// What a process holds now.
pub(crate) fn memory(args: &MemoryArgs) -> anyhow::Result<Row> {
    Ok(args.row.figure(usage::resident_bytes(args.server)? as f64 / f64::from(1 << 20), "MiB"))
}

/// An address on this machine that nobody listens on. Somebody else may take it before it is used.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn in_milliseconds(args: &RowArgs, times: Vec<f64>) -> anyhow::Result<Row> {
    let middle = median(times).context("nothing was run")?;
    Ok(args.figure(middle / 1000.0, "ms"))
}

fn spawn(command: &[String]) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| format!("{program} does not start"))
}

/// Asks until there is an answer, and insists that it is 200.
fn first_answer(server: &mut Child, address: SocketAddr, request: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIME_MAX;
    while Instant::now() < deadline {
        if let Ok(mut stream) = TcpStream::connect(address) {
            stream.set_read_timeout(Some(START_TIME_MAX))?;
            stream.write_all(request.as_bytes())?;
            let mut status = [0; STATUS_BYTES];
            stream.read_exact(&mut status).context("the server closed the connection")?;
            ensure!(status == *STATUS_OK, "the first answer is {:?}", String::from_utf8_lossy(&status));
            return Ok(());
        }
        if let Some(status) = server.try_wait()? {
            anyhow::bail!("the server ended with {status}");
        }
        std::thread::sleep(POLL);
    }
    anyhow::bail!("the server did not answer within {} seconds", START_TIME_MAX.as_secs())
}

/// A child that is ended at the latest when this is dropped.
struct Ended(Child);

impl Ended {
    /// Ends it as an operator does, so that the next start finds what an orderly end leaves.
    fn end(&mut self) -> anyhow::Result<()> {
        if self.0.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        }
        let deadline = Instant::now() + END_TIME_MAX;
        while self.0.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the server does not end on SIGTERM");
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const STATUS_OK: &[u8; STATUS_BYTES] = b"HTTP/1.1 200";
const STATUS_BYTES: usize = 12;
/// Between two looks; what is measured is exact to this.
const POLL: Duration = Duration::from_micros(200);
const START_TIME_MAX: Duration = Duration::from_secs(30);
const END_TIME_MAX: Duration = Duration::from_secs(30);
