//! The registry API, each endpoint of the distribution spec by its number: what it answers when all is well, and when not.

mod answers;
mod artifacts;
mod deletes;
mod listings;
mod manifests;
mod mounts;
mod pulls;
mod referrers;
mod uploads;
