//! Bytes in, proof out: COSE, Merkle tree, statements, receipts, trust.
//!
//! Everything here is a function of its arguments: no file, no socket, no clock, no environment, no async runtime.
//! The one exception is [`crypto`], whose library draws the randomness of new keys and of ECDSA nonces itself.
//!
//! The modules stand in reading order, each resting on those before it:
//! hashes and curves, CBOR, COSE, keys; the tree and its tiles; certificates ([`x509`]), the names they give ([`did_x509`]) and whose they are ([`certified`]);
//! what an issuer says ([`statement`]) about whom ([`subject`]); what the service answers ([`receipt`]); whom a reader believes ([`trust`]). The same tree in the words
//! of C2SP: texts that several have signed ([`note`]), tree heads in that form ([`checkpoint`]), who must have cosigned one
//! ([`log_policy`]), and a proof of logging that holds them all ([`log_proof`]).

pub mod crypto;

pub mod cbor;

pub mod cose;

pub mod key;

pub mod merkle;

pub mod tile;

pub mod note;

pub mod checkpoint;

pub mod log_policy;

pub mod log_proof;

pub mod subject;

pub mod x509;

pub mod did_x509;

pub mod certified;

mod header;

pub mod statement;

pub mod receipt;

pub mod trust;

#[cfg(test)]
extern crate self as docket_proof;

#[cfg(test)]
#[path = "../testdata/authority.rs"]
mod authority;

#[cfg(test)]
mod testkeys;
