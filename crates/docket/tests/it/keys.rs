//! The service's keys: under a passphrase, replaced while it runs, or held by a program of the operator's.

mod commands;
mod rotation;
mod sealed;
