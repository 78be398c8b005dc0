//! The public address: accepts connections within limits, speaks TLS and HTTP on them, and ends those that do nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::config::Limits;
use crate::http::Public;
use crate::http::activity::Activity;
use crate::http::client::network_of;
use crate::http::tally::Tally;
use crate::http::tls::Tls;
use crate::http::wire::{FileQueue, Wire};
use crate::http::workers::Workers;
use crate::telemetry::Traffic;

/// Everything that a connection is accepted with.
pub(crate) struct Listener {
    pub tcp: TcpListener,
    /// Without it the address speaks plain HTTP.
    pub tls: Option<Arc<Tls>>,
    pub limits: Limits,
    /// Proxies whose word about the client is taken.
    pub proxies: Vec<IpNet>,
    pub traffic: Arc<Traffic>,
}

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub address: IpAddr,
    /// Whether the connection is encrypted up to us.
    pub is_tls: bool,
    /// Where files are sent from by the kernel, on connections that can.
    pub files: Option<FileQueue>,
}

/// How far the server is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stopping {
    /// It runs.
    No,
    /// Nothing new is accepted, requests in flight finish.
    Drain,
    /// Whatever is still open is cut off.
    Cut,
}

impl Listener {
    /// Serves until told to stop, and gives the threads back when every connection has ended.
    pub(crate) async fn run(
        self,
        public: Arc<Public>,
        workers: Workers,
        stopping: watch::Receiver<Stopping>,
    ) -> Workers {
        let Self { tcp, tls, limits, proxies, traffic } = self;
        let open = Arc::new(Semaphore::new(limits.connections));
        let addresses = Tally::new(limits.connections_per_address);
        let accepting = async {
            loop {
                // Past the limit nothing is accepted: clients wait in the kernel's queue instead of being refused.
                let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
                let (tcp, from) = accept(&tcp).await;
                // On an IPv6 socket, clients of IPv4 have addresses inside of others.
                let from = from.ip().to_canonical();
                let is_proxy = proxies.iter().any(|net| net.contains(&from));
                let counted = || addresses.enter(network_of(from)).map(Some);
                let Some(counted) = is_proxy.then_some(None).or_else(counted) else {
                    tracing::debug!(address = %from, "connection closed, its address has too many");
                    continue;
                };
                let connection = Connection {
                    public: Arc::clone(&public),
                    tls: tls.clone(),
                    limits: limits.clone(),
                    traffic: Arc::clone(&traffic),
                    stopping: stopping.clone(),
                };
                workers.serve(tcp, async move |tcp| {
                    connection.serve(tcp, from).await;
                    drop((permit, counted));
                });
            }
        };
        let mut told = stopping.clone();
        tokio::select! {
            () = accepting => {}
            _ = told.wait_for(|stopping| *stopping > Stopping::No) => {}
        }
        drop(tcp);
        // Each connection is told to stop too, and when to stop waiting for its client.
        workers.end().await
    }
}

/// The next connection. Errors of one that broke before it was accepted, or of a process out of descriptors, pass by themselves.
async fn accept(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(failure) => {
                tracing::warn!(%failure, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What HTTP is spoken on.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// What one connection needs.
struct Connection {
    public: Arc<Public>,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    traffic: Arc<Traffic>,
    stopping: watch::Receiver<Stopping>,
}

impl Connection {
    async fn serve(self, tcp: TcpStream, address: IpAddr) {
        // Without this a small answer waits 40 ms for the client's delayed acknowledgement.
        let _ = tcp.set_nodelay(true);
        let activity = Arc::new(Activity::new());
        let files = FileQueue::default();
        let wire = Wire::new(tcp, files.clone(), Arc::clone(&activity), self.traffic.connection());
        let Some(tls) = &self.tls else {
            return self.http1(wire, Peer { address, is_tls: false, files: Some(files) }, activity).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_TIME_MAX, tls.acceptor().accept(wire)).await;
        let Ok(Ok(stream)) = handshake else {
            tracing::debug!(%address, "no TLS came about");
            return;
        };
        let peer = Peer { address, is_tls: true, files: None };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.http2(stream, peer, activity).await;
        } else {
            self.http1(stream, peer, activity).await;
        }
    }

    async fn http1(self, stream: impl Stream, peer: Peer, activity: Arc<Activity>) {
        let service = service(Arc::clone(&self.public), peer, Arc::clone(&activity));
        let connection = hyper::server::conn::http1::Builder::new()
            // The activity is watched instead: a timer for each request costs more than the request.
            .header_read_timeout(None)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        self.drive(connection, &activity).await;
    }

    async fn http2(self, stream: impl Stream, peer: Peer, activity: Arc<Activity>) {
        let service = service(Arc::clone(&self.public), peer, Arc::clone(&activity));
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .max_send_buf_size(STREAM_BUFFER_BYTES)
            // A client that opens streams only to reset them is cut off (rapid reset, CVE-2023-44487).
            .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
            .max_local_error_reset_streams(RESET_STREAMS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        self.drive(connection, &activity).await;
    }

    /// Runs a connection to its end, or until it does nothing for too long, or until the server stops.
    async fn drive(mut self, connection: impl GracefulConnection<Error = hyper::Error>, activity: &Activity) {
        let mut connection = std::pin::pin!(connection);
        let note = |ended: hyper::Result<()>| {
            if let Err(failure) = ended {
                tracing::debug!(%failure, "a connection ended early");
            }
        };
        tokio::select! {
            ended = connection.as_mut() => return note(ended),
            () = watched(activity, &self.limits) => return,
            _ = self.stopping.wait_for(|stopping| *stopping > Stopping::No) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => note(ended),
            () = watched(activity, &self.limits) => {}
            _ = self.stopping.wait_for(|stopping| *stopping == Stopping::Cut) => {}
        }
    }
}

/// Answers the requests of one connection.
fn service(
    public: Arc<Public>,
    peer: Peer,
    activity: Arc<Activity>,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = hyper::Response<Body>,
    Error = std::convert::Infallible,
    Future: Send,
> {
    let peer = Arc::new(peer);
    service_fn(move |request: hyper::Request<Incoming>| {
        let (public, peer, activity) = (Arc::clone(&public), Arc::clone(&peer), Arc::clone(&activity));
        async move {
            let _open = activity.request_began();
            Ok(public.answer(request.map(Body::new), peer).await)
        }
    })
}

/// Returns when the connection has been idle or stuck for too long.
async fn watched(activity: &Activity, limits: &Limits) {
    let mut looks = tokio::time::interval(limits.idle.min(limits.stall).min(LOOK_INTERVAL_MAX).max(LOOK_INTERVAL_MIN));
    loop {
        looks.tick().await;
        if activity.idle() > limits.idle || activity.stuck() > limits.stall {
            return;
        }
    }
}

/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of a request's line and headers. Tokens and queries of eight kilobytes fit.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Bytes of an answer that wait in one HTTP/2 stream.
const STREAM_BUFFER_BYTES: usize = 64 * 1024;
/// HTTP/2 streams that a client may reset before the server has looked at them.
const RESET_STREAMS_MAX: usize = 32;
/// How long a TLS handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long to wait after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a connection is looked at.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);
