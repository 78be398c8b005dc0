//! Whether the disk under a data folder still does what is asked of it.

use std::fs::File;
use std::io::Write as _;

use crate::stats::count_sync;
use crate::{Store, StoreError};

impl Store {
    /// Writes a small file into the staging folder, syncs it and removes it again. Blocks on the disk. A crash in here
    /// leaves a file that the next start removes.
    pub fn probe(&self) -> Result<(), StoreError> {
        let path = self.folder.staging().join(format!("probe-{}", uuid::Uuid::new_v4()));
        let mut file = File::create_new(&path).map_err(StoreError::file("create", &path))?;
        count_sync();
        let written = file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_all());
        let removed = std::fs::remove_file(&path);
        written.map_err(StoreError::file("write", &path))?;
        removed.map_err(StoreError::file("remove", &path))
    }
}

/// One page: less could be answered from what the file system has at hand.
const PROBE_BYTES: usize = 4096;
