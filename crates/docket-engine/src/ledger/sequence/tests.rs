//! Batches put together by hand, so that two candidates stand in one for certain.

use docket_judge::policy::{Basis, Module, Rules};
use docket_oci::digest::{Algorithm, Digest};
use docket_proof::key::SigningKey;
use docket_proof::note::{NoteKeyKind, NoteSigner};
use docket_proof::statement::{Content, Draft, SignedStatement};
use docket_proof::subject::Subject;
use docket_store::keys::DataFolder;
use docket_store::{BlobStorage, HeadGuard, Store};

use super::*;
use crate::clock::Clock;
use crate::conduct::Conduct;
use crate::instance::Options;
use crate::keys::KeySources;
use crate::ledger::batch::History;
use crate::ledger::{Identity, Ledger};

const NOW: i64 = 1_700_000_000;

/// A sequencer that no pool feeds.
struct Bench {
    sequencer: Sequencer,
    key: SigningKey,
    _folder: tempfile::TempDir,
    _sizes: mpsc::Receiver<u64>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path().join("data"));
        let log = "registry.wabbit.example/log";
        let identity = Identity {
            service: "https://registry.wabbit.example".parse().expect("a URI"),
            log: log.to_owned(),
            checkpoint_key: NoteSigner::generate(log.parse().expect("a name"), NoteKeyKind::Ed25519),
        };
        let store = Store::create(data.clone(), &[]).await.expect("created");
        let keys = ServiceKeys::create(&data, &identity.service, None).expect("keys");
        let point = Ledger::genesis(&store, &identity, &keys, NOW).await.expect("a genesis");
        HeadGuard::create(&data.guard(), point).expect("a guard");
        store.close().await;
        let store = Arc::new(Store::open(data, BlobStorage::Files).await.expect("opened"));
        let options = Options {
            clock: Clock::new(|| NOW),
            crash_at: None,
            conduct: Conduct::default(),
            observe: crate::observe::Observe::default(),
            upload_idle_seconds_max: 3600,
            storage: BlobStorage::Files,
            witnesses: None,
            keys: KeySources::default(),
        };
        let (shared, frontier) = load::open(store, identity, keys, &options).await.expect("opened");
        let (grown, sizes) = mpsc::channel(1);
        let sequencer = Sequencer::new(Arc::new(shared), frontier, grown);
        Self { sequencer, key: SigningKey::generate(), _folder: folder, _sizes: sizes }
    }

    fn size(&self) -> u64 {
        self.sequencer.shared.read(|state| state.head.size)
    }

    /// Something about an artifact, decided just now by what is in force.
    fn job(&self, artifact: u8, text: &str) -> StatementJob {
        let subject = Digest::of(Algorithm::Sha256, &[artifact]);
        let draft = Draft {
            issuer: "https://wabbit.example".parse().expect("a URI"),
            subject: Subject::artifact(&"net-monitor".parse().expect("a name"), &subject),
            issued_at: Some(NOW),
            content: Content::Payload { media_type: "text/plain".to_owned(), bytes: text.as_bytes().to_vec() },
            typ: None,
        };
        let statement = SignedStatement::decode(&draft.sign(&self.key).expect("signed")).expect("decoded");
        let candidate = Candidate {
            statement: statement.verify(self.key.public()).expect("verified"),
            basis: Basis { issuer_entry: 0, policy_entry: 0, decided_at: NOW },
            history: None,
            place: None,
            effect: Effect::None,
            new_key: None,
        };
        let policy_entry = self.sequencer.shared.read(|state| state.policy.entry);
        StatementJob { candidate, policy_entry, reply: oneshot::channel().0 }
    }

    /// The same, decided by what was said about it before.
    fn by_history(&self, artifact: u8, text: &str) -> StatementJob {
        let mut job = self.job(artifact, text);
        let subject = EntrySubject::Artifact(Digest::of(Algorithm::Sha256, &[artifact]));
        job.candidate.history = Some(History { subject, size: self.size() });
        job
    }

    /// Logs one batch: whether each job got its index, in order, or was sent back.
    async fn log(&mut self, jobs: Vec<StatementJob>) -> Vec<Option<u64>> {
        let (mut with_replies, mut answers) = (Vec::new(), Vec::new());
        for job in jobs {
            let (reply, answer) = oneshot::channel();
            with_replies.push(Job::Statement(Box::new(StatementJob { reply, ..job })));
            answers.push(answer);
        }
        self.sequencer.log(with_replies).await;
        let mut outcomes = Vec::new();
        for answer in answers {
            outcomes.push(match answer.await.expect("answered").expect("no failure") {
                Logged::Done { index, .. } => Some(index),
                Logged::DecideAgain => None,
            });
        }
        outcomes
    }
}

#[tokio::test]
async fn of_two_in_a_batch_that_were_decided_by_the_same_history_the_second_is_decided_again() {
    let mut bench = Bench::new().await;
    let batch = vec![bench.by_history(1, "a"), bench.by_history(1, "b"), bench.by_history(2, "c")];
    assert_eq!(bench.log(batch).await, [Some(1), None, Some(2)]);
    // Whatever else is said about the subject counts, decided by history or not.
    let batch = vec![bench.job(3, "d"), bench.by_history(3, "e"), bench.job(3, "f")];
    assert_eq!(bench.log(batch).await, [Some(3), None, Some(4)]);
    let again = vec![bench.by_history(1, "b"), bench.by_history(3, "e")];
    assert_eq!(bench.log(again).await, [Some(5), Some(6)]);
}

#[tokio::test]
async fn what_was_decided_before_its_subject_gained_an_entry_is_decided_again() {
    let mut bench = Bench::new().await;
    let (late, elsewhere) = (bench.by_history(1, "late"), bench.by_history(2, "elsewhere"));
    let first = vec![bench.by_history(1, "first")];
    assert_eq!(bench.log(first).await, [Some(1)]);
    assert_eq!(bench.log(vec![late, elsewhere]).await, [None, Some(2)]);
    // The same entry twice is one entry, and no history of itself.
    let twice = vec![bench.by_history(4, "twice"), bench.by_history(4, "twice")];
    let outcomes = bench.log(twice).await;
    assert_eq!(outcomes[0], Some(3));
}

#[tokio::test]
async fn behind_a_change_of_what_is_in_force_all_is_decided_again() {
    let mut bench = Bench::new().await;
    let text = "package docket.registration\nallow := false".to_owned();
    let rules = Rules::compile(vec![Module { name: "m".to_owned(), text }]).expect("a policy");
    let mut change = bench.job(9, "the change");
    change.candidate.effect = Effect::SetPolicy(Arc::new(rules));
    let (before, behind, later) = (bench.job(1, "before"), bench.job(1, "behind"), bench.job(2, "later"));
    assert_eq!(bench.log(vec![before, change, behind]).await, [Some(1), Some(2), None]);
    assert_eq!(bench.sequencer.shared.read(|state| (state.policy.entry, state.policy.policy.entry())), (2, 2));
    // Decided before the change, sent after it.
    assert_eq!(bench.log(vec![later]).await, [None]);
}

#[tokio::test]
async fn a_decision_that_is_too_old_or_not_made_yet_is_made_again() {
    let mut bench = Bench::new().await;
    for (age, logged) in [(0, true), (DECISION_AGE_MAX, true), (DECISION_AGE_MAX + 1, false), (-1, false)] {
        let mut job = bench.job(1, &format!("{age} seconds old"));
        job.candidate.basis = Basis { issuer_entry: 1, policy_entry: 0, decided_at: NOW - age };
        assert_eq!(bench.log(vec![job]).await[0].is_some(), logged, "{age} seconds old");
        // What the service itself says may have waited for its signature.
        let mut own = bench.job(2, &format!("own, {age} seconds old"));
        own.candidate.basis.decided_at = NOW - age;
        assert!(bench.log(vec![own]).await[0].is_some());
    }
}
