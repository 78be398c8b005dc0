//! Single bits flipped in files that keep their names, and in the keys that a consumer trusts.

use std::fmt::Write as _;

use bytes::Bytes;
use docket_client::blob::BlobStream;
use docket_client::{ClientError, FetchedManifest};
use docket_oci::digest::Digest;
use docket_proof::key::PublicKey;
use futures_util::stream;

use super::{Scene, flip, named, sha256};

/// In memory, through the two functions that all reading goes through; the binary is asked about a sample of files below, and
/// the judge's own tests flip every bit of what no reader has checked.
#[tokio::test]
async fn every_flipped_bit_of_every_piece_is_refused_where_it_is_read() {
    let scene = Scene::new().await;
    for (name, digest) in named(&scene.claim).into_iter().chain([("the artifact", sha256(&scene.image))]) {
        let whole = scene.layout.blob(&digest);
        for bit in 0..whole.len() * 8 {
            let bent = Bytes::from(flip(&whole, bit));
            let manifest = FetchedManifest::check("here", Some(digest), None, bent.clone());
            assert!(is_other(&manifest, digest), "bit {bit} of {name} as a manifest: {manifest:?}");
            let blob = BlobStream::new(stream::iter([Ok(bent)]), "here", digest, None).collect(1 << 20).await;
            assert!(is_other(&blob, digest), "bit {bit} of {name} as a blob: {blob:?}");
        }
    }
}

fn is_other<T>(read: &Result<T, ClientError>, digest: Digest) -> bool {
    matches!(read, Err(ClientError::Digest { expected, .. }) if *expected == digest)
}

#[tokio::test]
async fn verify_names_the_piece_in_which_a_bit_is_flipped() {
    let scene = Scene::new().await;
    for trust in ["trust.toml", "trust-issuers.toml"] {
        scene.verify("copied", trust).expect(0);
    }
    let pieces = named(&scene.claim).into_iter().chain([("the artifact", sha256(&scene.image))]);
    for (at, (name, digest)) in pieces.enumerate() {
        let whole = scene.layout.blob(&digest);
        // Another rest for each file, so that the bits are not all the first ones of their bytes.
        for bit in (at..whole.len() * 8).step_by(SAMPLED) {
            std::fs::write(scene.layout.file(&digest), flip(&whole, bit)).expect("the folder is ours");
            let said = scene.verify("copied", "trust.toml").expect(1);
            assert!(said.out.starts_with("refused  v1@sha256:"), "{}", said.transcript());
            said.says(&[name, "was changed", &digest.to_string()]);
        }
        std::fs::write(scene.layout.file(&digest), whole).expect("the folder is ours");
    }
    scene.verify("copied", "trust.toml").expect(0);
}

#[tokio::test]
async fn a_piece_cut_short_or_grown_by_a_byte_is_refused() {
    let scene = Scene::new().await;
    for (name, digest) in named(&scene.claim) {
        let whole = scene.layout.blob(&digest);
        let longer = [&whole[..], b" "].concat();
        for other in [&whole[..whole.len() - 1], &longer, b""] {
            std::fs::write(scene.layout.file(&digest), other).expect("the folder is ours");
            scene.verify("copied", "trust.toml").expect(1).says(&[name, "was changed"]);
        }
        std::fs::write(scene.layout.file(&digest), whole).expect("the folder is ours");
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_trusted_key_is_refused() {
    let scene = Scene::new().await;
    let keys = [
        (scene.site.receipt_key(), "receipt of https://registry.wabbit.example"),
        (scene.wabbit.key().public().clone(), "issuer https://wabbit.example"),
    ];
    let trust = std::fs::read_to_string(scene.shell.path("trust-issuers.toml")).expect("it was pinned");
    for (key, blamed) in keys {
        let whole = key.to_spki_der();
        for bit in 0..whole.len() * 8 {
            let bent = flip(&whole, bit);
            let is_sampled = bit % SAMPLED == 0;
            // A key off the curve is no key; one on it is another key. The exhaustive part asks the key's own reader, and the
            // judge's tests prove that no other key is believed.
            match PublicKey::from_spki_der(&bent) {
                Ok(other) => assert_ne!(other, key, "bit {bit}"),
                Err(_) if !is_sampled => continue,
                Err(_) => {}
            }
            scene.shell.write("bent.toml", trust.replace(&key.to_spki_pem(), &pem(&bent)));
            let said = scene.verify("copied", "bent.toml");
            if PublicKey::from_spki_der(&bent).is_ok() {
                said.expect(1).says(&["not trusted", blamed]);
            } else {
                said.fails(2, &["bent.toml is not usable", "key 1 of https://"]);
            }
        }
    }
}

/// PEM around bytes that may be no key.
fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        let _ = writeln!(pem, "{}", std::str::from_utf8(line).expect("base64"));
    }
    pem + "-----END PUBLIC KEY-----\n"
}

/// Every how many bits the whole binary is asked.
const SAMPLED: usize = 97;

#[test]
fn the_sampled_pem_is_the_real_one_for_a_real_key() {
    let key = docket_proof::key::SigningKey::generate().public().clone();
    assert_eq!(pem(&key.to_spki_der()), key.to_spki_pem());
}
