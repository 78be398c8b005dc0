//! The whole of Docket from outside: the real binary on a temporary folder and a free loopback port.

#[path = "../../../docket-proof/testdata/authority.rs"]
mod authority;
mod harness;

mod access;
mod bad_input;
mod cli;
mod clients;
mod copy;
mod durability;
mod exposed;
mod gc;
mod history;
mod keys;
mod ops;
mod public_log;
mod registry;
mod restart;
mod scrapi;
mod story;
mod verify;
