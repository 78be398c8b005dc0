//! Pushers, mounters, deleters and a collector without any grace, all at once, over the same few layers: every image that
//! was acknowledged and not deleted must be there afterwards, byte for byte.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docket_oci::manifest::Descriptor;
use docket_oci::media::{OCI_EMPTY_BYTES, OCI_IMAGE_MANIFEST, OCI_LAYER};

use crate::harness::{Server, Site, artifact, bytes_of, said, sha256};

/// An image that was acknowledged.
struct Image {
    repository: String,
    manifest: Vec<u8>,
    layers: [Vec<u8>; 2],
}

/// The server does not answer any more.
#[derive(Debug)]
struct Gone;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_to_a_collector_without_grace() {
    let site = Arc::new(Site::new());
    let server = Arc::new(Server::start(&site));
    let images = storm(&site, &server, 0..ROUNDS).await;
    assert!(images.len() as u64 >= PUSHERS * ROUNDS / 3, "{} images are too few to show anything", images.len());
    check(&server, &images).await;
    Arc::into_inner(server).expect("nobody else has it").stop().await;
    assert_eq!(site.fsck_clean().incomplete, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_collections_loses_nothing_acknowledged() {
    let (site, mut all) = (Arc::new(Site::new()), Vec::new());
    for life in 0..LIVES {
        let server = Arc::new(Server::start(&site));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(300 + life * 70)).await;
            server.kill();
        };
        let (images, ()) = tokio::join!(storm(&site, &server, life * 1_000_000..u64::MAX), kill);
        Arc::into_inner(server).expect("nobody else has it").kill9().await;
        all.extend(images);
        assert_eq!(site.fsck_clean().incomplete, 0);
    }
    assert!(all.len() as u64 > LIVES, "{} images are too few to show anything", all.len());
    // The collection that was cut off is simply made again.
    let collected = site.docket(&["gc", "--grace", "0s"]);
    assert!(collected.status.success(), "{}", said(&collected));
    let server = Server::start(&site);
    check(&server, &all).await;
    server.stop().await;
    assert_eq!(site.fsck_clean().incomplete, 0);
}

/// Lets pushers work for some rounds, or until the server is gone, beside a collector. No two images of a round are the same,
/// so no pusher deletes what another one counts on.
async fn storm(site: &Arc<Site>, server: &Arc<Server>, rounds: Range<u64>) -> Vec<Image> {
    let done = Arc::new(AtomicBool::new(false));
    let collector = {
        let (site, done) = (Arc::clone(site), Arc::clone(&done));
        tokio::task::spawn_blocking(move || {
            while !done.load(Ordering::Relaxed) {
                // Where the server is killed meanwhile, the command fails.
                let _ = site.docket(&["gc", "--grace", "0s"]);
            }
        })
    };
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|number| {
            let (server, rounds) = (Arc::clone(server), rounds.clone());
            tokio::spawn(async move { work(&server, number, rounds).await })
        })
        .collect();
    let mut images = Vec::new();
    for pusher in pushers {
        images.extend(pusher.await.expect("no pusher fails"));
    }
    done.store(true, Ordering::Relaxed);
    collector.await.expect("the collector does not fail");
    images
}

/// One pusher: pushes images and deletes every other one of them again. What is left was acknowledged.
async fn work(server: &Server, number: u64, rounds: Range<u64>) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    for round in rounds {
        let Ok(image) = push(server, number, round).await else { break };
        images.push(image);
        if round % 2 == 1 {
            // Taken off the list first: if no answer comes, nobody knows.
            let image = images.remove(usize::try_from(round % 3).expect("small").min(images.len() - 1));
            let path = format!("/v2/{}/manifests/{}", image.repository, sha256(&image.manifest));
            match status(server.request("DELETE", &path)).await {
                Ok(status) => assert_eq!(status, 202, "{path}"),
                Err(Gone) => break,
            }
        }
    }
    images
}

/// Pushes an image as clients do: asks for each layer, mounts or sends what is not there, then puts the manifest. Told that
/// something is gone by then, it sends everything again.
async fn push(server: &Server, number: u64, round: u64) -> Result<Image, Gone> {
    let repository = format!("wabbit/r{}", (number + round) % REPOSITORIES);
    let layers = [0, 1].map(|which| layer((number * 7 + round * 3 + which * 5) % LAYERS));
    let descriptors = layers.each_ref().map(|layer| Descriptor::of(OCI_LAYER, layer));
    let name = format!("{number}-{round}");
    let manifest = artifact("text/storm", &descriptors, None, &[("name", &name)]);
    for attempt in 0..ATTEMPTS_MAX {
        for blob in [OCI_EMPTY_BYTES, &layers[0], &layers[1]] {
            give(server, &repository, blob, attempt == 0).await?;
        }
        let path = format!("/v2/{repository}/manifests/{}", sha256(&manifest));
        let put = server.request("PUT", &path).header("content-type", OCI_IMAGE_MANIFEST).body(manifest.clone());
        match status(put).await? {
            201 => return Ok(Image { repository, manifest, layers }),
            400 => {}
            other => panic!("the manifest was answered with {other}: {}", server.log()),
        }
    }
    panic!("the collector took the blobs of {name} away {ATTEMPTS_MAX} times");
}

/// Makes sure that a repository holds a blob.
async fn give(server: &Server, repository: &str, blob: &[u8], ask: bool) -> Result<(), Gone> {
    let digest = sha256(blob);
    if ask && status(server.request("HEAD", &format!("/v2/{repository}/blobs/{digest}"))).await? == 200 {
        return Ok(());
    }
    let uploads = format!("/v2/{repository}/blobs/uploads/");
    if blob.len().is_multiple_of(3) {
        let mount = format!("{uploads}?mount={digest}&from=wabbit/r0");
        if status(server.request("POST", &mount)).await? == 201 {
            return Ok(());
        }
    }
    let sent = server.request("POST", &format!("{uploads}?digest={digest}")).body(blob.to_vec());
    assert_eq!(status(sent).await?, 201, "{}", server.log());
    Ok(())
}

async fn status(request: reqwest::RequestBuilder) -> Result<u16, Gone> {
    let answer = request.send().await.map_err(|_| Gone)?;
    let status = answer.status().as_u16();
    // An answer counts once all of it is here.
    answer.bytes().await.map_err(|_| Gone)?;
    Ok(status)
}

async fn check(server: &Server, images: &[Image]) {
    for image in images {
        let repository = server.repository(&image.repository);
        assert_eq!(repository.manifest(&sha256(&image.manifest).to_string()).await, image.manifest);
        for layer in &image.layers {
            assert!(repository.blob(&sha256(layer)).await == *layer, "a layer is not what was pushed");
        }
    }
}

/// A layer: every other one larger than a row takes.
fn layer(seed: u64) -> Vec<u8> {
    let length = if seed.is_multiple_of(2) { 70_000 + seed } else { 300 + seed };
    bytes_of(seed, usize::try_from(length).expect("small"))
}

const PUSHERS: u64 = 8;
const ROUNDS: u64 = 40;
const REPOSITORIES: u64 = 3;
const LAYERS: u64 = 9;
const ATTEMPTS_MAX: u64 = 200;
const LIVES: u64 = 6;
