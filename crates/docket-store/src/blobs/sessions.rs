//! Upload sessions on disk: beside the bytes of each lies a note on whose it is, so that a restart does not end it.
//!
//! Notes and bytes are not synced: a crash may cost a session its tail or all of it, and what is left is then reported
//! as it is. Nothing here is believed about the content: it is hashed again before it can become a blob.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use docket_oci::digest::Algorithm;
use docket_oci::name::RepositoryName;
use serde::{Deserialize, Serialize};

use super::staging::Sink;
use super::{Blobs, Staging};
use crate::StoreError;

/// What is known of a session besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionNote {
    /// The repository it was opened for.
    pub repository: RepositoryName,
    /// Who opened it, as the caller writes accounts.
    pub account: String,
    /// Algorithm that hashes along.
    #[serde(with = "algorithm")]
    pub algorithm: Algorithm,
    /// Unix seconds.
    pub opened_at: i64,
}

/// A session that an earlier process left.
#[derive(Debug)]
pub struct LeftSession {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub note: SessionNote,
    /// When the file system saw bytes come in last, Unix seconds.
    pub written_at: i64,
    /// Its bytes.
    pub staging: Staging,
}

impl Blobs {
    /// Begins content that outlives the process under this id, a UUID. Blocks on the disk.
    pub fn open_session(&self, id: &str, note: &SessionNote) -> Result<Staging, StoreError> {
        let mut sink = Sink::new(self.folder.staging().join(id), note.algorithm);
        let path = sink.note.insert(note_path(&sink.path));
        let text = serde_json::to_vec(note).expect("names and numbers");
        std::fs::write(&*path, text).map_err(StoreError::file("write", path))?;
        Ok(Staging::new(self.clone(), sink))
    }

    /// The sessions that an earlier process left; everything else in the staging folder is removed. To be asked once, before
    /// anything is staged. Blocks on the disk.
    pub fn left_sessions(&self) -> Result<Vec<LeftSession>, StoreError> {
        let staging = self.folder.staging();
        std::fs::create_dir_all(&staging).map_err(StoreError::file("create", &staging))?;
        let (mut sessions, mut others) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&staging).map_err(StoreError::file("list", &staging))? {
            let path = entry.map_err(StoreError::file("list", &staging))?.path();
            match self.left_session(&path) {
                Some(session) => sessions.push(session),
                None => others.push(path),
            }
        }
        let known: HashSet<_> = sessions.iter().map(|session| staging.join(&session.id)).collect();
        for path in others.iter().filter(|path| !known.contains(*path) && !path.is_dir()) {
            std::fs::remove_file(path).map_err(StoreError::file("remove", path))?;
        }
        Ok(sessions)
    }

    /// The session of a note, if the path is that of a note that can be read. A crash may have cut it short.
    fn left_session(&self, path: &Path) -> Option<LeftSession> {
        let id = path.file_name()?.to_str()?.strip_suffix(NOTE_SUFFIX)?;
        id.parse::<uuid::Uuid>().ok()?;
        let note: SessionNote = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let mut sink = Sink::new(path.with_file_name(id), note.algorithm);
        let (mut written_at, opened_at) = (note.opened_at, note.opened_at);
        if let Ok(bytes) = std::fs::metadata(&sink.path) {
            sink.written = bytes.len();
            sink.hasher = None;
            let modified = bytes.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            written_at = modified.and_then(|at| i64::try_from(at.as_secs()).ok()).unwrap_or(opened_at);
        }
        sink.note = Some(path.to_owned());
        Some(LeftSession { id: id.to_owned(), note, written_at, staging: Staging::new(self.clone(), sink) })
    }
}

fn note_path(data: &Path) -> PathBuf {
    let mut path = data.as_os_str().to_owned();
    path.push(NOTE_SUFFIX);
    path.into()
}

/// An algorithm by its name.
mod algorithm {
    use docket_oci::digest::Algorithm;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
    pub(super) fn serialize<S: Serializer>(algorithm: &Algorithm, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(algorithm.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Algorithm, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What the name of a note has behind the session's id.
const NOTE_SUFFIX: &str = ".session";
