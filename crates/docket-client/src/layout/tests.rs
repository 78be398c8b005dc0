use std::fs;

use docket_oci::Algorithm;

use super::*;
use crate::testing::{EVIDENCE_TYPE, Sandbox, blob_path, put, write_sample};

fn missing() -> Digest {
    Digest::of(Algorithm::Sha256, b"nobody wrote this")
}

/// A tar file from raw members, as another program would write it.
fn tar_of(path: &Path, members: &[(&str, tar::EntryType, &[u8])]) {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in members {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).expect("memory is writable");
    }
    fs::write(path, tar.into_inner().expect("memory is writable")).expect("the folder is ours");
}

const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const NO_MANIFESTS: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;
const REGULAR: tar::EntryType = tar::EntryType::Regular;

#[tokio::test]
async fn what_was_written_is_found_by_name_and_by_digest() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let layout = Layout::open(sandbox.path("a")).await.expect("a layout");
    assert_eq!(layout.resolve(Some("v1")).await.expect("named"), sample.index);
    assert_eq!(layout.resolve(Some(&sample.evidence.to_string())).await.expect("a digest"), sample.evidence);
    assert_eq!(layout.resolve(None).await.expect("the only one with a name"), sample.index);
    let by_tag = layout.manifest(&Reference::Tag("v1".parse().expect("a tag"))).await.expect("readable");
    assert_eq!(by_tag.map(|found| found.digest), Some(sample.index));
    assert!(layout.manifest(&Reference::Digest(missing())).await.expect("readable").is_none());
    assert!(matches!(layout.resolve(Some("v2")).await, Err(ClientError::Absent { .. })));
    assert!(matches!(layout.blob_bytes(&missing(), 1).await, Err(ClientError::Absent { .. })));
}

#[tokio::test]
async fn referrers_are_found_by_their_subject_and_type() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let layout = Layout::open(sandbox.path("a")).await.expect("a layout");
    let found = layout.referrers(&sample.index, None).await.expect("readable");
    assert_eq!(found.iter().map(|found| found.digest).collect::<Vec<_>>(), [sample.evidence]);
    assert_eq!(found[0].artifact_type.as_deref(), Some(EVIDENCE_TYPE));
    assert_eq!(layout.referrers(&sample.evidence, Some(media::SCITT_STATEMENT)).await.expect("readable").len(), 1);
    assert_eq!(layout.referrers(&sample.evidence, Some("a/b")).await.expect("readable"), []);
    assert_eq!(layout.referrers(&missing(), None).await.expect("readable"), []);
}

#[tokio::test]
async fn without_a_name_the_only_artifact_that_is_about_no_other_is_meant() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let index = sandbox.path("a").join(INDEX_FILE);
    let named = fs::read_to_string(&index).expect("written before");
    let nameless = named.replace(media::ANNOTATION_REF_NAME, "some.other.annotation");
    fs::write(&index, nameless).expect("the folder is ours");
    let layout = Layout::open(sandbox.path("a")).await.expect("a layout");
    assert_eq!(layout.resolve(None).await.expect("one is left"), sample.index);

    let mut writer = LayoutWriter::open(sandbox.path("a")).await.expect("a layout");
    let other = put(&writer, media::OCI_IMAGE_INDEX, NO_MANIFESTS).await;
    writer.list(other.clone(), None);
    writer.finish().await.expect("writable");
    let error = Layout::open(sandbox.path("a")).await.expect("a layout").resolve(None).await;
    let Err(ClientError::Ambiguous { names, .. }) = error else { panic!("{error:?}") };
    assert_eq!(names, format!("{}, {}", sample.index, other.digest));
}

#[tokio::test]
async fn a_tampered_blob_is_refused_while_it_streams() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let path = blob_path(&sandbox.path("a"), &sample.layer);
    let mut bytes = fs::read(&path).expect("written before");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).expect("the folder is ours");
    let layout = Layout::open(sandbox.path("a")).await.expect("a layout");
    let error = layout.blob(&sample.layer, None).await.expect("it is there").drain().await;
    assert!(matches!(error, Err(ClientError::Digest { expected, .. }) if expected == sample.layer), "{error:?}");
    fs::write(&path, &bytes[..last]).expect("the folder is ours");
    let error = layout.blob(&sample.layer, Some(bytes.len() as u64)).await.expect("it is there").drain().await;
    assert!(matches!(error, Err(ClientError::Size { .. })), "{error:?}");
}

#[tokio::test]
async fn a_tampered_manifest_is_refused() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    fs::write(blob_path(&sandbox.path("a"), &sample.evidence), NO_MANIFESTS).expect("the folder is ours");
    let layout = Layout::open(sandbox.path("a")).await.expect("a layout");
    let error = layout.manifest(&Reference::Digest(sample.evidence)).await;
    assert!(matches!(error, Err(ClientError::Digest { .. })), "{error:?}");
    assert!(matches!(layout.referrers(&sample.index, None).await, Err(ClientError::Digest { .. })));
}

#[tokio::test]
async fn a_folder_that_is_no_layout_is_neither_read_nor_written_to() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("documents");
    fs::create_dir(&folder).expect("the folder is ours");
    assert!(matches!(Layout::open(&folder).await, Err(ClientError::Layout { .. })));
    fs::write(folder.join("letter"), "dear").expect("the folder is ours");
    assert!(matches!(LayoutWriter::open(&folder).await, Err(ClientError::Layout { .. })));
    assert_eq!(fs::read_dir(&folder).expect("readable").count(), 1);
    fs::write(folder.join(MARKER_FILE), br#"{"imageLayoutVersion":"2.0.0"}"#).expect("the folder is ours");
    let error = Layout::open(&folder).await;
    assert!(matches!(error, Err(ClientError::Layout { problem, .. }) if problem.contains("version")));
}

#[tokio::test]
async fn one_byte_over_the_limit_of_the_index_is_refused() {
    let sandbox = Sandbox::new();
    write_sample(&sandbox.path("a")).await;
    let path = sandbox.path("a").join(INDEX_FILE);
    let mut index = fs::read(&path).expect("written before");
    index.resize(MANIFEST_BYTES_MAX, b' ');
    fs::write(&path, &index).expect("the folder is ours");
    assert!(Layout::open(sandbox.path("a")).await.is_ok());
    index.push(b' ');
    fs::write(&path, &index).expect("the folder is ours");
    assert!(matches!(Layout::open(sandbox.path("a")).await, Err(ClientError::TooMuch { .. })));
}

#[tokio::test]
async fn a_blob_that_turns_out_wrong_leaves_nothing() {
    let sandbox = Sandbox::new();
    let writer = LayoutWriter::open(sandbox.path("a")).await.expect("a new layout");
    let error = writer.write_bytes(&missing(), Bytes::from_static(b"other")).await;
    assert!(matches!(error, Err(ClientError::Digest { .. })), "{error:?}");
    let blobs = sandbox.path("a").join("blobs").join("sha256");
    assert_eq!(fs::read_dir(blobs).expect("made at the start").count(), 0);
}

#[tokio::test]
async fn a_name_moves_and_a_manifest_is_listed_once() {
    let sandbox = Sandbox::new();
    let mut writer = LayoutWriter::open(sandbox.path("a")).await.expect("a new layout");
    let (first, second) = (Descriptor::of("a/b", b"1"), Descriptor::of("a/b", b"2"));
    writer.list(first.clone(), None);
    writer.list(first.clone(), Some("v1"));
    writer.list(first.clone(), None);
    writer.list(first.clone(), Some("stable"));
    writer.list(second.clone(), Some("v1"));
    writer.finish().await.expect("writable");
    let layout = Layout::open(sandbox.path("a")).await.expect("a layout");
    let listed: Vec<_> = layout.listed().iter().map(|listed| (listed.digest, layout.name_of(&listed.digest))).collect();
    assert_eq!(layout.resolve(Some("v1")).await.expect("named"), second.digest);
    assert_eq!(layout.resolve(Some("stable")).await.expect("named"), first.digest);
    assert_eq!(listed.iter().filter(|(digest, _)| *digest == second.digest).count(), 1);
}

#[tokio::test]
async fn an_archive_appears_whole_or_not_at_all() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("a.tar"), "before").expect("the folder is ours");
    let writer = LayoutWriter::archive(sandbox.path("a.tar")).await.expect("a new archive");
    put(&writer, "a/b", b"content").await;
    drop(writer);
    assert_eq!(sandbox.names(), ["a.tar"]);
    assert_eq!(fs::read(sandbox.path("a.tar")).expect("readable"), b"before");
    let writer = LayoutWriter::archive(sandbox.path("a.tar")).await.expect("a new archive");
    writer.finish().await.expect("writable");
    assert_eq!(sandbox.names(), ["a.tar"]);
    assert!(Layout::open_archive(sandbox.path("a.tar")).await.is_ok());
}

#[tokio::test]
async fn names_too_long_for_a_tar_header_are_found_again() {
    let sandbox = Sandbox::new();
    let writer = LayoutWriter::archive(sandbox.path("a.tar")).await.expect("a new archive");
    let digest = Digest::of(Algorithm::Sha512, b"content");
    writer.write_bytes(&digest, Bytes::from_static(b"content")).await.expect("writable");
    writer.finish().await.expect("writable");
    let layout = Layout::open_archive(sandbox.path("a.tar")).await.expect("an archive");
    assert_eq!(layout.blob_bytes(&digest, 7).await.expect("readable"), "content");
}

#[tokio::test]
async fn pax_names_are_read_and_their_sizes_are_not_believed() {
    let sandbox = Sandbox::new();
    let digest = Digest::of(Algorithm::Sha512, b"content");
    let record = |text: String| format!("{} {text}\n", text.len() + 2 + (text.len() + 4).to_string().len());
    let path = record(format!("path=./{}", blob_name(&digest)));
    let write = |extension: &str| {
        let members = [
            (MARKER_FILE, REGULAR, MARKER),
            ("./index.json", REGULAR, NO_MANIFESTS),
            ("x", tar::EntryType::XHeader, extension.as_bytes()),
            ("cut-off", REGULAR, &b"content"[..]),
        ];
        tar_of(&sandbox.path("a.tar"), &members);
    };
    write(&path);
    let layout = Layout::open_archive(sandbox.path("a.tar")).await.expect("an archive");
    assert_eq!(layout.blob_bytes(&digest, 7).await.expect("readable"), "content");
    write(&record("size=1".to_owned()));
    assert!(matches!(Layout::open_archive(sandbox.path("a.tar")).await, Err(ClientError::Layout { .. })));
}

#[tokio::test]
async fn members_that_lead_outside_lead_nowhere() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("inner")).expect("the folder is ours");
    let archive = sandbox.path("inner").join("a.tar");
    let members = [
        (MARKER_FILE, REGULAR, MARKER),
        (INDEX_FILE, REGULAR, NO_MANIFESTS),
        ("../evil", REGULAR, &b"evil"[..]),
        ("/tmp/docket-evil", REGULAR, b"evil"),
        ("blobs/../../evil", REGULAR, b"evil"),
        ("link", tar::EntryType::Symlink, b""),
    ];
    tar_of(&archive, &members);
    assert!(Layout::open_archive(&archive).await.is_ok());
    assert_eq!(sandbox.names(), ["inner"]);
    assert!(!Path::new("/tmp/docket-evil").exists());
}

#[tokio::test]
async fn archives_that_lie_are_refused() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("a.tar");
    let open = || Layout::open_archive(path.clone());
    let complete = [(MARKER_FILE, REGULAR, MARKER), (INDEX_FILE, REGULAR, NO_MANIFESTS)];

    tar_of(&path, &[complete[0], complete[1], ("./index.json", REGULAR, NO_MANIFESTS)]);
    assert!(matches!(open().await, Err(ClientError::Layout { problem, .. }) if problem.contains("same name")));
    tar_of(&path, &[complete[0]]);
    assert!(matches!(open().await, Err(ClientError::Layout { problem, .. }) if problem.contains("index.json")));
    tar_of(&path, &[complete[0], (INDEX_FILE, tar::EntryType::Symlink, b"")]);
    assert!(matches!(open().await, Err(ClientError::Layout { problem, .. }) if problem.contains("index.json")));

    tar_of(&path, &[complete[0], complete[1], ("blobs/x", REGULAR, &[1; 5000])]);
    let bytes = fs::read(&path).expect("written before");
    fs::write(&path, &bytes[..4096]).expect("the folder is ours");
    assert!(open().await.is_err());

    fs::write(&path, [0x1f, 0x8b, 8, 0]).expect("the folder is ours");
    assert!(matches!(open().await, Err(ClientError::Layout { problem, .. }) if problem.contains("compressed")));
    fs::write(&path, b"no tar at all, but longer than nothing").expect("the folder is ours");
    assert!(open().await.is_err());
    assert!(matches!(Layout::open_archive(sandbox.path("absent.tar")).await, Err(ClientError::File { .. })));
}

#[tokio::test]
async fn one_byte_over_the_limit_of_extension_headers_is_refused() {
    let sandbox = Sandbox::new();
    let limit = usize::try_from(EXTENSION_BYTES_MAX).expect("fits");
    for (length, is_fine) in [(limit, true), (limit + 1, false)] {
        let name = vec![b'n'; length];
        let members = [
            (MARKER_FILE, REGULAR, MARKER),
            (INDEX_FILE, REGULAR, NO_MANIFESTS),
            ("long", tar::EntryType::GNULongName, &name[..]),
            ("short", REGULAR, b"content"),
        ];
        tar_of(&sandbox.path("a.tar"), &members);
        assert_eq!(Layout::open_archive(sandbox.path("a.tar")).await.is_ok(), is_fine, "{length}");
    }
}

#[tokio::test]
async fn an_archive_cut_anywhere_is_refused() {
    let sandbox = Sandbox::new();
    let members = [(MARKER_FILE, REGULAR, MARKER), (INDEX_FILE, REGULAR, NO_MANIFESTS), ("x", REGULAR, b"content")];
    tar_of(&sandbox.path("whole.tar"), &members);
    let whole = fs::read(sandbox.path("whole.tar")).expect("it was written");
    for length in (0..whole.len()).step_by(256) {
        fs::write(sandbox.path("cut.tar"), &whole[..length]).expect("the folder is ours");
        let opened = Layout::open_archive(sandbox.path("cut.tar")).await;
        assert!(matches!(opened, Err(ClientError::Layout { .. })), "{length} of {}: {opened:?}", whole.len());
    }
}
