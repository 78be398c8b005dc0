//! Files whose names and bytes survive power loss: written elsewhere, synced, renamed, their folder synced.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::StoreError;
use crate::stats::count_sync;
use crate::writer::end;

/// The folders that this process renames files into. Held while one is made, so that nobody relies on it before.
#[derive(Debug)]
pub(crate) struct Folders {
    root: PathBuf,
    known: Mutex<HashMap<PathBuf, Arc<Folder>>>,
}

/// A folder whose own name is durable. Names that appear in it at the same time share a sync.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    syncs: Mutex<Syncs>,
    ended: Condvar,
}

/// Syncs of one folder, counted as they begin; one runs at a time.
#[derive(Debug, Default)]
struct Syncs {
    begun: u64,
    /// The newest that ended well.
    ended: u64,
    running: bool,
}

impl Folders {
    /// None are known yet; `root` is the data folder they all lie in.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: Mutex::default() }
    }

    /// Renames a synced file to its final name and makes the name durable.
    pub(crate) fn install(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let folder = self.make(to.parent().unwrap_or(to))?;
        std::fs::rename(from, to).map_err(StoreError::file("rename to", to))?;
        folder.sync()
    }

    /// Writes a small file whole: temporary name, sync, rename, sync of the folder.
    pub(crate) fn write_file(&self, staging: &Path, to: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let from = staging.join(uuid::Uuid::new_v4().to_string());
        let mut file = File::create(&from).map_err(StoreError::file("create", &from))?;
        count_sync();
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(StoreError::file("write", &from))?;
        self.install(&from, to)
    }

    /// Makes a folder and those above it, and their names durable, once per process.
    fn make(&self, path: &Path) -> Result<Arc<Folder>, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = known.get(path) {
            return Ok(Arc::clone(folder));
        }
        std::fs::create_dir_all(path).map_err(StoreError::file("create", path))?;
        for above in path.ancestors().skip(1).take_while(|above| above.starts_with(&self.root)) {
            must_sync(above, File::open(above).and_then(|folder| folder.sync_all()))?;
        }
        let folder = Folder { path: path.to_owned(), syncs: Mutex::default(), ended: Condvar::new() };
        Ok(Arc::clone(known.entry(path.to_owned()).or_insert(Arc::new(folder))))
    }
}

impl Folder {
    /// Returns when a sync has ended well that began after this call: one that runs already may have missed the
    /// caller's name. Whoever finds none running runs it for all who wait.
    fn sync(&self) -> Result<(), StoreError> {
        let mut syncs = self.lock();
        let mine = syncs.begun + 1;
        while syncs.ended < mine {
            if syncs.running {
                syncs = self.ended.wait(syncs).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            syncs.running = true;
            syncs.begun += 1;
            let begun = syncs.begun;
            drop(syncs);
            let synced = must_sync(&self.path, File::open(&self.path).and_then(|folder| folder.sync_all()));
            syncs = self.lock();
            syncs.running = false;
            self.ended.notify_all();
            synced?;
            syncs.ended = begun;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failed sync ends the process: what is on disk is unknown then, and a repeated sync may claim success falsely.
pub(crate) fn must_sync(path: &Path, synced: std::io::Result<()>) -> Result<(), StoreError> {
    count_sync();
    match synced {
        Err(failure) if failure.kind() != std::io::ErrorKind::StorageFull => {
            end(&format!("cannot sync {}: {failure}", path.display()))
        }
        synced => synced.map_err(StoreError::file("sync", path)),
    }
}

/// Makes a folder that only this user may look into, and those above it that are missing; their names are durable then.
pub fn make_private(path: &Path) -> Result<(), StoreError> {
    // A relative path has no name for the folder that it begins in.
    let path = std::path::absolute(path).map_err(StoreError::file("find", path))?;
    let missing = path.ancestors().take_while(|path| !path.exists()).count();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
    made.map_err(StoreError::file("create", &path))?;
    path.ancestors().skip(1).take(missing).try_for_each(sync_folder)
}

/// Makes the names in a folder durable.
pub fn sync_folder(path: &Path) -> Result<(), StoreError> {
    count_sync();
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StoreError::file("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_appear_together_are_all_there_and_a_later_one_asks_for_a_sync_of_its_own() {
        let root = tempfile::tempdir().expect("a folder");
        let folders = Folders::new(root.path());
        let install = |name: String| {
            let (from, to) = (root.path().join(&name), root.path().join("blobs").join(&name));
            std::fs::write(&from, &name).expect("written");
            folders.install(&from, &to).expect("installed");
            assert_eq!(std::fs::read(to).expect("it is there"), name.as_bytes());
        };
        std::thread::scope(|threads| {
            (0..32).for_each(|n| drop(threads.spawn(move || install(format!("n{n}")))));
        });
        let folder = folders.make(&root.path().join("blobs")).expect("known");
        let shared = folder.lock().ended;
        assert!((1..=32).contains(&shared), "{shared} syncs for 32 names");
        install("one more".to_owned());
        assert_eq!(folder.lock().ended, shared + 1);
    }
}
