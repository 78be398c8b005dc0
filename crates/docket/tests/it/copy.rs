//! Copies between registries, layouts and archives: every byte arrives as it was, once, with the claims if they are asked for.

use std::collections::BTreeMap;

use docket_oci::manifest::{Descriptor, Platform, index_bytes};
use docket_oci::media;
use serde_json::Value;

use crate::harness::{Issuer, LayoutFolder, Repository, Server, Shell, Site, bytes_of, image, put, sha256};

const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";

/// A registry, a prompt, and an image for two platforms with claims on the whole and on one part.
struct Dock {
    site: Site,
    server: Server,
    shell: Shell,
    /// The index, then the images.
    whole: Vec<u8>,
    parts: [Vec<u8>; 2],
}

impl Dock {
    async fn new() -> Self {
        let site = Site::new();
        let wabbit = site.admit("wabbit");
        let server = Server::start(&site);
        let shell = Shell::new(site.folder());
        let repository = server.repository("wabbit/net-monitor");
        repository.push_blob(*b"{}").await;
        let mut parts = [Vec::new(), Vec::new()];
        for (part, seed) in parts.iter_mut().zip([1, 2]) {
            let layers = [bytes_of(seed, 300_000), bytes_of(77, 2_000)];
            for layer in &layers {
                repository.push_blob(layer.clone()).await;
            }
            *part = image(b"{}", &[&layers[0], &layers[1]]);
            repository.push_manifest(&sha256(part).to_string(), part.clone()).await;
        }
        let whole = index_of(&parts);
        repository.put("v1", media::OCI_IMAGE_INDEX, whole.clone()).await.expecting(201);
        claim(&repository, &wabbit, &whole, b"{\"about\":\"the whole\"}").await;
        claim(&repository, &wabbit, &parts[1], b"{\"about\":\"a part\"}").await;
        let fingerprint = site.receipt_key().thumbprint();
        let pinned = shell.docket(&format!("trust pin {} --fingerprint {fingerprint}", server.address())).expect(0);
        shell.write("trust.toml", pinned.out);
        Self { site, server, shell, whole, parts }
    }

    /// Copies, with `@/` for the registry, and gives the numbers.
    fn copy(&self, line: &str) -> Value {
        self.shell.docket(&format!("copy --output json {}", self.at(line))).expect(0).json()
    }

    fn at(&self, line: &str) -> String {
        line.replace("@/", &format!("docker://{}/", self.server.address()))
    }

    /// Verifies the whole and the part that a claim is about.
    fn verify(&self, whole: &str, part: &str) {
        for reference in [whole, part] {
            let said = self.shell.docket(&format!("verify {} --trust trust.toml", self.at(reference)));
            said.expect(0).says(&["allowed", "receipt ok (https://registry.wabbit.example)"]);
        }
    }
}

/// An index over two images for two platforms.
fn index_of(parts: &[Vec<u8>; 2]) -> Vec<u8> {
    let children = parts.iter().zip(["amd64", "arm64"]).map(|(part, architecture)| {
        let platform =
            Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), ..Platform::default() };
        Descriptor { platform: Some(platform), ..Descriptor::of(media::OCI_IMAGE_MANIFEST, part) }
    });
    index_bytes(&children.collect::<Vec<_>>(), &BTreeMap::new())
}

async fn claim(repository: &Repository<'_>, issuer: &Issuer, manifest: &[u8], document: &[u8]) {
    repository.push_blob(document).await;
    let statement = issuer.about_document(&sha256(manifest), SBOM_TYPE, document);
    repository.claim(&statement).await.expecting(201);
}

/// How many blobs a copy brings over without claims and with them: one empty configuration for all, three layers, and of each
/// claim the document, the statement and the receipt.
const BLOBS: (u64, u64) = (4, 4 + 2 * 3);
/// How many manifests: the index and its images, and of each claim the evidence and the statement.
const MANIFESTS: (u64, u64) = (3, 3 + 2 * 2);

#[tokio::test]
async fn every_byte_survives_registry_layout_archive_and_registry_again() {
    let dock = Dock::new().await;
    let from = "@/wabbit/net-monitor:v1";
    dock.copy(&format!("--claims {from} oci:a:v1"));
    dock.copy("--claims oci:a oci-archive:b.tar");
    dock.copy("--claims oci-archive:b.tar @/acme/net-monitor:v1");
    dock.copy("--claims @/acme/net-monitor:v1 oci-archive:c.tar");
    dock.copy("--claims oci-archive:c.tar oci:d");
    let layout = |name: &str| LayoutFolder::at(dock.shell.path(name));
    assert_eq!(layout("a").blobs(), layout("d").blobs());
    assert_eq!(layout("d").artifact(), dock.whole);
    let read = |name: &str| std::fs::read(dock.shell.path(name)).expect("an archive");
    dock.copy("--claims oci:a:v1 oci-archive:again.tar");
    assert_eq!(read("again.tar"), read("b.tar"), "the same layout twice gives two archives");
    let repository = dock.server.repository("acme/net-monitor");
    assert_eq!(repository.manifest("v1").await, dock.whole);
    for part in &dock.parts {
        assert_eq!(repository.manifest(&sha256(part).to_string()).await, *part);
    }
    let part = sha256(&dock.parts[1]);
    dock.verify("@/acme/net-monitor:v1", &format!("@/acme/net-monitor@{part}"));
    dock.verify("oci:d:v1", &format!("oci:d:{part}"));
    dock.verify("oci-archive:c.tar:v1", &format!("oci-archive:c.tar:{part}"));
    let Dock { site, server, .. } = dock;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn claims_stay_behind_unless_asked_for() {
    let dock = Dock::new().await;
    let bare = dock.copy("@/wabbit/net-monitor:v1 oci:bare");
    assert_eq!((bare["manifests"].as_u64(), bare["referrers"].as_u64()), (Some(MANIFESTS.0), Some(0)));
    assert_eq!(bare["blobs_sent"].as_u64(), Some(BLOBS.0));
    let said = dock.shell.docket("verify oci:bare --trust trust.toml").expect(1);
    said.says(&["unsigned: nothing is claimed about this artifact"]);
    let with = dock.copy("--claims @/wabbit/net-monitor:v1 oci:bare");
    assert_eq!((with["manifests"].as_u64(), with["referrers"].as_u64()), (Some(MANIFESTS.1), Some(4)));
    assert_eq!(with["blobs_present"].as_u64(), Some(BLOBS.0), "the claims were added to what was there");
    dock.verify("oci:bare:v1", &format!("oci:bare:{}", sha256(&dock.parts[1])));
}

#[tokio::test]
async fn a_second_copy_sends_nothing() {
    let dock = Dock::new().await;
    for to in ["oci:a:v1", "@/acme/net-monitor:v1"] {
        let line = format!("--claims oci:source:v1 {to}");
        dock.copy("--claims @/wabbit/net-monitor:v1 oci:source:v1");
        let first = dock.copy(&line);
        assert_eq!((first["blobs_sent"].as_u64(), first["manifests"].as_u64()), (Some(BLOBS.1), Some(MANIFESTS.1)));
        let second = dock.copy(&line);
        let numbers = (&second["blobs_sent"], &second["bytes_sent"], second["blobs_present"].as_u64());
        assert_eq!(numbers, (&0.into(), &0.into(), Some(BLOBS.1)), "{to}");
    }
}

#[tokio::test]
async fn within_a_registry_nothing_travels_at_all() {
    let dock = Dock::new().await;
    let copied = dock.copy("--claims @/wabbit/net-monitor:v1 @/acme/net-monitor:v2");
    assert_eq!((copied["blobs_sent"].as_u64(), copied["blobs_present"].as_u64()), (Some(0), Some(BLOBS.1)));
    dock.verify("@/acme/net-monitor:v2", &format!("@/acme/net-monitor@{}", sha256(&dock.parts[1])));
}

#[tokio::test]
async fn claims_copied_to_another_registry_are_verified_there_by_the_receipts_of_the_first() {
    let dock = Dock::new().await;
    let other = Site::without_data();
    let init = other.docket(&["init", "--service-id", "https://registry.acme.example"]);
    assert!(init.status.success());
    let there = Server::start(&other);
    let to = format!("docker://{}/rockets/net-monitor:v1", there.address());
    dock.copy(&format!("--claims @/wabbit/net-monitor:v1 {to}"));
    dock.verify(&to, &format!("docker://{}/rockets/net-monitor@{}", there.address(), sha256(&dock.parts[1])));
    // That registry says nothing of its own about it, and the first one need not be there.
    let Dock { server, shell, .. } = dock;
    server.stop().await;
    shell.docket(&format!("verify {to} --trust trust.toml")).expect(0);
    let fingerprint = other.receipt_key().thumbprint();
    let own = shell.docket(&format!("trust pin {} --fingerprint {fingerprint}", there.address())).expect(0);
    shell.write("own.toml", own.out);
    let said = shell.docket(&format!("verify {to} --trust own.toml")).expect(1);
    said.says(&["no receipt of a trusted service; there are receipts of: https://registry.wabbit.example"]);
    there.stop().await;
    assert_eq!(other.fsck_clean().entries, 1);
}

#[tokio::test]
async fn a_copy_that_broke_off_shows_nothing_and_is_taken_up_again() {
    let dock = Dock::new().await;
    dock.copy("--claims @/wabbit/net-monitor:v1 oci:source:v1");
    let source = LayoutFolder::at(dock.shell.path("source"));
    // The last blob in the order of a copy, so that others went before it.
    let layer = [bytes_of(1, 300_000), bytes_of(2, 300_000)].map(|layer| sha256(&layer)).into_iter().max();
    let missing = source.file(&layer.expect("two layers"));
    let aside = dock.shell.path("aside");
    std::fs::rename(&missing, &aside).expect("it was copied");
    for (to, tagged) in [("@/acme/net-monitor:v1", "@/acme/net-monitor:v1"), ("oci:target:v1", "oci:target:v1")] {
        let line = dock.at(&format!("copy --claims oci:source:v1 {to}"));
        dock.shell.docket(&line).fails(1, &["source has no blob", &layer.expect("two layers").to_string()]);
        let verify = dock.at(&format!("verify {tagged} --trust trust.toml"));
        dock.shell.docket(&verify).expect(2).says(&["could not judge"]);
    }
    std::fs::rename(&aside, &missing).expect("it was put aside");
    for to in ["@/acme/net-monitor:v1", "oci:target:v1"] {
        let copied = dock.copy(&format!("--claims oci:source:v1 {to}"));
        let (sent, present) = (copied["blobs_sent"].as_u64(), copied["blobs_present"].as_u64());
        let (sent, present) = (sent.expect("a number"), present.expect("a number"));
        assert_eq!(sent + present, BLOBS.1);
        assert!(sent > 0 && present > 0, "{to}: {sent} sent, {present} there already");
        let (repository, _) = to.rsplit_once(':').expect("a tag");
        let separator = if to.starts_with('@') { '@' } else { ':' };
        dock.verify(to, &format!("{repository}{separator}{}", sha256(&dock.parts[1])));
    }
    let Dock { site, server, .. } = dock;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn bytes_that_changed_at_the_source_are_not_copied() {
    let dock = Dock::new().await;
    dock.copy("--claims @/wabbit/net-monitor:v1 oci:source:v1");
    let source = LayoutFolder::at(dock.shell.path("source"));
    let layer = sha256(&bytes_of(1, 300_000));
    let mut bytes = source.blob(&layer);
    bytes[150_000] ^= 1;
    std::fs::write(source.file(&layer), bytes).expect("the folder is ours");
    for to in ["@/acme/net-monitor:v1", "oci:target:v1", "oci-archive:target.tar"] {
        let line = dock.at(&format!("copy --claims oci:source:v1 {to}"));
        dock.shell.docket(&line).fails(1, &[&layer.to_string()]);
    }
    assert!(!dock.shell.path("target.tar").exists());
    let answer = dock.server.repository("acme/net-monitor").request("GET", "manifests/v1").send().await;
    assert_eq!(answer.expect("an answer").status(), 404);
}

#[tokio::test]
async fn a_destination_that_names_a_digest_takes_only_that() {
    let dock = Dock::new().await;
    let (whole, other) = (sha256(&dock.whole), sha256(b"another"));
    dock.copy(&format!("@/wabbit/net-monitor:v1 @/acme/net-monitor@{whole}"));
    let line = dock.at(&format!("copy @/wabbit/net-monitor:v1 @/acme/net-monitor@{other}"));
    dock.shell.docket(&line).fails(1, &[&format!("asks for {other} but the source is {whole}")]);
}

#[tokio::test]
async fn a_layout_with_several_artifacts_asks_which() {
    let dock = Dock::new().await;
    LayoutFolder::with_image(dock.shell.path("two"), "first", 1).await;
    let two = LayoutFolder::at(dock.shell.path("two"));
    let mut writer = two.writer().await;
    let other = image(b"{}", &[]);
    put(&writer, &other).await;
    writer.list(Descriptor::of(media::OCI_IMAGE_MANIFEST, &other), Some("second"));
    writer.finish().await.expect("the layout is written");
    let copy = |from: &str| dock.shell.docket(&dock.at(&format!("copy {from} @/acme/two:v1")));
    copy("oci:two").fails(1, &["two holds several artifacts, name one of: first, second"]);
    copy("oci:two:second").expect(0);
    assert_eq!(dock.server.repository("acme/two").manifest("v1").await, other);
}
