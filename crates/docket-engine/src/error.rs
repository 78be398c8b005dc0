//! What can go wrong in a use case, by whose fault.

use docket_oci::digest::Digest;
use docket_oci::manifest::ManifestError;
use docket_oci::name::{RepositoryName, Tag};
use docket_proof::statement::StatementError;
use docket_store::StoreError;

use crate::access::{Account, Denied, WrongPermit};
use crate::keys::KeyRole;
use crate::signer::SignerError;

/// A use case that did not happen. Nothing was changed unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Caller: the rules say no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Us: a permit for something else was shown.
    #[error(transparent)]
    Permit(#[from] WrongPermit),
    /// Caller: a push by digest or tag would have moved a tag that stands.
    #[error(
        "tag {tag} of {repository} stands already, and {account} may make tags there but not move them: \
         that takes the right `tag` beside `push`; nothing was changed"
    )]
    TagStands {
        /// The tag.
        tag: Tag,
        /// Where.
        repository: RepositoryName,
        /// Who asked.
        account: Account,
    },
    /// Caller: a tag that never moves.
    #[error("tag {tag} stays where it is: {rule}; nothing was changed")]
    TagImmutable {
        /// The tag.
        tag: Tag,
        /// The rule, as it is written.
        rule: String,
    },
    /// Caller: no such repository.
    #[error("there is no repository of this name here")]
    RepositoryUnknown,
    /// Caller: no such manifest.
    #[error("the repository holds no manifest {0}")]
    ManifestUnknown(String),
    /// Caller: no such blob.
    #[error("the repository holds no blob {0}")]
    BlobUnknown(Digest),
    /// Caller: deleting is switched off.
    #[error("this registry does not delete; its operator can change that with `deletes` under [registry]")]
    DeletesOff,
    /// Caller: the manifest breaks a rule.
    #[error("the manifest is refused: {0}")]
    ManifestInvalid(#[from] ManifestError),
    /// Caller: pushed by a digest that the bytes do not have.
    #[error("the content has digest {actual}, but was pushed as {expected}; push it under its own digest")]
    DigestMismatch {
        /// What the caller named.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// Caller: the manifest names content that was not pushed.
    #[error("the repository lacks {} that the manifest names: {}; push them first", count(.0), list(.0))]
    ManifestBlobUnknown(Vec<Digest>),
    /// Caller: no such upload.
    #[error("there is no upload {0} in this repository; it may have ended or expired, start a new one")]
    UploadUnknown(String),
    /// Caller: another request is writing to the upload.
    #[error("another request is writing to this upload; wait for it, then ask for the upload's range")]
    UploadBusy {
        /// Bytes that are certain so far.
        size: u64,
    },
    /// Caller: the chunk does not start where the upload ends.
    #[error("the upload stands at byte {size}; send the chunk that starts there")]
    UploadOffset {
        /// Bytes so far.
        size: u64,
    },
    /// Caller: too many uploads are open.
    #[error("too many uploads are open; finish or cancel some, or wait for idle ones to expire")]
    TooManyUploads,
    /// Caller: too many uploads of this account are open.
    #[error("you have too many uploads open; finish or cancel some, or wait for idle ones to expire")]
    TooManyUploadsOfAccount,
    /// Caller: content above the limit.
    #[error("the blob is larger than {limit} bytes, the most that is taken here")]
    BlobTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Issuer: the statement is malformed.
    #[error("{0}")]
    Statement(#[from] StatementError),
    /// Issuer: policy refuses the statement.
    #[error("{0}")]
    Refused(#[from] docket_judge::policy::Refusal),
    /// Issuer: only the service itself says such things.
    #[error(
        "a statement with this service's name as `iss`, or with typ {}, is made by the service alone; sign in your own name",
        crate::own::OWN_TYP
    )]
    OwnStatement,
    /// Caller: the place contradicts what is signed, or lacks what is needed there.
    #[error("{0}")]
    Place(#[from] PlaceError),
    /// Caller: too many registrations are waiting.
    #[error("too much is waiting to be registered, or policy is changing; try again in a second")]
    PoolFull,
    /// Operator: the ledger does not take entries.
    #[error("the ledger is read-only: {0}")]
    ReadOnly(String),
    /// Operator: the ledger does not take entries, so a change cannot be observed.
    #[error(
        "nothing was changed: this repository is observed, and the ledger, which is read-only, could not say so: {0}"
    )]
    Unwitnessed(String),
    /// Caller: more tags than one deletion takes where it is observed.
    #[error(
        "the manifest has more than {} tags, the most with which it can be deleted in an observed repository; delete some of \
         the tags first",
        crate::ledger::TAGS_OF_MANIFEST_MAX
    )]
    TooManyTags,
    /// Operator: an issuer of this name stands with other values, or one that the new one could be taken for.
    #[error(
        "issuer {0:?} is already admitted with this name, with this key, or for an identity that the new one may have too; \
         see `docket issuer list`"
    )]
    IssuerExists(String),
    /// Operator: an issuer that could be taken for the service.
    #[error("{0} is this service, or the key is one of its own; issuers have names and keys of their own")]
    IssuerIsService(docket_proof::key::Issuer),
    /// Operator: nobody is called so.
    #[error("no issuer {0:?} is admitted here; see `docket issuer list`")]
    IssuerUnknown(String),
    /// Operator: above the limit.
    #[error("as many issuers are admitted as can be; remove some with `docket issuer remove`")]
    TooManyIssuers,
    /// Operator: texts that are no policy.
    #[error("{0}; nothing was changed")]
    Rules(#[from] docket_judge::policy::RulesError),
    /// Operator: a trial of a policy with too many statements.
    #[error("a policy is tried on at most {} statements at once", crate::trial::TRIED_MAX)]
    TooManyTried,
    /// Operator: a statement of a trial that is not base64.
    #[error("statements to try a policy on must be base64")]
    TriedForm,
    /// Operator: an entry that sets no policy.
    #[error("entry {0} sets no policy; `docket policy show` names the one in force")]
    PolicyUnknown(u64),
    /// Operator: a name that is none.
    #[error("{0:?} is no issuer name; use 1 to 64 of a-z, 0-9, '-', '_' and '.'")]
    IssuerName(String),
    /// Operator: a second change of keys, or one during a backup.
    #[error("another key is being put in force, or a backup is being made; try again once that has ended")]
    KeysBusy,
    /// Operator: no key can take the place of the one in force.
    #[error("{} cannot be replaced: {why}", role.what())]
    NoNextKey {
        /// Which key.
        role: KeyRole,
        /// Why, and what to do.
        why: &'static str,
    },
    /// Operator: a second collection while one is at work.
    #[error("a garbage collection is at work already; wait until it has ended")]
    Collecting,
    /// Operator: a folder is no backup, or no whole one.
    #[error("{folder} cannot be restored: {why}")]
    BackupUnusable {
        /// The folder.
        folder: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Operator: a folder that is to be filled holds things.
    #[error("{0} is not empty; choose another folder, nothing was changed")]
    NotEmpty(std::path::PathBuf),
    /// Operator: a restored copy stays as it is.
    #[error(transparent)]
    Recover(#[from] crate::recover::RecoverError),
    /// Operator: the data folder's settings or keys are unusable.
    #[error("{what} in the data folder is unusable: {why}")]
    Settings {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Stored data: a proof of our own does not hold.
    #[error("stored data does not prove: {0}; run `docket fsck`")]
    Unproven(String),
    /// Peer: what a witness answered is no cosignature of the checkpoint.
    #[error("the witness {witness} did not cosign the checkpoint: {why}")]
    Cosignature {
        /// Its name.
        witness: String,
        /// What is wrong.
        why: String,
    },
    /// Environment: the batch could not be stored, and certainly was not.
    #[error("nothing was logged, try again: {0}")]
    NotLogged(std::sync::Arc<StoreError>),
    /// Environment: there is no signature, so nothing was logged.
    #[error("nothing was logged, try again: {0}")]
    NotSigned(#[from] SignerError),
    /// Environment: one read of the ledger failed; nothing was changed.
    #[error("the ledger could not be read; nothing was logged, try again")]
    Unreadable,
    /// Us: the ledger's outcome is not known; a restart settles it.
    #[error("the ledger has stopped after a storage failure; restart docket")]
    Stopped,
    /// Store: see there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a statement cannot stand where it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The statement is about a stream or something that is no artifact.
    #[error(
        "the signed subject {0:?} names no artifact digest, so it has no place in a repository; register it at /entries instead"
    )]
    NoArtifact(String),
    /// The repository has no such manifest.
    #[error(
        "the signed subject is {0}, which this repository does not hold; push the artifact first or send the statement to the repository that holds it"
    )]
    ArtifactElsewhere(Digest),
    /// The manifest hangs the statement onto something else.
    #[error(
        "the signed subject is {0}, but the manifest's `subject` is neither that nor evidence about it; refer to what was signed"
    )]
    OtherSubject(Digest),
    /// The document was not uploaded.
    #[error(
        "the statement is about a document {0} that this repository does not hold; upload the document as a blob first"
    )]
    DocumentMissing(Digest),
}

fn count(digests: &[Digest]) -> String {
    if digests.len() == 1 { "a blob".to_owned() } else { format!("{} blobs", digests.len()) }
}

fn list(digests: &[Digest]) -> String {
    const SHOWN_MAX: usize = 5;
    let mut text = digests.iter().take(SHOWN_MAX).map(Digest::to_string).collect::<Vec<_>>().join(", ");
    if digests.len() > SHOWN_MAX {
        text.push_str(", …");
    }
    text
}
