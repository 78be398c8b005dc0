//! Clients that others wrote: what they push is what they and everybody else pull, byte for byte.

pub(crate) mod layout;
mod podman;
mod sequences;
mod skopeo;
