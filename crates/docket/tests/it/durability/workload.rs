//! Clients that make a server promise things of every kind, and remember what it said.

use docket_oci::digest::Digest;
use docket_oci::media;
use futures_util::future::{join, join3};

use super::promises::{Change, Fact, Promise};
use crate::harness::{Answer, Ask as _, Issuer, Server, Site, bytes_of, image, sha256};

/// Who speaks to the server, and what it was told.
struct Client<'a> {
    server: &'a Server,
    promises: Vec<Promise>,
}

/// The server is gone, or said that it cannot.
struct Refused;

/// Lets three clients work at once, each for as many rounds, and gives what they were promised. A client goes on after
/// a refusal with its next round, and ends when the server is gone.
///
/// Meanwhile the operator replaces both keys of the service; whether that happens is for the ledger to say.
pub(super) async fn work(site: &Site, server: &Server, issuer: &Issuer, rounds: u64) -> Vec<Promise> {
    let client = || Client { server, promises: Vec::new() };
    let (mut pushes, mut chunks, mut claims) = (client(), client(), client());
    let _ = pushes.move_tags(3 * rounds).await;
    let clients = join3(pushes.push(rounds), chunks.push_in_chunks(rounds), claims.claim(issuer, rounds));
    let operator = async {
        for role in ["receipt", "statement"] {
            site.rotate(role).await;
        }
    };
    join(clients, operator).await;
    [pushes.promises, chunks.promises, claims.promises].into_iter().flatten().collect()
}

impl Client<'_> {
    /// A tag that goes to and fro between two images.
    async fn move_tags(&mut self, moves: u64) -> Result<(), Refused> {
        self.blob(PUSHED, b"{}").await?;
        for number in 0..moves {
            let image = image(b"{}", if number.is_multiple_of(2) { &[] } else { &[b"{}"] });
            self.manifest("latest", &image).await?;
        }
        Ok(())
    }

    /// Whole blobs below and above the size of a row; images under tags that move, and that are deleted.
    async fn push(&mut self, rounds: u64) {
        for round in 0..rounds {
            let _ = self.push_round(round).await;
        }
    }

    async fn push_round(&mut self, round: u64) -> Result<(), Refused> {
        let layer = bytes_of(round, if round.is_multiple_of(3) { 80_000 } else { 700 });
        let digest = self.blob(PUSHED, &layer).await?;
        let manifest = image(b"{}", &[&layer]);
        let name = sha256(&manifest).to_string();
        let tag = format!("tag-{}", round % 3);
        self.manifest(&tag, &manifest).await?;
        match round % 4 {
            1 => {
                let gone = [(Fact::Manifest(PUSHED, tag.clone()), None)];
                self.ask("DELETE", &path(PUSHED, &format!("manifests/{tag}")), &[], gone).await?;
            }
            2 => {
                let gone = [Fact::Manifest(PUSHED, tag), Fact::Manifest(PUSHED, name.clone())].map(|fact| (fact, None));
                self.ask("DELETE", &path(PUSHED, &format!("manifests/{name}")), &[], gone).await?;
                let gone = [(Fact::Blob(PUSHED, digest), None)];
                self.ask("DELETE", &path(PUSHED, &format!("blobs/{digest}")), &[], gone).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Blobs that come in pieces, are mounted elsewhere, are deleted in one place and pushed again.
    async fn push_in_chunks(&mut self, rounds: u64) {
        for round in 0..rounds {
            let _ = self.chunks_round(round).await;
        }
    }

    async fn chunks_round(&mut self, round: u64) -> Result<(), Refused> {
        let blob =
            bytes_of(1_000_000 + round, [9_000, 120_000, 1_300_000][usize::try_from(round % 5 % 3).expect("small")]);
        let digest = sha256(&blob);
        let stands = |repository, bytes| [(Fact::Blob(repository, digest), bytes)];
        let location = self.ask("POST", &path(CHUNKED, "blobs/uploads/"), &[], []).await?.location();
        for chunk in blob.chunks(blob.len() / 2 + 1) {
            self.ask("PATCH", &location, chunk, []).await?;
        }
        self.ask("PUT", &format!("{location}?digest={digest}"), &[], stands(CHUNKED, Some(blob.clone()))).await?;
        let mount = format!("blobs/uploads/?mount={digest}&from={CHUNKED}");
        self.ask("POST", &path(MOUNTED, &mount), &[], stands(MOUNTED, Some(blob.clone()))).await?;
        // Named by a manifest, so that the collector keeps it.
        let manifest = image(&blob, &[]);
        let name = sha256(&manifest).to_string();
        for repository in [CHUNKED, MOUNTED] {
            let stands = vec![(Fact::Manifest(repository, name.clone()), Some(manifest.clone()))];
            self.put(repository, &name, &manifest, stands).await?;
        }
        if round % 3 == 1 {
            self.ask("DELETE", &path(CHUNKED, &format!("blobs/{digest}")), &[], stands(CHUNKED, None)).await?;
            self.blob(CHUNKED, &blob).await?;
        }
        Ok(())
    }

    /// Documents and statements about an artifact, placed and not placed.
    async fn claim(&mut self, issuer: &Issuer, rounds: u64) {
        let artifact = image(b"{}", &[]);
        let subject = sha256(&artifact);
        let named = vec![(Fact::Manifest(CLAIMS, subject.to_string()), Some(artifact.clone()))];
        if self.blob(CLAIMS, b"{}").await.is_err()
            || self.put(CLAIMS, &subject.to_string(), &artifact, named).await.is_err()
        {
            return;
        }
        for round in 0..rounds {
            let _ = self.claim_round(issuer, &subject, round).await;
        }
    }

    async fn claim_round(&mut self, issuer: &Issuer, subject: &Digest, round: u64) -> Result<(), Refused> {
        let document = format!("document {round}").into_bytes();
        let placed = !round.is_multiple_of(3);
        let statement = if round % 3 == 1 {
            self.blob(CLAIMS, &document).await?;
            issuer.about_document(subject, "application/vnd.cyclonedx+json", &document)
        } else {
            issuer.about(subject, "application/vnd.example.note", &document)
        };
        let place = if placed { path(CLAIMS, "_scitt/ledger/entries") } else { "/entries".to_owned() };
        let request = self.server.request("POST", &place).header("content-type", "application/cose");
        let answer = request.body(statement.clone()).try_answer().await;
        let receipt = answer.as_ref().map(|answer| answer.body.to_vec());
        let mut changes = vec![(Fact::Receipt(statement.clone()), receipt)];
        if placed {
            changes.push((Fact::Placed(CLAIMS, statement), Some(Vec::new())));
        }
        self.promised(answer, changes).map(drop)
    }

    async fn blob(&mut self, repository: &'static str, bytes: &[u8]) -> Result<Digest, Refused> {
        let digest = sha256(bytes);
        let stands = [(Fact::Blob(repository, digest), Some(bytes.to_vec()))];
        self.ask("POST", &path(repository, &format!("blobs/uploads/?digest={digest}")), bytes, stands).await?;
        Ok(digest)
    }

    async fn manifest(&mut self, tag: &str, manifest: &[u8]) -> Result<(), Refused> {
        let names = [tag.to_owned(), sha256(manifest).to_string()];
        let changes = names.map(|name| (Fact::Manifest(PUSHED, name), Some(manifest.to_vec())));
        self.put(PUSHED, tag, manifest, changes.into()).await
    }

    async fn put(
        &mut self,
        repository: &str,
        reference: &str,
        manifest: &[u8],
        changes: Vec<Change>,
    ) -> Result<(), Refused> {
        let request = self.server.request("PUT", &path(repository, &format!("manifests/{reference}")));
        let request = request.header("content-type", media::OCI_IMAGE_MANIFEST).body(manifest.to_vec());
        let answer = request.try_answer().await;
        self.promised(answer, changes).map(drop)
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        changes: impl Into<Vec<Change>>,
    ) -> Result<Answer, Refused> {
        let answer = self.server.request(method, path).body(body.to_vec()).try_answer().await;
        self.promised(answer, changes.into())
    }

    /// Remembers what an answer promises, or that there was none.
    fn promised(&mut self, answer: Option<Answer>, changes: Vec<Change>) -> Result<Answer, Refused> {
        let kept = answer.filter(|answer| {
            if answer.status >= 500 {
                tells_nothing(answer);
            }
            match answer.status {
                201 => true,
                // A mount that is answered so did not happen: it began an upload.
                202 | 204 => changes.iter().all(|(_, value)| value.is_none()),
                _ => false,
            }
        });
        let request = kept.as_ref().map(|kept| kept.header("x-request-id").expect("every answer names its request"));
        self.promises.push(Promise { request: request.map(str::to_owned), changes });
        kept.ok_or(Refused)
    }
}

/// An answer about our own failures tells nothing of what is inside.
fn tells_nothing(answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    for word in ["os error", "sqlite", "database", "/tmp", "/proc", "staging", "docket.db", "input/output", "I/O"] {
        assert!(!body.to_lowercase().contains(&word.to_lowercase()), "{} tells {word:?}: {body}", answer.asked);
    }
}

fn path(repository: &str, rest: &str) -> String {
    format!("/v2/{repository}/{rest}")
}

const PUSHED: &str = "pushed";
const CHUNKED: &str = "chunked";
const MOUNTED: &str = "mounted";
const CLAIMS: &str = "wabbit/net-monitor";
