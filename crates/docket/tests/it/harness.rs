//! What every test stands on: a site (data folder and keys), a server on it, requests, content and statements.
//!
//! Failures in here are failures of the test, so everything panics with what was being done.

mod answer;
mod content;
mod guarded;
mod issuer;
mod layout;
mod raw;
mod repository;
mod server;
mod shell;
mod site;
mod witness;

#[path = "../../../docket-store/tests/blobs/server.rs"]
pub(crate) mod s3;

pub(crate) use answer::{Answer, Ask, escaped};
pub(crate) use content::{EMPTY_DIGEST, artifact, bytes_of, image, image_of, index, sha256, sha512};
pub(crate) use guarded::{Guarded, HTPASSWD, password};
pub(crate) use issuer::Issuer;
pub(crate) use layout::{ClaimPieces, LayoutFolder, evidence, put};
pub(crate) use raw::Raw;
pub(crate) use repository::Repository;
pub(crate) use server::{OBSERVED, Server};
pub(crate) use shell::{Said, Shell, reviewed};
pub(crate) use site::{Fsck, SERVICE, Site, docket_under, said};
pub(crate) use witness::{Mood, Witness};
