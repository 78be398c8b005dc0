//! The upload sessions that are open: whose they are, how many there may be, when they expire, how they outlive the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docket_oci::digest::Algorithm;
use docket_oci::name::RepositoryName;
use docket_store::{Blobs, ChunkStart, SessionNote, Staging, StoreError};
use futures_util::FutureExt as _;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::access::{Permit, Right, WrongPermit};
use crate::clock::Clock;
use crate::error::EngineError;

/// The open sessions, and the task that ends idle ones.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub sessions: Arc<Sessions>,
    /// Dropped to end the task.
    stop: oneshot::Sender<()>,
    sweeper: JoinHandle<()>,
}

/// The open sessions by id.
#[derive(Debug)]
pub(crate) struct Sessions {
    blobs: Blobs,
    clock: Clock,
    idle_seconds_max: i64,
    open: Mutex<HashMap<String, Session>>,
    /// Writes for clients that went away in the middle.
    afterwards: TaskTracker,
}

/// Whose a session is. Nobody else learns that it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub repository: RepositoryName,
    account: String,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    owner: Owner,
    last_used: i64,
    /// Bytes so far; read by whoever asks how far it is, while another request writes.
    pub received: Arc<AtomicU64>,
    /// Held by the request that writes; `None` once finished or spoilt.
    pub staging: Arc<tokio::sync::Mutex<Option<Staging>>>,
}

impl Uploads {
    /// Takes up the sessions that an earlier process left, but those that have been idle for too long.
    pub(crate) async fn open(blobs: Blobs, clock: Clock, idle_seconds_max: u64) -> Result<Self, StoreError> {
        let store = blobs.clone();
        let left = tokio::task::spawn_blocking(move || store.left_sessions()).await;
        let left = left.map_err(|_| StoreError::Stopped)??;
        let now = clock.now();
        let open = left.into_iter().map(|left| {
            let owner = Owner { repository: left.note.repository, account: left.note.account };
            // The file system's clock need not be ours.
            let last_used = left.note.opened_at.max(left.written_at).min(now);
            (left.id, Session::new(owner, last_used, left.staging))
        });
        let sessions = Arc::new(Sessions {
            blobs,
            clock,
            idle_seconds_max: i64::try_from(idle_seconds_max).unwrap_or(i64::MAX),
            open: Mutex::new(open.collect()),
            afterwards: TaskTracker::new(),
        });
        sessions.sweep().await;
        let (stop, stopped) = oneshot::channel();
        let sweeper = tokio::spawn(sweep(Arc::clone(&sessions), stopped));
        Ok(Self { sessions, stop, sweeper })
    }

    /// Ends the task and writes every session out, for the next start to take up. No request may be left.
    pub(crate) async fn close(self) {
        drop(self.stop);
        if let Err(failure) = self.sweeper.await {
            tracing::error!(%failure, "the sweep of idle uploads failed");
        }
        self.sessions.afterwards.close();
        self.sessions.afterwards.wait().await;
        let open = std::mem::take(&mut *self.sessions.lock());
        for (id, session) in open {
            let Some(staging) = session.staging.lock().await.take() else { continue };
            if let Err(failure) = staging.keep().await {
                tracing::warn!(id, %failure, "an upload could not be written out whole; its client sends the rest again");
            }
        }
    }
}

impl Sessions {
    /// Opens a session and gives its id.
    pub(super) async fn start(&self, owner: Owner, algorithm: Algorithm) -> Result<String, EngineError> {
        let now = self.clock.now();
        self.room_for(&owner).await?;
        let id = uuid::Uuid::new_v4().to_string();
        let (repository, account) = (owner.repository.clone(), owner.account.clone());
        let note = SessionNote { repository, account, algorithm, opened_at: now };
        let (blobs, name) = (self.blobs.clone(), id.clone());
        let staging = tokio::task::spawn_blocking(move || blobs.open_session(&name, &note)).await;
        let staging = staging.map_err(|_| StoreError::Stopped)??;
        let mut open = self.lock();
        // Others may have come first meanwhile.
        check_room(&open, &owner)?;
        open.insert(id.clone(), Session::new(owner, now, staging));
        Ok(id)
    }

    /// The session of this id, if it is the caller's. Asking counts as use.
    pub(super) fn find(&self, owner: &Owner, id: &str) -> Result<Session, EngineError> {
        let mut open = self.lock();
        let session = open.get_mut(id).filter(|session| session.owner == *owner);
        let session = session.ok_or_else(|| EngineError::UploadUnknown(id.to_owned()))?;
        session.last_used = self.clock.now();
        Ok(session.clone())
    }

    /// Forgets a session; its bytes go with whoever holds them.
    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Hands to the disk what a request left in a session when it was refused or its client went away, without the chunk
    /// that did not come whole. Usually that is done at once; while a write is in flight, the session stays busy until it has
    /// ended.
    pub(super) fn rest(&self, mut staging: OwnedMutexGuard<Option<Staging>>, chunk: Option<ChunkStart>) {
        let Some(content) = staging.as_mut() else { return };
        // Without a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        match leave(content, chunk.as_ref()).now_or_never() {
            Some(Ok(())) => {}
            Some(Err(_)) => *staging = None,
            None => {
                let rest = async move {
                    if let Some(content) = staging.as_mut()
                        && leave(content, chunk.as_ref()).await.is_err()
                    {
                        *staging = None;
                    }
                };
                self.afterwards.spawn_on(rest, &runtime);
            }
        }
    }

    async fn room_for(&self, owner: &Owner) -> Result<(), EngineError> {
        if check_room(&self.lock(), owner).is_ok() {
            return Ok(());
        }
        self.sweep().await;
        check_room(&self.lock(), owner)
    }

    /// Ends the sessions that have been idle for too long. One that a request is writing to never is.
    async fn sweep(&self) {
        let now = self.clock.now();
        let expired: Vec<_> = self
            .lock()
            .extract_if(|_, session| session.last_used + self.idle_seconds_max <= now && !session.is_busy())
            .collect();
        if !expired.is_empty() {
            tracing::info!(uploads = expired.len(), "idle uploads ended");
            // Removing large files takes its time.
            let _ = tokio::task::spawn_blocking(move || drop(expired)).await;
        }
    }

    /// Sessions that are open.
    pub(crate) fn open_now(&self) -> u64 {
        self.lock().len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// Whoever may push here.
    pub(super) fn of(permit: &Permit) -> Result<Self, WrongPermit> {
        let repository = permit.repository(Right::Push)?.clone();
        Ok(Self { repository, account: permit.account().to_string() })
    }
}

impl Session {
    fn new(owner: Owner, last_used: i64, staging: Staging) -> Self {
        let received = Arc::new(AtomicU64::new(staging.size()));
        Self { owner, last_used, received, staging: Arc::new(tokio::sync::Mutex::new(Some(staging))) }
    }

    /// Bytes so far, also while a request is writing.
    pub(super) fn size(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Whether a request is writing to it.
    fn is_busy(&self) -> bool {
        self.staging.try_lock().is_err()
    }
}

async fn leave(content: &mut Staging, chunk: Option<&ChunkStart>) -> Result<(), StoreError> {
    if let Some(chunk) = chunk {
        content.take_back(chunk).await?;
    }
    content.rest().await
}

/// Looks for idle sessions until it is told to stop.
async fn sweep(sessions: Arc<Sessions>, mut stopped: oneshot::Receiver<()>) {
    let idle = Duration::from_secs(sessions.idle_seconds_max.unsigned_abs());
    let mut ticks = tokio::time::interval((idle / 4).clamp(SWEEP_PERIOD_MIN, SWEEP_PERIOD_MAX));
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            _ = ticks.tick() => sessions.sweep().await,
        }
    }
}

/// Looks at every session, but pushes that open one are rare beside everything else they do.
fn check_room(open: &HashMap<String, Session>, owner: &Owner) -> Result<(), EngineError> {
    if open.len() >= UPLOADS_MAX {
        return Err(EngineError::TooManyUploads);
    }
    let theirs = open.values().filter(|session| session.owner.account == owner.account).count();
    if theirs >= ACCOUNT_UPLOADS_MAX { Err(EngineError::TooManyUploadsOfAccount) } else { Ok(()) }
}

/// Sessions open at once.
const UPLOADS_MAX: usize = 10_000;
/// Sessions that one account may have open at once.
const ACCOUNT_UPLOADS_MAX: usize = 1_000;
/// How often idle sessions are looked for: four times in the idle time, within these bounds.
const SWEEP_PERIOD_MIN: Duration = Duration::from_millis(250);
const SWEEP_PERIOD_MAX: Duration = Duration::from_mins(1);
