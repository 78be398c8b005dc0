//! podman, as root and with a store of its own in the test's folder.

use std::process::{Command, Output};

use docket_oci::media;

use crate::harness::{Ask as _, Server, Site, bytes_of, said, sha256};

#[tokio::test]
async fn podman_pushes_pulls_and_makes_lists() {
    let site = Site::new();
    let server = Server::start(&site);
    let tree = site.folder().join("tree");
    std::fs::create_dir(&tree).expect("a folder");
    std::fs::write(tree.join("net-monitor"), bytes_of(1, 700_000)).expect("written");
    let archive = site.folder().join("tree.tar");
    let tar = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".").output().expect("tar");
    assert!(tar.status.success(), "tar: {}", said(&tar));
    let at = |tag: &str| format!("{}/wabbit/net-monitor:{tag}", server.address());
    podman(&site, &["import", archive.to_str().expect("a plain path"), "localhost/app:1"]);
    podman(&site, &["push", "--tls-verify=false", "localhost/app:1", &at("v1")]);
    // The second push finds every blob and the tag.
    podman(&site, &["push", "--tls-verify=false", "localhost/app:1", &at("v2")]);
    let repository = server.repository("wabbit/net-monitor");
    let manifest = repository.manifest("v1").await;
    podman(&site, &["rmi", "--force", "localhost/app:1"]);
    podman(&site, &["pull", "--tls-verify=false", &at("v1")]);
    let by_digest = format!("{}/wabbit/net-monitor@{}", server.address(), sha256(&manifest));
    podman(&site, &["pull", "--tls-verify=false", &by_digest]);

    podman(&site, &["manifest", "create", "localhost/list"]);
    podman(&site, &["manifest", "add", "--tls-verify=false", "localhost/list", &format!("docker://{}", at("v1"))]);
    let list = format!("docker://{}", at("list"));
    podman(&site, &["manifest", "push", "--all", "--tls-verify=false", "localhost/list", &list]);
    let got = repository.request("GET", "manifests/list").expect(200).await;
    assert!(got.header("content-type").is_some_and(media::is_index));
    assert_eq!(got.json()["manifests"][0]["digest"], sha256(&manifest).to_string());
    let listed = podman(
        &site,
        &["search", "--tls-verify=false", "--list-tags", &format!("{}/wabbit/net-monitor", server.address())],
    );
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(["v1", "v2", "list"].iter().all(|tag| listed.contains(tag)), "{listed}");
    server.stop().await;
    site.fsck_clean();
}

fn podman(site: &Site, arguments: &[&str]) -> Output {
    let store = |name: &str| site.folder().join("podman").join(name);
    std::fs::create_dir_all(store("run")).expect("a folder");
    let config = store("storage.conf");
    // Copies instead of overlays, which a container may not mount.
    let (run, graph) = (store("run"), store("graph"));
    let text =
        format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n", run.display(), graph.display());
    std::fs::write(&config, text).expect("written");
    let mut command = Command::new("podman");
    command.env("HOME", site.folder()).env("XDG_RUNTIME_DIR", store("run")).env("CONTAINERS_STORAGE_CONF", config);
    let done = command.args(arguments).output().unwrap_or_else(|failure| {
        panic!("podman could not be started ({failure}); on Debian, apt-get install podman brings it")
    });
    assert!(done.status.success(), "podman {arguments:?}: {}", said(&done));
    done
}
