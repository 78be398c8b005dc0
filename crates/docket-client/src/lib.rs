//! Speaks to other registries: finds artifacts in registries, layouts and archives, and copies them from one to another.
//!
//! Everything read is checked against the digest it was asked by, and everything is bounded. The environment is not read
//! here, save for the proxy variables that the HTTP library honours: where the files with credentials lie, the caller says.

pub mod auth;
pub mod blob;
pub mod copy;
pub mod error;
pub mod evidence;
pub mod layout;
pub mod reference;
pub mod registry;
pub mod source;
#[cfg(test)]
mod testing;
pub mod witness;

pub use auth::{Credentials, Login};
pub use copy::{Copied, CopyOptions, Destination, Progress, copy};
pub use error::ClientError;
pub use evidence::{Collected, Truncated, collect};
pub use layout::{Layout, LayoutWriter};
pub use reference::Transport;
pub use registry::{FetchedManifest, Options, Registry, Reply};
pub use source::{Opened, Source};
pub use witness::{Witness, WitnessReply};
