//! skopeo, which shares its library with podman, buildah and CRI-O.

use std::process::{Command, Output};

use docket_oci::media;

use super::layout::{Layer, Layout, blobs_of};
use crate::harness::{Ask as _, Server, Site, said, sha256};

#[tokio::test]
async fn skopeo_pushes_and_pulls_an_image_of_many_layers() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut layout = Layout::new(site.folder().join("in"));
    let manifest = layout.image("amd64", &layers(&site));
    layout.tag(media::OCI_IMAGE_MANIFEST, &manifest, "v1");
    let pushed = blobs_of(layout.folder());

    let remote = format!("docker://{}/wabbit/net-monitor:v1", server.address());
    copy(&site, &[&oci(&site, "in"), &remote]);
    let repository = server.repository("wabbit/net-monitor");
    assert!(repository.manifest("v1").await == manifest);
    for bytes in pushed.values().filter(|bytes| **bytes != manifest) {
        assert!(repository.blob(&sha256(bytes)).await == *bytes);
    }
    // A second push finds everything there, and a pull brings the same bytes back.
    copy(&site, &[&oci(&site, "in"), &remote]);
    copy(&site, &[&remote, &oci(&site, "out")]);
    assert!(blobs_of(&site.folder().join("out")) == pushed);
    let by_digest = format!("docker://{}/wabbit/net-monitor@{}", server.address(), sha256(&manifest));
    assert!(skopeo(&site, &["inspect", "--tls-verify=false", "--raw", &by_digest]).stdout == manifest);
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 1);
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_an_index_for_several_platforms() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut layout = Layout::new(site.folder().join("in"));
    let [base, tools, one] = layers(&site);
    let amd = layout.image("amd64", &[base.clone(), tools.clone()]);
    let arm = layout.image("arm64", &[base, tools, one]);
    let index = layout.index(&[("amd64", &amd), ("arm64", &arm)]);
    layout.tag(media::OCI_IMAGE_INDEX, &index, "v1");

    let remote = format!("docker://{}/wabbit/net-monitor:v1", server.address());
    copy(&site, &["--all", &oci(&site, "in"), &remote]);
    let repository = server.repository("wabbit/net-monitor");
    assert!(repository.manifest("v1").await == index);
    for child in [&amd, &arm] {
        assert!(repository.manifest(&sha256(child).to_string()).await == *child);
    }
    copy(&site, &["--all", &remote, &oci(&site, "out")]);
    assert!(blobs_of(&site.folder().join("out")) == blobs_of(layout.folder()));
    // One platform alone is a plain image.
    let arguments = ["--override-arch", "arm64", "copy", "--src-tls-verify=false", &remote, &oci(&site, "arm")];
    skopeo(&site, &arguments);
    let pulled = blobs_of(&site.folder().join("arm"));
    assert!(pulled.get(sha256(&arm).hex().as_str()) == Some(&arm) && pulled.len() == 5);
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 3);
}

#[tokio::test]
async fn skopeo_copies_between_repositories_and_converts_to_docker_types() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut layout = Layout::new(site.folder().join("in"));
    let manifest = layout.image("amd64", &layers(&site));
    layout.tag(media::OCI_IMAGE_MANIFEST, &manifest, "v1");
    let at = |name: &str| format!("docker://{}/{name}", server.address());
    copy(&site, &[&oci(&site, "in"), &at("dev/app:v1")]);
    copy(&site, &[&at("dev/app:v1"), &at("prod/app:v1")]);
    assert!(server.repository("prod/app").manifest("v1").await == manifest);
    copy(&site, &["--format", "v2s2", &at("dev/app:v1"), &at("docker/app:v1")]);
    let converted = server.request("GET", "/v2/docker/app/manifests/v1").expect(200).await;
    assert_eq!(converted.header("content-type"), Some(media::DOCKER_MANIFEST));
    let folder = format!("dir:{}", site.folder().join("pulled").display());
    copy(&site, &[&at("docker/app:v1"), &folder]);
    let pulled = std::fs::read(site.folder().join("pulled/manifest.json")).expect("pulled");
    assert!(pulled == converted.body);
    server.stop().await;
    // The layers are shared, the config is another one in Docker's words.
    assert_eq!(site.fsck_clean().manifests, 3);
}

#[tokio::test]
async fn skopeo_lists_and_deletes() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a/b");
    let manifest = repository.push_image("v1", 1).await;
    repository.push_manifest("v2", manifest).await;
    let name = format!("docker://{}/a/b", server.address());
    let listed = skopeo(&site, &["list-tags", "--tls-verify=false", &name]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["Tags"], serde_json::json!(["v1", "v2"]));
    // It resolves the tag and deletes the manifest, which takes both tags along.
    skopeo(&site, &["delete", "--tls-verify=false", &format!("{name}:v1")]);
    assert_eq!(repository.tags().await, [""; 0]);
    server.stop().await;
    site.fsck_clean();
}

/// A large layer, one of many files, and a small one.
fn layers(site: &Site) -> [Layer; 3] {
    let many: Vec<_> = (0..40).map(|number| (format!("usr/lib/part-{number}"), 700 * number)).collect();
    let many: Vec<_> = many.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    [
        Layer::new(site.folder(), 1, &[("bin/net-monitor", 2_500_000), ("etc/net-monitor.toml", 400)]),
        Layer::new(site.folder(), 2, &many),
        Layer::new(site.folder(), 3, &[("etc/hostname", 7)]),
    ]
}

/// A layout below the site's folder, as skopeo names it.
fn oci(site: &Site, folder: &str) -> String {
    format!("oci:{}:v1", site.folder().join(folder).display())
}

fn copy(site: &Site, arguments: &[&str]) {
    skopeo(site, &[&["copy", "--src-tls-verify=false", "--dest-tls-verify=false"], arguments].concat());
}

fn skopeo(site: &Site, arguments: &[&str]) -> Output {
    let mut command = Command::new("skopeo");
    // Whatever it remembers of registries stays in the test's folder.
    command.env("HOME", site.folder()).env("XDG_DATA_HOME", site.folder());
    command.args(["--insecure-policy", "--tmpdir"]).arg(site.folder()).args(arguments);
    let done = command.output().unwrap_or_else(|failure| {
        panic!("skopeo could not be started ({failure}); on Debian, apt-get install skopeo brings it")
    });
    assert!(done.status.success(), "skopeo {arguments:?}: {}", said(&done));
    done
}
