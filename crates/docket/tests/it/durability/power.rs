//! Power loss: the server's work is traced once, and then the power goes at every sync and every answer of it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use docket_engine::Instance;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::disk::{Disk, Obeys, WHOLE};
use super::promises::{Answers, Fact, Promise, Promises};
use super::trace::{Call, FAST, Step, Trace, strace, traced};
use super::workload::work;
use crate::harness::{Ask as _, SERVICE, Site, bytes_of, docket_under, said, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn a_power_loss_at_any_moment_loses_nothing_that_was_answered() {
    let story = Story::recorded().await;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos();
    let (moments, losses) = story.losses(|_, _| true, seed.into(), 0).await;
    assert!(moments >= MOMENTS_MIN, "only {moments} moments");
    assert!(losses.is_empty(), "seed {seed}: {} losses in {moments} moments, such as\n{}", losses.len(), losses[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_skips_one_kind_of_sync_is_noticed() {
    let kinds: [(&str, Obeys); 5] = [
        ("the log's content", |name, _| !name.ends_with("-wal")),
        ("the database's content", |name, _| name != "docket.db"),
        ("the content of blobs", |name, is_folder| is_folder || name.len() < 32),
        ("the names of blobs", |name, is_folder| !is_folder || ["", "data"].contains(&name)),
        ("the names in the data folder", |name, is_folder| !is_folder || name != "data"),
    ];
    let story = Story::recorded().await;
    let last = *story.answers.values().max().expect("there were answers");
    for (kind, obeys) in kinds {
        let (_, losses) = story.losses(obeys, 1, last).await;
        assert!(!losses.is_empty(), "nothing was lost without syncs of {kind}");
    }
}

#[tokio::test]
async fn what_a_killed_server_left_unsynced_is_durable_before_it_is_read() {
    let (site, init) = created();
    let blob = bytes_of(1, 500);
    let digest = sha256(&blob);
    // The first two syncs are of the new log and of its name, the third is the commit's: there the server dies.
    let (mut server, tracing) = traced(&site, &["-e", "inject=fsync:signal=KILL:when=3"]);
    let push = server.repository("a").request("POST", &format!("blobs/uploads/?digest={digest}")).body(blob.clone());
    assert!(push.try_answer().await.is_none(), "the commit was not synced");
    server.died().await;
    let killed = tracing.finish();

    let (server, tracing) = traced(&site, &[FAST]);
    let read = server.repository("a").request("GET", &format!("blobs/{digest}")).expect(200).await;
    let request = read.header("x-request-id").expect("every answer names its request").to_owned();
    server.stop().await;
    let second = tracing.finish();

    let mut disk = Disk::new(site.folder(), |_, _| true);
    disk.follow(&init);
    disk.follow(&killed);
    let answers = |step: &&Step| matches!(step, Step::Begins(number) if answered(&second.calls[*number]).as_ref() == Some(&request));
    for step in second.steps.iter().take_while(|step| !answers(step)) {
        disk.take(*step, &second);
    }
    let folder = survivors(&disk, Kept::Nothing, &mut Random(1));
    let read = Promise { request: Some(request), changes: vec![(Fact::Blob("a", digest), Some(blob))] };
    let promises = Promises::new(vec![read], site.receipt_key());
    assert_eq!(promises.check(&folder.path().join("data"), |_| true).await, [""; 0]);
}

#[tokio::test]
async fn a_backup_and_a_restored_copy_are_there_once_their_commands_have_ended() {
    let (site, init) = created();
    let [data, backup, copy] = ["data", "backup", "copy"].map(|name| site.folder().join(name).display().to_string());
    let create = command(&site, &["backup", "create", "--data", &data, "--out", &backup]);
    let restore = command(&site, &["backup", "restore", "--from", &backup, "--data", &copy]);
    let mut disk = Disk::new(site.folder(), |_, _| true);
    [init, create, restore].iter().for_each(|trace| disk.follow(trace));
    let folder = survivors(&disk, Kept::Nothing, &mut Random(1));
    let promises = Promises::new(Vec::new(), site.receipt_key());
    assert_eq!(promises.check(&folder.path().join("copy"), |_| true).await, [""; 0]);
    let again = folder.path().join("again");
    Instance::restore(&folder.path().join("backup"), &again).await.expect("the backup is whole");
    assert_eq!(promises.check(&again, |_| true).await, [""; 0]);
}

/// What a server did for its clients, from `docket init` to its end.
struct Story {
    top: PathBuf,
    init: Trace,
    serve: Trace,
    promises: Promises,
    answers: Answers,
}

/// How much of what was not synced survives.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Nothing,
    Something,
}

impl Story {
    async fn recorded() -> &'static Self {
        static STORY: OnceCell<Story> = OnceCell::const_new();
        STORY.get_or_init(Self::record).await
    }

    async fn record() -> Self {
        let (site, init) = created();
        let (server, tracing) = traced(&site, &[FAST]);
        let issuer = site.admit("wabbit");
        let key = site.receipt_key();
        let promises = Promises::new(work(&site, &server, &issuer, ROUNDS).await, key);
        // What was deleted goes from the disk too, and takes nothing else along.
        let collected = site.docket(&["gc", "--grace", "0s"]);
        assert!(collected.status.success(), "docket gc: {}", said(&collected));
        server.stop().await;
        site.fsck_clean();
        let serve = tracing.finish();
        let answers = serve.steps.iter().enumerate().filter_map(|(at, step)| match step {
            Step::Begins(number) => Some((answered(&serve.calls[*number])?, at)),
            Step::Ends(_) => None,
        });
        let answers: Answers = answers.collect();
        for request in promises.requests() {
            assert!(answers.contains_key(request), "the answer to {request} is not in the trace");
        }
        Self { top: site.folder().to_owned(), init, serve, promises, answers }
    }

    /// Cuts the power before each sync takes effect and after each answer, from a step on. Gives how many moments these
    /// were, and what had been promised and was lost.
    async fn losses(&'static self, obeys: Obeys, seed: u64, from: usize) -> (usize, Vec<String>) {
        let mut disk = Disk::new(&self.top, obeys);
        disk.follow(&self.init);
        let (database, last) = (Path::new("data/docket.db"), self.answers.values().max());
        let created = disk.edits(database);
        let (mut random, mut moments, mut synced) = (Random(seed | 1), 0, true);
        let (mut checks, mut losses) = (JoinSet::new(), Vec::new());
        for (at, step) in self.serve.steps.iter().enumerate() {
            let (is_sync, is_answer) = match step {
                Step::Ends(number) => (self.serve.calls[*number].is_sync(), false),
                Step::Begins(number) => (false, answered(&self.serve.calls[*number]).is_some()),
            };
            let cuts: &[_] = match (is_sync, is_answer) {
                (true, _) if synced => &[Kept::Nothing, Kept::Something],
                // As much is durable as at the moment before.
                (true, _) => &[Kept::Something],
                (false, true) => &[Kept::Nothing],
                (false, false) => &[],
            };
            synced = is_sync || synced && !is_answer;
            for how in cuts.iter().filter(|_| at >= from) {
                if checks.len() == CHECKS_MAX {
                    losses.extend(checks.join_next().await.expect("there are some").expect("no check panics"));
                }
                moments += 1;
                checks.spawn(self.check(at, *how, survivors(&disk, *how, &mut random)));
            }
            disk.take(*step, &self.serve);
            let cut = disk.edits(database) > created;
            assert!(
                cut || last != Some(&at),
                "the log must be cut while the server works, else half of SQLite is not seen"
            );
        }
        checks.spawn(self.check(usize::MAX, Kept::Nothing, survivors(&disk, Kept::Nothing, &mut random)));
        losses.extend(checks.join_all().await.into_iter().flatten());
        (moments, losses)
    }

    /// Says what was lost at a step.
    async fn check(&self, at: usize, how: Kept, folder: tempfile::TempDir) -> Option<String> {
        let answered = |request: &str| self.answers.get(request).is_some_and(|answered| *answered <= at);
        let problems = self.promises.check(&folder.path().join("data"), answered).await;
        (!problems.is_empty())
            .then(|| format!("power lost at step {at}, {how:?} kept of what was not synced: {problems:#?}"))
    }
}

/// A site, and how its data folder was made.
fn created() -> (Site, Trace) {
    let site = Site::without_data();
    let data = site.data().display().to_string();
    let init = command(&site, &["init", "--service-id", SERVICE, "--data", &data]);
    (site, init)
}

/// What a command did from its start to its end.
fn command(site: &Site, arguments: &[&str]) -> Trace {
    let (strace, tracing) = strace(site.folder(), &[FAST]);
    let strace: Vec<_> = strace.iter().map(String::as_str).collect();
    let ended = docket_under(&strace).args(arguments).output().expect("strace starts");
    assert!(ended.status.success(), "docket {arguments:?}: {}", said(&ended));
    tracing.finish()
}

/// The request that a call answers.
fn answered(call: &Call) -> Option<String> {
    if !["write", "writev", "sendto", "sendmsg"].contains(&call.name.as_str()) {
        return None;
    }
    let sent = call.bytes(1);
    let head = String::from_utf8_lossy(&sent[..sent.len().min(HEAD_BYTES_MAX)]);
    let (_, rest) = head.strip_prefix("HTTP/1.1 ")?.split_once("\r\nx-request-id: ")?;
    rest.split("\r\n").next().map(str::to_owned)
}

fn survivors(disk: &Disk, how: Kept, random: &mut Random) -> tempfile::TempDir {
    // In memory where there is such a place: the copy needs to survive nothing.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a temporary folder");
    disk.survivors(folder.path(), &mut || match how {
        Kept::Nothing => 0,
        Kept::Something => random.percent(),
    });
    folder
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    /// Often nothing, often everything, else a part.
    fn percent(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 >> 61 {
            0..3 => 0,
            3..6 => WHOLE,
            _ => usize::try_from(self.0 >> 8).expect("64 bits") % WHOLE,
        }
    }
}

/// Enough that the log is cut in the middle, not only at the end.
const ROUNDS: u64 = 14;
const MOMENTS_MIN: usize = 300;
const CHECKS_MAX: usize = 4;
/// Longer than any head that the server sends.
const HEAD_BYTES_MAX: usize = 1024;
