//! Use cases: what Docket does, told without HTTP.
//!
//! An [`Instance`] is an open data folder. Registry verbs are in `upload`, `mount`, `manifest`, `content` and `listing`; the
//! ledger in `register` and `ledger`; what it observes in `observe`; questions in `query` and `history`; what an operator does in
//! `gc`, `fsck`, `backup` and `recover`; how the instance is in `health`; what strangers see of the ledger in `public_log`. Every
//! verb takes a [`Permit`], which only [`Access`] can make.

mod access;
mod attach;
mod backup;
mod clock;
mod conduct;
mod content;
mod crash;
mod effect;
mod error;
mod fsck;
mod gc;
mod health;
mod history;
mod instance;
mod issuers;
mod keys;
mod ledger;
mod listing;
mod manifest;
mod mount;
mod observe;
mod own;
mod pending;
mod public_log;
mod query;
mod recover;
mod register;
mod registration_policy;
mod rotate;
mod signer;
mod trial;
mod turns;
mod upload;
mod warning;

pub use access::{
    ACCOUNT_BYTES_MAX, Access, Account, AccountError, AccountName, Caller, Denied, DeniedBy, ImmutableTags, Issued,
    PASSWORDS_BYTES_MAX, Passwords, PasswordsError, Permit, Right, Rights, Rule, Rules, RulesDraft, RulesError,
    SCOPE_BYTES_MAX, SCOPES_MAX, Scope, ScopeTooLarge, TOKEN_BYTES_MAX, TOKEN_TTL_MIN, TokenRefused, TooManyLogins,
    needed_scope,
};
pub use attach::is_statement_manifest;
pub use backup::Backup;
pub use clock::Clock;
pub use conduct::Conduct;
pub use content::{Blob, BlobContent};
pub use crash::CrashPoint;
pub use effect::{AdmissionForm, ISSUER_REMOVAL_TYPE, ISSUER_TYPE, POLICY_TYPE};
pub use error::{EngineError, PlaceError};
pub use fsck::{FsckReport, PROBLEMS_MAX};
pub use gc::{Collection, CollectionReport, CollectorStats, Phase};
pub use health::{Check, Stats};
pub use history::{Current, HISTORY_PAGE_MAX, HistoryEvent, HistoryPage, HistoryQuery};
pub use instance::{Created, Instance, Options};
pub use issuers::{CredentialView, IssuerView};
pub use keys::{KEY_TYPE, KeyRole, KeySources, KeyView};
pub use listing::ReferrersPage;
pub use manifest::StoredManifest;
pub use observe::{
    Event, OBSERVATION_TYPE, Observation, Observe, ObserveError, ObservedStats, ObservedTag, Watch, WatchIn,
};
pub use own::{GENESIS_TYPE, OWN_TYP};
pub use pending::Registration;
pub use public_log::{ForWitness, ProofState};
pub use query::{
    CLAIMS_PAGE_MAX, Claim, ClaimPage, ClaimPlacement, ClaimQuery, DecidedBy, PAYLOAD_BYTES_MAX, shown_payload,
};
pub use recover::{Evidence, RecoverError, Recovered};
pub use register::{EntryState, Registered};
pub use registration_policy::{DIFFERENCES_MAX, PolicyView, Replay};
pub use signer::{SIGNS_WITH, Signer, SignerError, Signing};
pub use trial::{TRIED_MAX, Trial, TrialRequest, Tried};
pub use upload::{BLOB_BYTES_MAX, OpenUpload};
pub use warning::Warning;
