//! Clients that others wrote: what they push is what they and everybody else pull, byte for byte.

mod layout;
mod podman;
mod sequences;
mod skopeo;
