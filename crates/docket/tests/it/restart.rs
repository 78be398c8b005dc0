//! Whatever ends the server, what it answered is there afterwards.

mod answered;
mod backup;
mod crashes;
mod folders;
mod hammer;
mod random;
mod rollback;
mod stops;
mod uploads;

use crate::harness::bytes_of;

/// A number that a seed gives a round.
fn random(seed: u32, round: u64) -> u64 {
    let bytes = bytes_of(u64::from(seed) + round, 8);
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}
