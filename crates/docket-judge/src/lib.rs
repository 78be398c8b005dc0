//! Evidence in, verdict out.
//!
//! Two questions are answered here, both without any input or output of their own: may this statement be registered
//! ([`policy`]), and is this artifact to be used ([`verify`]). Whoever asks brings all bytes along; the same bytes always
//! get the same answer, so an auditor can ask again.

pub mod identity;

pub mod policy;

pub mod verify;

#[cfg(test)]
#[path = "../../docket-proof/testdata/authority.rs"]
mod authority;

#[cfg(test)]
mod testchain;
