//! The one writer: gathers the changes that wait into one transaction and one sync.
//!
//! While one group commits, the next gathers, so groups grow with load and a lone change waits for nothing.

use std::path::PathBuf;
use std::sync::Arc;

use docket_oci::digest::Digest;
use docket_oci::name::RepositoryName;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::StoreError;
use crate::cache::RowCache;
use crate::change::{Change, Outcome};
use crate::collect::remove;
use crate::decide::{Ids, Run};
use crate::error::{is_disk_full, is_io_failure};
use crate::keys::DataFolder;
use crate::sql::{Value, execute, open_writer};
use crate::stats::count_group;

type Reply = oneshot::Sender<Result<Outcome, StoreError>>;

/// The way to the writer task. Dropping it lets the task finish what is queued and end.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<(Change, Reply)>,
    /// The folder, if it is a restored copy that takes no changes.
    restored: Option<PathBuf>,
}

/// What the store joins at shutdown.
#[derive(Debug)]
pub(crate) struct WriterTasks {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
}

impl Writer {
    /// Opens the writing connection and starts the task.
    pub(crate) async fn start(
        folder: &DataFolder,
        cache: Arc<RowCache>,
        copying: Arc<RwLock<()>>,
        is_restored: bool,
    ) -> Result<(Self, WriterTasks), StoreError> {
        let mut connection = open_writer(&folder.database()).await?;
        let ids = Ids::load(&mut connection).await.map_err(StoreError::database("read the last numbers"))?;
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (committed, commits) = mpsc::channel(1);
        let checkpoints = open_writer(&folder.database()).await?;
        let task = WriterTask { connection, ids, cache, folder: folder.clone(), copying, committed };
        let tasks = WriterTasks {
            writer: tokio::spawn(task.run(waiting)),
            checkpointer: tokio::spawn(checkpoint(checkpoints, commits)),
        };
        let restored = is_restored.then(|| folder.root().to_owned());
        Ok((Self { queue, restored }, tasks))
    }

    /// Changes that wait.
    pub(crate) fn waiting(&self) -> u64 {
        (self.queue.max_capacity() - self.queue.capacity()) as u64
    }

    /// Queues a change and waits until it is durable or refused. If the caller goes away meanwhile the change
    /// may still be made.
    pub(crate) async fn write(&self, change: Change) -> Result<Outcome, StoreError> {
        if let Some(folder) = &self.restored {
            return Err(StoreError::Restored(folder.clone()));
        }
        let (reply, answer) = oneshot::channel();
        self.queue.try_send((change, reply)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Stopped,
        })?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

impl WriterTasks {
    /// Waits for the queue to drain; the `Writer` must have been dropped.
    pub(crate) async fn join(self) {
        for (name, task) in [("writer", self.writer), ("checkpointer", self.checkpointer)] {
            if let Err(failure) = task.await {
                error!(task = name, %failure, "store task failed");
            }
        }
    }
}

struct WriterTask {
    connection: SqliteConnection,
    ids: Ids,
    cache: Arc<RowCache>,
    folder: DataFolder,
    copying: Arc<RwLock<()>>,
    committed: mpsc::Sender<()>,
}

impl WriterTask {
    async fn run(mut self, mut waiting: mpsc::Receiver<(Change, Reply)>) {
        while let Some(first) = waiting.recv().await {
            let mut weight = first.0.weight();
            let (mut changes, mut replies) = (vec![first.0], vec![first.1]);
            while changes.len() < GROUP_CHANGES_MAX
                && weight < GROUP_BYTES_MAX
                && let Ok((change, reply)) = waiting.try_recv()
            {
                weight += change.weight();
                changes.push(change);
                replies.push(reply);
            }
            self.commit(changes, replies).await;
            self.bound_log().await;
        }
        // Drops the way to the checkpointer besides, which has the last word.
        let _ = self.connection.close().await;
    }

    /// Commits a group; if the database refuses it, its members one by one, so that one bad member fails alone.
    async fn commit(&mut self, changes: Vec<Change>, replies: Vec<Reply>) {
        match self.transact(&changes).await {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // A caller that went away does not mind.
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(failure) if changes.len() == 1 => {
                let _ = replies.into_iter().next().map(|reply| reply.send(Err(failure)));
            }
            Err(_) => {
                for (change, reply) in changes.into_iter().zip(replies) {
                    let outcome = self.transact(std::slice::from_ref(&change)).await;
                    let _ = reply.send(outcome.map(|mut outcomes| outcomes.remove(0)));
                }
            }
        }
    }

    /// One transaction. A crash before the commit leaves nothing; after it, everything.
    async fn transact(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, StoreError> {
        let result = self.try_transact(changes).await;
        match result {
            Ok(outcomes) => {
                count_group(changes.len());
                self.cache.forget(changes, &outcomes);
                let _ = self.committed.try_send(());
                Ok(outcomes)
            }
            Err(source) => {
                if is_io_failure(&source) {
                    end(&format!("writing to the database failed: {source}"));
                }
                self.reopen().await;
                if is_disk_full(&source) {
                    return Err(StoreError::DiskFull(self.folder.root().to_owned()));
                }
                Err(StoreError::Database { verb: "commit", source })
            }
        }
    }

    /// After a failure nothing in memory is trusted: not the connection, which SQLite may have rolled back by itself, and
    /// not the numbers given to names that were never stored.
    async fn reopen(&mut self) {
        let connection = open_writer(&self.folder.database()).await;
        let loaded = match connection {
            Ok(mut connection) => Ids::load(&mut connection).await.map(|ids| (connection, ids)).ok(),
            Err(_) => None,
        };
        let Some((connection, ids)) = loaded else {
            end("the database could not be opened again after a failed write")
        };
        self.connection = connection;
        self.ids = ids;
    }

    async fn try_transact(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let additions = rest.iter().take_while(|change| !is_alone(change)).count();
            if additions == 0 {
                outcomes.push(run_alone(&mut transaction, first).await?);
                rest = &rest[1..];
                continue;
            }
            let (run_of, after) = rest.split_at(additions);
            let mut run = Run::load(&mut transaction, &mut self.ids, run_of).await?;
            outcomes.extend(run_of.iter().map(|change| run.decide(change)));
            run.into_rows().flush(&mut transaction).await?;
            rest = after;
        }
        transaction.commit().await?;
        Ok(outcomes)
    }

    /// The log cannot restart while commits keep coming, so past a size the writer waits for one whole checkpoint. While
    /// the folder is copied the log grows instead: the copy reads from it, and the writer would wait for its end.
    async fn bound_log(&mut self) {
        let Ok(_not_copied) = self.copying.try_read() else { return };
        if std::fs::metadata(self.folder.log()).is_ok_and(|log| log.len() > LOG_BYTES_MAX)
            && let Err(source) = execute(&mut self.connection, "PRAGMA wal_checkpoint(TRUNCATE)", &[]).await
        {
            warn!(%source, "the write-ahead log could not be cut");
        }
    }
}

/// Ends the process at once: what is on disk is unknown, and a later read could show what is not there.
pub(crate) fn end(why: &str) -> ! {
    error!(why, "ending, so that nothing false is answered");
    std::process::abort()
}

/// Whether a change runs by itself: it removes, or is of a table that nothing else speaks of.
fn is_alone(change: &Change) -> bool {
    match change {
        Change::DeleteBlob { .. } | Change::Cosign { .. } | Change::Remove(_) => true,
        Change::PutBlob { .. }
        | Change::MountBlob { .. }
        | Change::Registry(..)
        | Change::Append(_)
        | Change::Place(_) => false,
    }
}

/// These are rare: each runs by itself, between the runs of the others around it.
async fn run_alone(connection: &mut SqliteConnection, change: &Change) -> Result<Outcome, sqlx::Error> {
    let deleted = match change {
        Change::DeleteBlob { repository, digest } => {
            let keys = stored_ids(connection, repository, digest).await?;
            execute(connection, "DELETE FROM blob_link WHERE repo_id = $1 AND digest_id = $2", &keys).await?
        }
        Change::Cosign { row, keep_size } => {
            const KEEP: &str = "INSERT INTO cosignature (witness, tree_size, line) VALUES ($1, $2, $3) \
                ON CONFLICT (witness, tree_size) DO UPDATE SET line = excluded.line";
            const FORGET: &str = "DELETE FROM cosignature WHERE witness = $1 AND tree_size <> $2 AND tree_size <> $3";
            let (witness, size) = (Value::from(row.witness.as_str()), Value::from(row.tree_size));
            execute(connection, KEEP, &[witness.clone(), size.clone(), row.line.as_str().into()]).await?;
            execute(connection, FORGET, &[witness, size, (*keep_size).into()]).await?;
            return Ok(Outcome::Done);
        }
        Change::Remove(removal) => return remove(connection, removal).await,
        Change::PutBlob { .. }
        | Change::MountBlob { .. }
        | Change::Registry(..)
        | Change::Append(_)
        | Change::Place(_) => unreachable!("the others are decided in runs"),
    };
    Ok(if deleted == 0 { Outcome::NotFound } else { Outcome::Done })
}

/// The numbers of a repository and of a digest; none matches no row.
async fn stored_ids(
    connection: &mut SqliteConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<[Value; 2], sqlx::Error> {
    const IDS: &str = "SELECT (SELECT id FROM repo WHERE name = $1), (SELECT id FROM digest WHERE value = $2)";
    let row = sqlx::query(IDS).bind(repository.as_str()).bind(digest.to_key()).fetch_one(connection).await?;
    Ok([row.try_get::<Option<i64>, _>(0)?.into(), row.try_get::<Option<i64>, _>(1)?.into()])
}

/// Moves committed pages into the database file, off the writer's path.
async fn checkpoint(mut connection: SqliteConnection, mut commits: mpsc::Receiver<()>) {
    let mut since = 0_u32;
    while commits.recv().await.is_some() {
        since += 1;
        if since >= COMMITS_PER_CHECKPOINT {
            since = 0;
            match execute(&mut connection, "PRAGMA wal_checkpoint(PASSIVE)", &[]).await {
                Err(source) if is_io_failure(&source) => end(&format!("a checkpoint failed: {source}")),
                Err(source) => warn!(%source, "a checkpoint failed; the next one makes it good"),
                Ok(_) => {}
            }
        }
    }
    // A clean end leaves no log behind; if this fails the next start replays it. It stands here and not in the writer's task
    // because SQLite refuses two checkpoints at once, without waiting.
    let _ = execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)", &[]).await;
    let _ = connection.close().await;
}

/// Changes that may wait for the writer.
const QUEUE_MAX: usize = 4096;
/// Changes in one transaction.
const GROUP_CHANGES_MAX: usize = 256;
/// Bytes after which a group takes no more.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Groups between two checkpoints.
const COMMITS_PER_CHECKPOINT: u32 = 64;
/// Size of the write-ahead log past which the writer itself waits for a checkpoint.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
