//! A witness after C2SP tlog-witness, on a loopback port: a stand-in for those that others run, which a test cannot have. It
//! keeps to the spec, but for what a test tells it to answer instead, and it keeps what it knows in memory only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use docket_proof::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, parse_add_checkpoint};
use docket_proof::merkle::{EMPTY_ROOT, Hash, verify_consistency};
use docket_proof::note::{NoteError, NoteKey, NoteKeyKind, NoteSigner};

/// The server; it ends with its value.
pub(crate) struct Witness {
    url: String,
    shared: Arc<Shared>,
    /// Dropped to end the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

struct Shared {
    key: NoteSigner,
    log: NoteKey,
    state: Mutex<Known>,
}

struct Known {
    size: u64,
    root: Hash,
    mood: Mood,
    asked: usize,
    /// The old sizes that it was asked from, the last few.
    from: VecDeque<u64>,
}

/// How a witness answers.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// As the spec says.
    Honest,
    /// Always the same: status, content type, body.
    Says(u16, &'static str, String),
    /// With what another key signs.
    Impostor,
    /// With its own signature under something else.
    Absent,
    /// Not at all.
    Silent,
}

impl Witness {
    /// Starts a witness that knows a log by its key, and nothing of it yet.
    pub(crate) fn start(name: &str, log: NoteKey) -> Self {
        let key = NoteSigner::generate(name.parse().expect("a name"), NoteKeyKind::Cosignature);
        let known = Known { size: 0, root: EMPTY_ROOT, mood: Mood::Honest, asked: 0, from: VecDeque::new() };
        let shared = Arc::new(Shared { key, log, state: Mutex::new(known) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/w", listener.local_addr().expect("its address"));
        listener.set_nonblocking(true).expect("a plain socket");
        let router = Router::new().route("/w/add-checkpoint", post(add_checkpoint)).with_state(Arc::clone(&shared));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        // A thread of its own: tests block theirs while a command runs.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a plain socket");
                tokio::select! {
                    _ = stopped => {}
                    _ = axum::serve(listener, router).into_future() => {}
                }
            });
        });
        Self { url, shared, _stop: stop }
    }

    /// Its line in a policy.
    pub(crate) fn line(&self, name: &str) -> String {
        format!("witness {name} {} {}\n", self.shared.key.public(), self.url)
    }

    /// What it knows of the log: as if it had cosigned this once.
    pub(crate) fn knows(&self, checkpoint: &Checkpoint) {
        let mut known = self.shared.known();
        (known.size, known.root) = (checkpoint.size(), *checkpoint.root());
    }

    /// Size of the tree that it cosigned last.
    pub(crate) fn size(&self) -> u64 {
        self.shared.known().size
    }

    /// The old sizes that it was asked from, the last few.
    pub(crate) fn asked_from(&self) -> Vec<u64> {
        self.shared.known().from.iter().copied().collect()
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        self.shared.known().mood = mood;
    }

    /// Waits until it was asked so many times more.
    pub(crate) async fn asked(&self, times: usize) {
        let until = self.shared.known().asked + times;
        let deadline = Instant::now() + ASKED_TIME_MAX;
        while self.shared.known().asked < until {
            assert!(Instant::now() < deadline, "the witness was not asked");
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the spec says, under one lock: the check and what is kept are one step.
    fn judge(&self, request: &str) -> Result<String, (u16, &'static str, String)> {
        let refuse = |status: u16, why: &str| (status, "text/plain", format!("{why}\n"));
        let mut known = self.known();
        known.asked += 1;
        let (old, proof, checkpoint) = parse_add_checkpoint(request).ok_or_else(|| refuse(400, "no such request"))?;
        known.from.push_back(old);
        if known.from.len() > FROM_MAX {
            known.from.pop_front();
        }
        if checkpoint.split('\n').next() != Some(self.log.name().as_str()) {
            return Err(refuse(404, "unknown log"));
        }
        let signed = SignedCheckpoint::open(checkpoint.as_bytes(), &self.log).map_err(|failure| match failure {
            CheckpointError::Note(NoteError::Unsigned | NoteError::BadSignature { .. }) => refuse(403, "not signed"),
            _ => refuse(400, "no checkpoint"),
        })?;
        let newer = signed.checkpoint();
        if old > newer.size() {
            return Err(refuse(400, "the old size is larger"));
        }
        if old != known.size {
            return Err((409, "text/x.tlog.size", format!("{}\n", known.size)));
        }
        if verify_consistency(old, &known.root, newer.size(), newer.root(), &proof).is_err() {
            return Err(refuse(if old == newer.size() { 409 } else { 422 }, "not consistent"));
        }
        (known.size, known.root) = (newer.size(), *newer.root());
        Ok(self.key.sign(signed.note().text(), 1_700_000_000).to_string())
    }
}

async fn add_checkpoint(State(shared): State<Arc<Shared>>, request: String) -> Response {
    let mood = shared.known().mood.clone();
    let lines = match mood {
        Mood::Honest => shared.judge(&request),
        Mood::Says(status, content_type, body) => Err((status, content_type, body)),
        Mood::Impostor => {
            let name = shared.key.public().name().clone();
            let other = NoteSigner::generate(name, NoteKeyKind::Cosignature);
            Ok(other.sign(signed_text(&request), 1_700_000_000).to_string())
        }
        Mood::Absent => Ok(shared.key.sign("another text\n", 1_700_000_000).to_string()),
        Mood::Silent => {
            shared.known().asked += 1;
            std::future::pending().await
        }
    };
    if !matches!(shared.known().mood, Mood::Honest) {
        shared.known().asked += 1;
    }
    match lines {
        Ok(lines) => lines.into_response(),
        Err((status, content_type, body)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
    }
}

/// The text of the note in a request.
fn signed_text(request: &str) -> &str {
    let checkpoint = request.split_once("\n\n").map_or("", |(_, checkpoint)| checkpoint);
    checkpoint.find("\n\n").map_or("", |end| &checkpoint[..=end])
}

const ASKED_TIME_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
const FROM_MAX: usize = 8;
