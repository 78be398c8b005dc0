//! `docket serve`: registry and transparency service on one address, the operator on a socket.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use docket_engine::{Clock, Instance, Options};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::cli::operator::permit;
use crate::cli::output::{Exit, UsageError, say};
use crate::config::{Access, Config, Gc, Ops, crash_point};
use crate::http::{Listener, Public, Stopping, Tls, Watched, Workers};
use crate::reload::{Running, Sources};
use crate::telemetry::Traffic;
use crate::witnesses::Witnesses;
use crate::{http, telemetry};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder that `docket init` made [env: DOCKET_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on; loopback only, as long as there are no access rules [env: DOCKET_LISTEN] [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    if let Some(listen) = &args.listen
        && listen.parse::<SocketAddr>().is_err()
    {
        anyhow::bail!(UsageError(format!("{listen:?} is no address with a port, such as 127.0.0.1:5000")));
    }
    let sources = Sources { file: args.config, data: args.data, listen: args.listen };
    let config = sources.read()?;
    let log = telemetry::start(telemetry::filter(&config.log)?)?;
    let tls = config.tls.as_ref().map(Tls::read).transpose()?.map(Arc::new);
    let running = Arc::new(Running::new(sources, &config, log, tls.clone()));
    let listener = listen(config.listen).map_err(|failure| match failure.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{} is taken by another program; stop it, or choose another with --listen", config.listen)
        }
        _ => anyhow::anyhow!("cannot listen on {}: {failure}", config.listen),
    })?;
    let address = listener.local_addr()?;
    let watchers = bind_ops(&config.ops).await?;
    let instance = Instance::open(&config.data, options(&config).await?).await?;
    let instance = Arc::new(instance);
    if let Some(rules) = Access::rules(config.access.as_ref(), &instance)? {
        instance.replace_rules(rules)?;
    }
    let witnesses = match Witnesses::new(&instance, &config.witness)? {
        Some(witnesses) => Some(witnesses.start().await?),
        None => None,
    };
    if !address.ip().is_loopback() && tls.is_none() {
        tracing::warn!(%address, "passwords and tokens go in clear text to an address that other machines reach");
    }
    let admin = bind_admin(&config.admin_socket)?;
    let (stop, stopping) = watch::channel(Stopping::No);
    let traffic = Arc::new(Traffic::new());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = Listener {
        tcp: listener,
        tls,
        limits: config.limits.clone(),
        proxies: config.trusted_proxies.clone(),
        traffic: Arc::clone(&traffic),
    };
    let workers = Workers::start().context("cannot start the threads of connections")?;
    let public = Arc::new(Public::new(Arc::clone(&instance), Arc::clone(&traffic), &config));
    let public = tokio::spawn(listener.run(public, workers, stopping.clone()));
    let operator = http::operator(Arc::clone(&instance), Arc::clone(&traffic), Arc::clone(&running), &config.limits);
    let operator = axum::serve(admin, operator);
    let operator = tokio::spawn(operator.with_graceful_shutdown(stopped(stopping.clone())).into_future());
    let collector = tokio::spawn(collect(Arc::clone(&instance), config.gc, stopping.clone()));
    let witnesses = witnesses.map(|witnesses| {
        let stopping = stopping.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = witnesses => {}
                () = stopped(stopping) => {}
            }
        })
    });
    let watched = Arc::new(Watched::new(Arc::clone(&instance), traffic, config.ops.free_bytes_min));
    let (stop_watching, watching) = watch::channel(Stopping::No);
    let watchers_address = watchers.as_ref().map(TcpListener::local_addr).transpose()?;
    let watchers = watchers.map(|listener| {
        let served = axum::serve(listener, http::watch(Arc::clone(&watched)));
        tokio::spawn(served.with_graceful_shutdown(stopped(watching)).into_future())
    });
    // Before anyone is told that the server runs: from then on, a signal must end it in good order.
    let mut signals = Signals::listen()?;
    say(&format!("docket {} serves {}", env!("CARGO_PKG_VERSION"), instance.service()));
    say(&format!("  registry   {scheme}://{address}/v2/"));
    say(&format!("  ledger     {scheme}://{address}/entries  (tree size {})", instance.tree_size()));
    if let Some(address) = watchers_address {
        say(&format!("  ops        http://{address}/metrics  (and /livez, /readyz)"));
    }
    for key in instance.receipt_keys() {
        say(&format!("  key        {}", key.thumbprint()));
    }
    if let Some(reason) = instance.read_only() {
        say(&format!("  READ-ONLY  {reason}"));
    }
    while signals.next().await == Asked::Reload {
        match running.reload(&instance) {
            Ok(reloaded) => tracing::info!(?reloaded, "configuration read again"),
            Err(failure) => {
                let error = format!("{failure:#}");
                tracing::error!(error, "the server goes on with the old configuration");
            }
        }
    }
    // Whoever sends requests here is told first, then nobody is let in any more.
    watched.stopping();
    say("docket: finishing what is in flight; once more to end at once");
    stop.send_replace(Stopping::Drain);
    let finished = async {
        let ended = async { (public.await, operator.await) };
        let mut ended = std::pin::pin!(ended);
        // Requests in flight may finish; a client that never ends is cut off.
        if let Ok(ended) = tokio::time::timeout(config.ops.drain, ended.as_mut()).await {
            return Some(ended);
        }
        stop.send_replace(Stopping::Cut);
        tokio::time::timeout(CUT_TIME_MAX, ended).await.ok()
    };
    let ended = tokio::select! {
        ended = finished => Some(ended),
        () = signals.asked_to_stop() => None,
    };
    let _ = std::fs::remove_file(&config.admin_socket);
    // The threads of connections are kept until the uploads are written out.
    let Some(_threads) = ended else {
        // What was answered is durable; the store opens again as after a crash.
        say("docket: ended at once, requests in flight were cut off");
        return Ok(Exit::Refused);
    };
    collector.await?;
    if let Some(witnesses) = witnesses {
        witnesses.await?;
    }
    stop_watching.send_replace(Stopping::Drain);
    if let Some(watchers) = watchers {
        let _ = tokio::time::timeout(WATCHERS_TIME_MAX, watchers).await;
    }
    drop(watched);
    instance.settle().await;
    if let Some(instance) = Arc::into_inner(instance) {
        instance.close().await;
    }
    Ok(Exit::Allowed)
}

/// What a data folder is opened with.
pub(crate) async fn options(config: &Config) -> anyhow::Result<Options> {
    Ok(Options {
        clock: clock(),
        crash_at: crash_point()?,
        conduct: config.registry.conduct(),
        observe: config.observe.check()?,
        upload_idle_seconds_max: config.uploads.idle_seconds(),
        storage: config.storage.clone(),
        witnesses: config.witness.policy.clone(),
        keys: config.keys.sources().await?,
    })
}

/// Collects garbage from time to time, until the server stops: then in the middle of a collection, which costs nothing.
async fn collect(instance: Arc<Instance>, gc: Gc, stopping: watch::Receiver<Stopping>) {
    let Some(interval) = gc.interval() else { return };
    let collections = async {
        // Soon after the start too: a server that is started anew each day would never collect otherwise.
        tokio::time::sleep(interval.min(FIRST_COLLECTION)).await;
        loop {
            let collected = match permit(&instance) {
                Ok(permit) => instance.collect(&permit, gc.collection()).await.map_err(anyhow::Error::from),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = collected {
                tracing::warn!(
                    failure = format!("{failure:#}"),
                    "garbage was not collected; the next time makes it good"
                );
            }
            tokio::time::sleep(interval).await;
        }
    };
    tokio::select! {
        () = collections => {}
        () = stopped(stopping) => {}
    }
}

/// Listens with room for a crowd: a thousand nodes that start the same image connect within one moment.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_WAITING_MAX)
}

/// The real clock.
pub(crate) fn clock() -> Clock {
    Clock::new(|| {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
        elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
    })
}

/// Binds the watchers' address.
async fn bind_ops(ops: &Ops) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = ops.listen else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    let bound = bound.map_err(|failure| match failure.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address}, where metrics and health go, is taken by another program; stop it, or set ops.listen \
             (DOCKET_OPS__LISTEN) to another address or to nothing"
        ),
        _ => anyhow::anyhow!("cannot listen for metrics on {address}: {failure}"),
    });
    bound.map(Some)
}

/// Binds the admin socket, which only this user may open. What stands at its path goes only if it is a socket that
/// nobody listens on any more.
fn bind_admin(path: &Path) -> anyhow::Result<UnixListener> {
    if let Ok(there) = std::fs::symlink_metadata(path) {
        let name = path.display();
        anyhow::ensure!(
            there.file_type().is_socket(),
            "{name} stands where the admin socket goes and is none; move it"
        );
        let answered = std::os::unix::net::UnixStream::connect(path).is_ok();
        anyhow::ensure!(!answered, "another server listens on the admin socket {name}; set DOCKET_ADMIN_SOCKET");
        std::fs::remove_file(path).with_context(|| format!("cannot replace {name}"))?;
    }
    let listener = UnixListener::bind(path).with_context(|| {
        format!("cannot make the admin socket {}; a shorter path can be set with DOCKET_ADMIN_SOCKET", path.display())
    })?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot restrict {}", path.display()))?;
    Ok(listener)
}

/// The signals by which an operator, or a terminal, ends the server or lets it read its configuration again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    async fn asked_to_stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

async fn stopped(mut stopping: watch::Receiver<Stopping>) {
    let _ = stopping.wait_for(|stopping| *stopping > Stopping::No).await;
}

/// Connections that the kernel holds until they are accepted.
const CONNECTIONS_WAITING_MAX: u32 = 4096;
/// How long connections that are cut off may take to end.
const CUT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long the last scrape may take.
const WATCHERS_TIME_MAX: Duration = Duration::from_secs(1);
/// How long after the start garbage is collected first, if that is sooner than usual.
const FIRST_COLLECTION: Duration = Duration::from_mins(10);
