//! Image layouts in a tar file: finding members without unpacking, and writing them so that equal content is equal bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tar::{Archive, Builder, EntryType, Header, PaxExtensions};

use crate::error::ClientError;

/// Where a member's content lies in the tar file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Finds all regular files of an archive. Links, devices and everything else are passed over, and nothing is unpacked, so
/// a name can lead nowhere.
///
/// The extension headers that carry long names are read here rather than by the library, which puts no limit on them.
pub(super) fn scan(path: &Path) -> Result<HashMap<String, Extent>, ClientError> {
    let read = || ClientError::file("read", path);
    let invalid = |problem| ClientError::Layout { path: path.to_owned(), problem };
    let mut file = File::open(path).map_err(read())?;
    let metadata = file.metadata().map_err(read())?;
    if !metadata.is_file() {
        return Err(invalid("it is no tar file"));
    }
    let mut magic = [0; 4];
    let count = file.read(&mut magic).map_err(read())?;
    if magic[..count].starts_with(GZIP_MAGIC) || magic[..count].starts_with(ZSTD_MAGIC) {
        return Err(invalid("it is compressed, unpack it to a plain tar file first"));
    }
    io::Seek::rewind(&mut file).map_err(read())?;

    let mut members = HashMap::new();
    let mut entries = 0;
    let mut long_name = None;
    let mut end = 0_u64;
    let mut archive = Archive::new(file);
    for entry in archive.entries_with_seek().map_err(read())?.raw(true) {
        // The library reports blocks that are no tar headers as failures to read, with no errno behind them.
        let mut entry = entry.map_err(|error| match error.raw_os_error() {
            None => invalid("it is no tar file, or is cut off"),
            Some(_) => read()(error),
        })?;
        entries += 1;
        if entries > ARCHIVE_ENTRIES_MAX {
            let (place, limit) = (path.display().to_string(), ARCHIVE_ENTRIES_MAX as u64);
            return Err(ClientError::TooMuch { place, what: "members", limit });
        }
        let data_end = entry.raw_file_position().saturating_add(entry.size());
        end = data_end.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX);
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            if entry.size() > EXTENSION_BYTES_MAX {
                let (place, limit) = (path.display().to_string(), EXTENSION_BYTES_MAX);
                return Err(ClientError::TooMuch { place, what: "bytes in an extension header", limit });
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(read())?;
            if kind.is_gnu_longname() {
                long_name = Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned());
            } else {
                let extension =
                    Extension::read(&bytes).ok_or_else(|| invalid("it has a malformed extension header"))?;
                if extension.has_size {
                    return Err(invalid("it has a member of more than 8 GiB in a form that is not supported"));
                }
                long_name = extension.path.or(long_name);
            }
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| String::from_utf8_lossy(&entry.path_bytes()).into_owned());
        if !kind.is_file() && kind != EntryType::Continuous {
            continue;
        }
        let extent = Extent { offset: entry.raw_file_position(), length: entry.size() };
        let is_inside = extent.offset.checked_add(extent.length).is_some_and(|end| end <= metadata.len());
        if !is_inside {
            return Err(invalid("it ends in the middle of a member"));
        }
        if members.insert(name.trim_start_matches("./").to_owned(), extent).is_some() {
            return Err(invalid("it has two members of the same name"));
        }
    }
    // An archive that was cut between two members looks whole but for this: two blocks of zeros end one.
    if metadata.len() < end.saturating_add(2 * BLOCK_BYTES) {
        return Err(invalid("it is cut off, its end is missing"));
    }
    Ok(members)
}

/// What a pax header says that matters here.
struct Extension {
    path: Option<String>,
    has_size: bool,
}

impl Extension {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut read = Self { path: None, has_size: false };
        for extension in PaxExtensions::new(bytes) {
            let extension = extension.ok()?;
            match extension.key().ok()? {
                "path" => read.path = Some(extension.value().ok()?.to_owned()),
                "size" => read.has_size = true,
                _ => {}
            }
        }
        Some(read)
    }
}

/// Writes the layout in `folder` as a tar stream: fixed times, owners and modes, the names in byte order behind the two
/// files that say what it is.
pub(super) fn write(folder: &Path, target: impl Write) -> Result<(), ClientError> {
    let mut tar = Builder::new(target);
    for name in [super::MARKER_FILE, super::INDEX_FILE] {
        append_file(&mut tar, folder, name)?;
    }
    let blobs = PathBuf::from("blobs");
    append_folder(&mut tar, folder, "blobs/")?;
    for algorithm in sorted_names(&folder.join(&blobs))? {
        append_folder(&mut tar, folder, &format!("blobs/{algorithm}/"))?;
        for blob in sorted_names(&folder.join(&blobs).join(&algorithm))? {
            append_file(&mut tar, folder, &format!("blobs/{algorithm}/{blob}"))?;
        }
    }
    tar.into_inner().and_then(|mut target| target.flush()).map_err(ClientError::file("write an archive of", folder))
}

/// The most members of an archive.
pub const ARCHIVE_ENTRIES_MAX: usize = 200_000;
/// The largest extension header of an archive.
pub const EXTENSION_BYTES_MAX: u64 = 64 * 1024;

/// Headers and contents of a tar file start at multiples of this.
const BLOCK_BYTES: u64 = 512;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

fn append_file(tar: &mut Builder<impl Write>, folder: &Path, name: &str) -> Result<(), ClientError> {
    let path = folder.join(name);
    let file = File::open(&path).map_err(ClientError::file("read", &path))?;
    let length = file.metadata().map_err(ClientError::file("read", &path))?.len();
    let mut header = plain_header(EntryType::Regular, 0o644);
    header.set_size(length);
    // A file that shrinks meanwhile makes the library fail, one that grows is cut.
    let content = io::BufReader::with_capacity(super::CHUNK_BYTES, file.take(length));
    tar.append_data(&mut header, name, content).map_err(ClientError::file("archive", &path))
}

fn append_folder(tar: &mut Builder<impl Write>, folder: &Path, name: &str) -> Result<(), ClientError> {
    let mut header = plain_header(EntryType::Directory, 0o755);
    header.set_size(0);
    tar.append_data(&mut header, name, io::empty()).map_err(ClientError::file("archive", &folder.join(name)))
}

fn plain_header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn sorted_names(folder: &Path) -> Result<Vec<String>, ClientError> {
    let read = || ClientError::file("list", folder);
    let names = std::fs::read_dir(folder).map_err(read())?;
    let names = names.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>, _>>().map_err(read())?;
    names.sort_unstable();
    Ok(names)
}
