//! An S3 server for tests: a folder behind the S3 protocol on a loopback port. It counts calls and fails on demand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

/// The server; it ends with its value.
pub(crate) struct S3Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    script: Arc<Script>,
    /// Dropped to end the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What was asked, and what is to fail.
#[derive(Default)]
struct Script {
    calls: Mutex<Vec<&'static str>>,
    failing: Mutex<Option<&'static str>>,
}

impl S3Server {
    /// Starts one with an empty bucket.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("a folder to serve"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let (service, script) = (builder.build(), Arc::<Script>::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("a plain socket");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let told = Arc::clone(&script);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a plain socket");
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, service, told) => {}
                }
            });
        });
        Self { address, folder, script, _stop: stop }
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls since this was asked last.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *lock(&self.script.calls))
    }

    /// From now on, calls of one kind are answered with 500; `None` ends it.
    pub(crate) fn fail(&self, kind: Option<&'static str>) {
        *lock(&self.script.failing) = kind;
    }

    /// The objects of the bucket, as files: an object of a real server is either whole or not there.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let (mut found, mut open) = (Vec::new(), vec![self.folder.path().join(BUCKET)]);
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { open.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

async fn serve(listener: TcpListener, service: S3Service, script: Arc<Script>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (service, script) = (service.clone(), Arc::clone(&script));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, script) = (service.clone(), Arc::clone(&script));
            async move {
                let kind = kind(&request);
                lock(&script.calls).push(kind);
                if *lock(&script.failing) == Some(kind) {
                    let mut failed = Response::new(s3s::Body::empty());
                    *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    return Ok::<_, Infallible>(failed);
                }
                Ok(service.call(request.map(s3s::Body::from)).await.expect("s3s answers"))
            }
        });
        tokio::spawn(async move {
            // A client that goes away is no failure.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// Names a call as the S3 reference does.
fn kind(request: &Request<Incoming>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match *request.method() {
        Method::GET if has("list-type") => "ListObjectsV2",
        Method::GET => "GetObject",
        Method::HEAD => "HeadObject",
        Method::PUT if has("partNumber") => "UploadPart",
        Method::PUT => "PutObject",
        Method::POST if has("uploads") => "CreateMultipartUpload",
        Method::POST if has("uploadId") => "CompleteMultipartUpload",
        Method::DELETE if has("uploadId") => "AbortMultipartUpload",
        Method::DELETE => "DeleteObject",
        _ => "something else",
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) const BUCKET: &str = "docket";
pub(crate) const ACCESS_KEY_ID: &str = "test-id";
pub(crate) const SECRET_ACCESS_KEY: &str = "test-secret";
