//! What the engine promises, at the crate's border: real stores in temporary folders, real signatures, a clock moved by
//! hand. Each scenario ends by opening the folder again and proving everything that is stored.

mod access;
#[path = "../../../docket-proof/testdata/authority.rs"]
mod authority;
mod certificates;
mod concurrency;
mod dishonest;
mod failure;
mod formats;
mod gc;
mod genesis;
mod naive;
mod observe;
mod placement;
mod policy;
mod quarantine;
mod referrers;
mod refusal;
mod registration;
mod repetition;
mod rollback;
mod rows;
mod signer;
mod site;
mod tiles;
mod upload;
