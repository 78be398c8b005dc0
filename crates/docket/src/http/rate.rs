//! How often each client may do something, for any number of clients in a fixed room.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A rate for each address, kept as the generic cell rate algorithm does: one number says when a client would have earned
/// all that it did. Addresses that fall into one cell share it; which ones do nobody outside can tell.
#[derive(Debug)]
pub(super) struct Rate {
    /// What one thing costs, in microseconds.
    cost_us: u64,
    /// Microseconds since `began`.
    cells: Box<[AtomicU64]>,
    hasher: RandomState,
    began: Instant,
}

impl Rate {
    /// So many in a minute, and as many at once.
    pub(super) fn per_minute(count: NonZeroU32) -> Self {
        let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        Self { cost_us: MINUTE_US / u64::from(count.get()), cells, hasher: RandomState::new(), began: Instant::now() }
    }

    /// Counts one more of this address, or says how long it has to wait for that.
    pub(super) fn take(&self, address: IpAddr) -> Result<(), Duration> {
        self.take_at(address, u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn take_at(&self, address: IpAddr, now_us: u64) -> Result<(), Duration> {
        let cell = &self.cells[usize::try_from(self.hasher.hash_one(address) % CELLS).unwrap_or_default()];
        let earned = |until: u64| until.max(now_us).saturating_add(self.cost_us);
        let in_time = |until: &u64| *until <= now_us.saturating_add(MINUTE_US);
        cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| Some(earned(until)).filter(in_time))
            .map(drop)
            .map_err(|until| Duration::from_micros(earned(until) - MINUTE_US - now_us))
    }
}

const MINUTE_US: u64 = 60_000_000;
/// Cells of a table: 128 KiB of them, so that of a thousand clients a minute few meet another.
const CELLS: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32) -> Rate {
        Rate::per_minute(NonZeroU32::new(count).expect("not zero"))
    }

    /// An address whose cell is another than that of `of`.
    fn other(rate: &Rate, of: IpAddr) -> IpAddr {
        let cell = |address: IpAddr| rate.hasher.hash_one(address) % CELLS;
        let mut others = (1..=255_u8).map(|last| IpAddr::from([198, 51, 100, last]));
        others.find(|address| cell(*address) != cell(of)).expect("255 addresses are not all in one cell")
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_the_rest_as_it_is_earned() {
        let (rate, client) = (rate(3), IpAddr::from([192, 0, 2, 1]));
        let other = other(&rate, client);
        for _ in 0..3 {
            assert_eq!(rate.take_at(client, 1_000_000), Ok(()));
        }
        assert_eq!(rate.take_at(client, 1_000_000), Err(Duration::from_secs(20)));
        assert_eq!(rate.take_at(other, 1_000_000), Ok(()), "others are not counted with it");
        assert_eq!(rate.take_at(client, 20_999_999), Err(Duration::from_micros(1)));
        assert_eq!(rate.take_at(client, 21_000_000), Ok(()));
        assert_eq!(rate.take_at(client, 21_000_000), Err(Duration::from_secs(20)));
        // Whoever was away for long has a minute's worth again, and no more.
        for _ in 0..3 {
            assert_eq!(rate.take_at(client, 1_000_000_000), Ok(()));
        }
        assert!(rate.take_at(client, 1_000_000_000).is_err());
    }

    #[test]
    fn no_rate_and_no_time_overflows() {
        for count in [1, 60_000_001, u32::MAX] {
            let rate = rate(count);
            assert_eq!(rate.take_at(IpAddr::from([192, 0, 2, 1]), u64::MAX), Ok(()));
        }
    }
}
