//! What nobody should send: each gets the right status and a message that helps, and changes nothing.

mod forgery;
mod framing;
mod leaks;
mod manifests;
mod paths;
mod state;
mod statements;
mod strangers;
mod uploads;
