//! The words of OCI, spoken by server and client alike.
//!
//! Everything here turns bytes into checked values or checked values into bytes: no runtime, no socket, no file,
//! no clock, no environment. Each type has one checked constructor, so a value that exists is a value that is valid.

pub mod crypto;
pub mod digest;
pub mod error;
pub mod manifest;
pub mod media;
pub mod name;
pub mod query;
pub mod range;
pub mod request;
pub mod response;

pub use crypto::Hasher;
pub use digest::{Algorithm, Digest, DigestError};
pub use error::{Code, ErrorBody};
pub use manifest::{Descriptor, Kind, Manifest, ManifestError};
pub use name::{ImageReference, NameError, Reference, RepositoryName, Tag};
pub use request::{Action, Call, CallError};
