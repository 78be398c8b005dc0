//! The head guard: size and root of the newest tree that may be spoken of, kept outside the database.
//!
//! A database that was rolled back (a restored backup, a lost write) shows a head older than the guard. The file
//! has two slots written in turn, each one line with its own checksum, so a torn write leaves the other whole:
//!
//! ```text
//! docket-guard 0 <size, 20 digits> <root, 64 hex> <sha-256 of what stands before, 64 hex>\n
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::StoreError;
use crate::stats::count_sync;

/// A tree that was spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardPoint {
    /// Number of entries.
    pub size: u64,
    /// Root hash.
    pub root: [u8; 32],
}

/// The open guard file.
#[derive(Debug)]
pub struct HeadGuard {
    path: PathBuf,
    file: File,
    /// The newest point and the slot it stands in.
    newest: Mutex<(GuardPoint, usize)>,
}

impl HeadGuard {
    /// Writes the first guard file and syncs it; its name in the folder is for the caller to sync.
    pub fn create(path: &Path, point: GuardPoint) -> Result<(), StoreError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(StoreError::file("create the head guard", path))?;
        let line = line(point);
        let write = file.write_all_at(line.as_bytes(), 0).and_then(|()| file.write_all_at(line.as_bytes(), SLOT_BYTES));
        write.and_then(|()| file.sync_all()).map_err(StoreError::file("write the head guard", path))
    }

    /// Opens the guard file and reads the newest whole slot.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(StoreError::file("open the head guard", path))?;
        let newest = newest(&file, path)?;
        Ok(Self { path: path.to_owned(), file, newest: Mutex::new(newest) })
    }

    /// The newest point in a guard file that nobody writes to any more.
    pub fn read(path: &Path) -> Result<GuardPoint, StoreError> {
        let file = File::open(path).map_err(StoreError::file("open the head guard", path))?;
        Ok(newest(&file, path)?.0)
    }

    /// The newest point.
    pub fn newest(&self) -> GuardPoint {
        self.lock().0
    }

    /// Moves the guard on; synced when this returns. A point that is not newer changes nothing. Blocks on the disk.
    ///
    /// A crash during this leaves the older slot; the caller moves the guard on again from the database at start.
    pub fn advance(&self, point: GuardPoint) -> Result<(), StoreError> {
        let mut newest = self.lock();
        if point.size <= newest.0.size {
            return Ok(());
        }
        let slot = 1 - newest.1;
        count_sync();
        let write = self.file.write_all_at(line(point).as_bytes(), slot as u64 * SLOT_BYTES);
        write.and_then(|()| self.file.sync_data()).map_err(StoreError::file("write the head guard", &self.path))?;
        *newest = (point, slot);
        Ok(())
    }

    /// Reads the file again and compares it with what was written. Blocks on the disk.
    pub fn check(&self) -> Result<(), StoreError> {
        let newest = self.lock();
        let found = Self::read(&self.path)?;
        if found == newest.0 {
            return Ok(());
        }
        let (path, size) = (self.path.display(), found.size);
        Err(StoreError::damaged(format!("{path} holds size {size}, {} was written", newest.0.size)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (GuardPoint, usize)> {
        self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The newest whole slot of a file, and which it is.
fn newest(file: &File, path: &Path) -> Result<(GuardPoint, usize), StoreError> {
    let mut slots = [None; 2];
    for (at, slot) in slots.iter_mut().enumerate() {
        let mut bytes = [0_u8; LINE_BYTES];
        if file.read_exact_at(&mut bytes, at as u64 * SLOT_BYTES).is_ok() {
            *slot = parse(&bytes);
        }
    }
    let newest = slots.iter().enumerate().filter_map(|(at, slot)| Some(((*slot)?, at)));
    let newest = newest.max_by_key(|(point, _)| point.size);
    newest.ok_or_else(|| StoreError::damaged(format!("{} has no whole slot", path.display())))
}

fn line(point: GuardPoint) -> String {
    let body = format!("docket-guard 0 {:020} {}", point.size, hex::encode(point.root));
    let sum = hex::encode(docket_oci::crypto::sha256(body.as_bytes()));
    format!("{body} {sum}\n")
}

fn parse(bytes: &[u8]) -> Option<GuardPoint> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.strip_prefix("docket-guard 0 ")?.split_ascii_whitespace();
    let size = words.next()?.parse().ok()?;
    let root = hex::decode(words.next()?).ok()?.try_into().ok()?;
    let point = GuardPoint { size, root };
    (line(point) == text).then_some(point)
}

/// Slots lie in different sectors and pages.
const SLOT_BYTES: u64 = 4096;
const LINE_BYTES: usize = "docket-guard 0 ".len() + 20 + 1 + 64 + 1 + 64 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: GuardPoint = GuardPoint { size: 1, root: [7; 32] };

    fn created() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("guard");
        HeadGuard::create(&path, FIRST).expect("created");
        (folder, path)
    }

    #[test]
    fn guard_line_is_version_0() {
        let expected = "docket-guard 0 00000000000000000001 \
            0707070707070707070707070707070707070707070707070707070707070707 ";
        assert!(line(FIRST).starts_with(expected));
        assert_eq!(line(FIRST).len(), LINE_BYTES);
    }

    #[test]
    fn guard_survives_reopening_and_never_moves_back() {
        let (_folder, path) = created();
        let guard = HeadGuard::open(&path).expect("open");
        for size in [2, 5, 9] {
            guard.advance(GuardPoint { size, root: [1; 32] }).expect("advanced");
        }
        guard.advance(FIRST).expect("ignored");
        assert_eq!(HeadGuard::open(&path).expect("open").newest().size, 9);
    }

    #[test]
    fn a_torn_slot_leaves_the_other() {
        let (_folder, path) = created();
        let guard = HeadGuard::open(&path).expect("open");
        guard.advance(GuardPoint { size: 2, root: [2; 32] }).expect("advanced");
        guard.advance(GuardPoint { size: 3, root: [3; 32] }).expect("advanced");
        let slot = guard.lock().1 as u64;
        guard.file.write_all_at(b"docket-guard 0 000000", slot * SLOT_BYTES).expect("torn");
        guard.file.write_all_at(b"garbage", slot * SLOT_BYTES + 60).expect("torn");
        assert_eq!(HeadGuard::open(&path).expect("open").newest().size, 2);
    }

    #[test]
    fn a_guard_that_somebody_replaced_is_noticed() {
        let (_folder, path) = created();
        let guard = HeadGuard::open(&path).expect("open");
        let old = std::fs::read(&path).expect("read");
        guard.advance(GuardPoint { size: 2, root: [2; 32] }).expect("advanced");
        guard.check().expect("it is what was written");
        std::fs::remove_file(&path).expect("removed");
        assert!(guard.check().is_err());
        std::fs::write(&path, old).expect("an older one");
        assert!(matches!(guard.check(), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_guard_without_a_whole_slot_is_refused() {
        let (_folder, path) = created();
        std::fs::write(&path, b"docket-guard 0 ").expect("written");
        assert!(matches!(HeadGuard::open(&path), Err(StoreError::Damaged { .. })));
    }
}
