//! The whole of Docket from outside: the real binary on a temporary folder and a free loopback port.

mod harness;

mod clients;
mod registry;
mod restart;
mod scrapi;
