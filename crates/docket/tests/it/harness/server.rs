//! A running server: started on a free port, ended by SIGTERM, by SIGKILL, or with its value.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::site::{docket, docket_under};
use super::{Repository, Site};

/// `docket serve` as a child process. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    address: String,
    ops: String,
    client: reqwest::Client,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(site: &Site) -> Self {
        Self::start_with(site, &[])
    }

    /// Starts a server with settings in its environment.
    pub(crate) fn start_with(site: &Site, settings: &[(&str, &str)]) -> Self {
        Self::try_start(site, settings).unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// Starts a server that observes what it does by default.
    pub(crate) fn start_observing(site: &Site) -> Self {
        Self::start_with(site, &OBSERVED)
    }

    /// Starts a server that kills itself at a point of DESIGN.md §6.
    pub(crate) fn start_dying(site: &Site, point: &str) -> Self {
        Self::start_with(site, &[("DOCKET_CRASH_AT", point)])
    }

    /// Starts a server, or gives what it said before it ended.
    pub(crate) fn try_start(site: &Site, settings: &[(&str, &str)]) -> Result<Self, String> {
        let mut command = docket();
        command.env("DOCKET_LOG", "warn").envs(UNOBSERVED).envs(settings.iter().copied());
        Self::launch(site, command.arg("serve"))
    }

    /// Starts a server by another command, which must become it.
    pub(crate) fn start_under(site: &Site, starter: &[&str]) -> Self {
        Self::try_start_under(site, starter).unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// The same, or what was said before the server ended.
    pub(crate) fn try_start_under(site: &Site, starter: &[&str]) -> Result<Self, String> {
        Self::launch(site, docket_under(starter).env("DOCKET_LOG", "warn").arg("serve"))
    }

    /// Starts a server with a configuration file, which also says what is logged.
    pub(crate) fn start_configured(site: &Site, file: &Path) -> Self {
        Self::try_start_configured(site, file).unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// The same, or what it said before it ended.
    pub(crate) fn try_start_configured(site: &Site, file: &Path) -> Result<Self, String> {
        let mut command = docket();
        let says = std::fs::read_to_string(file).is_ok_and(|text| text.contains("[observe]"));
        if !says {
            command.envs(UNOBSERVED);
        }
        Self::launch(site, command.arg("serve").arg("--config").arg(file))
    }

    fn launch(site: &Site, command: &mut Command) -> Result<Self, String> {
        command.arg("--data").arg(site.data()).args(["--listen", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let lines = follow(&mut child, Arc::clone(&log));
        // From here on, dropping kills.
        let mut server = Self { child, address: String::new(), ops: String::new(), client: client(), log };
        let deadline = Instant::now() + START_TIME_MAX;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some((_, rest)) = line.split_once("registry   http") {
                        rest.trim_start_matches('s')
                            .trim_start_matches("://")
                            .trim_end()
                            .trim_end_matches("/v2/")
                            .clone_into(&mut server.address);
                    }
                    if let Some((_, rest)) = line.split_once("ops        http://") {
                        rest.split('/').next().unwrap_or_default().clone_into(&mut server.ops);
                    }
                    // Said last.
                    if line.starts_with("  key ") {
                        return Ok(server);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(server.log()),
                Err(RecvTimeoutError::Timeout) => panic!("the server did not listen in time: {}", server.log()),
            }
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request to be filled and sent.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, self.url(path))
    }

    /// A request to the address where the server is watched.
    pub(crate) fn watch(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("http://{}{path}", self.ops))
    }

    /// A repository on this server.
    pub(crate) fn repository<'a>(&'a self, name: &'a str) -> Repository<'a> {
        Repository::new(self, name)
    }

    /// What the server wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the server has written a line with this word, and gives the line.
    pub(crate) async fn logged(&self, word: &str) -> String {
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(word)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no line with {word:?} in {log}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Files below a folder that the server has open.
    pub(crate) fn files_open_below(&self, folder: &Path) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("our own child");
        // One that is closed meanwhile is not open.
        let files = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        files.filter(|file| file.starts_with(folder)).count()
    }

    /// Memory that the process has written to, and nobody else shares.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("our own child");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux counts it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Sends SIGHUP and does not wait.
    pub(crate) fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Sends SIGKILL and does not wait.
    pub(crate) fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Ends the server as an operator does, and insists that it ends well.
    pub(crate) async fn stop(self) {
        self.terminate();
        self.stopped().await;
    }

    /// Waits for the end of a server that was told to stop before, and insists that it ends well.
    pub(crate) async fn stopped(mut self) {
        let status = self.ended().await;
        assert!(status.success(), "the server ended with {status}: {}", self.log());
    }

    /// Ends the server with the exit code of one that was told to stop twice.
    pub(crate) async fn stopped_at_once(mut self) {
        let status = self.ended().await;
        assert_eq!(status.code(), Some(1), "the server ended with {status}: {}", self.log());
    }

    /// Waits for the end of the server, however it comes, and gives all that it said.
    pub(crate) async fn finished(mut self) -> (ExitStatus, String) {
        let status = self.ended().await;
        (status, self.log())
    }

    /// Ends the server without warning.
    pub(crate) async fn kill9(mut self) {
        self.kill();
        self.died().await;
    }

    /// Waits until the server was killed by SIGKILL, whoever sent it.
    pub(crate) async fn died(&mut self) {
        let status = self.ended().await;
        assert_eq!(status.signal(), Some(9), "the server ended with {status}: {}", self.log());
    }

    async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOP_TIME_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end in time: {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("our own child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = format!("the server said: {}\n", self.log());
            let _ = std::io::stderr().write_all(said.as_bytes());
        }
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that loads no certificates, asks no proxy and follows nothing.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).redirect(reqwest::redirect::Policy::none());
    client.timeout(ANSWER_TIME_MAX).build().expect("nothing in it can fail")
}

/// Reads stderr to its end, so that the server never waits for us.
fn follow(child: &mut Child, log: Arc<Mutex<String>>) -> Receiver<String> {
    let (lines, receiver) = channel();
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
            let _ = lines.send(line);
        }
    });
    receiver
}

const START_TIME_MAX: Duration = Duration::from_secs(30);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
/// Tests of the ledger count its entries, and tests of the registry push where the ledger takes none: in both a tag would be one entry
/// more. What is observed by default is tested in `history` and `durability`, and told in `story`.
const UNOBSERVED: [(&str, &str); 2] = [("DOCKET_OBSERVE__TAGS", "false"), ("DOCKET_OBSERVE__DELETES", "false")];
/// What a server does that nobody configured.
pub(crate) const OBSERVED: [(&str, &str); 2] = [("DOCKET_OBSERVE__TAGS", "true"), ("DOCKET_OBSERVE__DELETES", "true")];
