//! The servers that are measured side by side: how each is started on a folder of its own, and where it answers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::{Signal, geteuid};

use crate::http::Target;
use crate::process::{Process, free_address, run, start_times};
use crate::row::Figure;

/// What a row is measured at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// No server: what the machine itself gives.
    Machine,
    Docket,
    /// nginx with the same bytes as static files: the yardstick of reads.
    Nginx,
    /// distribution, as Debian packages it: the registry that most others are built on.
    Dist,
    /// `sink.rs`: the yardstick of pushes.
    Sink,
    /// The registry that the command line names, whatever it is.
    Other,
}

impl Kind {
    /// What the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Docket => "docket",
            Self::Nginx => "nginx",
            Self::Dist => "dist",
            Self::Sink => "sink",
            Self::Other => "other",
        }
    }
}

/// A server under load.
#[derive(Debug)]
pub(crate) struct Server {
    pub kind: Kind,
    /// What the table calls it.
    pub name: String,
    pub target: Target,
    /// Its process, for CPU time and memory, where it is known.
    pub process: Option<u32>,
    /// How it was started, if it was started here.
    pub launch: Option<Launch>,
    running: Option<Process>,
}

/// How a server is started on a folder of its own.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    command: Vec<String>,
    address: SocketAddr,
    /// What it answers with 200.
    path: &'static str,
    /// Holds all that it keeps.
    pub folder: PathBuf,
}

/// Runs push more in a minute than a repository is observed in a day by default.
const DOCKET_CONFIG: &str = r#"
[ops]
listen = "127.0.0.1:0"
[observe]
per_day = 1_000_000_000
[[observe.repositories]]
repositories = ["unobserved"]
tags = false
"#;

impl Launch {
    /// Makes the folder ready for the first start. `None` if the program is not installed.
    pub(crate) fn prepare(kind: Kind, folder: &Path, docket: &Path) -> anyhow::Result<Option<Self>> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let address = free_address()?;
        let listen = address.to_string();
        let path = |name: &str| folder.join(name).display().to_string();
        let (command, answered) = match kind {
            Kind::Docket => {
                let (docket, data) = (docket.display().to_string(), path("data"));
                let init = ["init", "--data", &data, "--service-id", "https://bench.example", "--output", "json"];
                let told = run(&words(&docket, &init), &folder.join(LOG))?;
                fs::write(folder.join(INIT_FILE), told)?;
                // Another server on the machine may have the usual address for metrics.
                fs::write(folder.join("docket.toml"), DOCKET_CONFIG)?;
                let config = path("docket.toml");
                (words(&docket, &["serve", "--config", &config, "--data", &data, "--listen", &listen]), "/v2/")
            }
            Kind::Nginx if installed("nginx") => {
                fs::create_dir_all(folder.join("files/v2"))?;
                fs::write(folder.join("files/v2/index.html"), "{}")?;
                fs::write(folder.join("nginx.conf"), nginx_conf(address))?;
                (words("nginx", &["-p", &path(""), "-e", &path(LOG), "-c", "nginx.conf"]), "/v2/")
            }
            Kind::Dist if installed("docker-registry") => {
                fs::write(folder.join("config.yml"), dist_config(address, &path("data")))?;
                (words("docker-registry", &["serve", &path("config.yml")]), "/v2/")
            }
            Kind::Sink => {
                let own = std::env::current_exe()?.display().to_string();
                (words(&own, &["sink", "--listen", &listen, "--folder", &path("")]), "/")
            }
            Kind::Nginx | Kind::Dist | Kind::Machine | Kind::Other => return Ok(None),
        };
        Ok(Some(Self { command, address, path: answered, folder: folder.to_owned() }))
    }

    /// Starts it and waits for its first answer.
    pub(crate) fn start(&self) -> anyhow::Result<Process> {
        let mut process = Process::start(&self.command, &self.folder.join(LOG))?;
        process.first_answer(self.address, self.path).with_context(|| format!("{:?}", self.command))?;
        Ok(process)
    }

    /// The time from a start to the first answer.
    pub(crate) fn start_times(&self) -> anyhow::Result<Figure> {
        start_times(&self.command, &self.folder.join(LOG), self.address, self.path)
    }

    /// Runs the program of this server with other arguments, and gives its stdout.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&words(&self.command[0], arguments), &self.folder.join(LOG))
    }

    /// The program of this server with other arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Vec<String> {
        words(&self.command[0], arguments)
    }
}

impl Server {
    /// Starts a server.
    pub(crate) fn start(kind: Kind, launch: Launch) -> anyhow::Result<Self> {
        let running = launch.start()?;
        Ok(Self {
            kind,
            name: kind.name().to_owned(),
            target: Target::at(launch.address),
            process: Some(running.id()),
            launch: Some(launch),
            running: Some(running),
        })
    }

    /// A registry that runs already.
    pub(crate) fn other(name: &str, target: Target, process: Option<u32>) -> Self {
        Self { kind: Kind::Other, name: name.to_owned(), target, process, launch: None, running: None }
    }

    /// Ends it, and measures how long it takes to start on what it has stored. `None` if it was not started here.
    pub(crate) fn restart_times(&mut self) -> anyhow::Result<Option<Figure>> {
        if let Some(mut process) = self.running.take() {
            process.end(Signal::TERM)?;
        }
        self.launch.as_ref().map(Launch::start_times).transpose()
    }

    /// The file that a static server answers this path with.
    pub(crate) fn file(&self, path: &str) -> Option<PathBuf> {
        let launch = self.launch.as_ref().filter(|_| self.kind == Kind::Nginx)?;
        Some(launch.folder.join("files").join(path.trim_start_matches('/')))
    }
}

/// A command line.
fn words(program: &str, arguments: &[&str]) -> Vec<String> {
    [&[program], arguments].concat().into_iter().map(str::to_owned).collect()
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn nginx_conf(address: SocketAddr) -> String {
    // The folder is private, so its workers run as whoever runs this; only root has a choice there.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes auto;
pid nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=1000;
  keepalive_requests 1000000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{ listen {address}; root files; }}
}}
"
    )
}

/// As Debian configures it, but for the address, the folder, and the access log, which it need not write here.
fn dist_config(address: SocketAddr, data: &str) -> String {
    format!(
        "version: 0.1
log: {{ level: error, accesslog: {{ disabled: true }} }}
storage:
  cache: {{ blobdescriptor: inmemory }}
  filesystem: {{ rootdirectory: {data} }}
  delete: {{ enabled: true }}
http: {{ addr: {address} }}
"
    )
}

/// What the servers said, in their folders.
const LOG: &str = "log";
/// What `docket init` told, in its folder.
pub(crate) const INIT_FILE: &str = "init.json";
