//! Verification refuses whatever was changed, and says what: bit by bit, and with every digest made to fit again.

use docket_oci::digest::Digest;
use docket_proof::statement::SignedStatement;

use crate::harness::{ClaimPieces, Guarded, Issuer, LayoutFolder, Repository, Said, Server, Shell, Site, sha256};

mod certificates;
mod crowd;
mod flipped;
mod others;
mod refitted;
mod strangers;
mod verdicts;

const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";

/// A registry with one claimed image, a trust file for it, and the claim copied out to a layout.
struct Scene {
    site: Site,
    server: Server,
    shell: Shell,
    wabbit: Issuer,
    image: Vec<u8>,
    layout: LayoutFolder,
    claim: ClaimPieces,
}

impl Scene {
    async fn new() -> Self {
        let site = Site::new();
        let wabbit = site.admit("wabbit");
        let server = Server::start(&site);
        let shell = Shell::new(site.folder());
        let image = server.repository(REPOSITORY).push_image("v1", 1).await;
        claim_with(&server.repository(REPOSITORY), &wabbit, &image, SBOM).await;
        shell.write("trust.toml", pin(&shell, &site, &server, ""));
        shell.write("wabbit.pub", wabbit.public_key_file());
        shell.write("trust-issuers.toml", pin(&shell, &site, &server, "--issuer wabbit.pub"));
        let image_at = format!("docker://{}/{REPOSITORY}:v1", server.address());
        shell.docket(&format!("copy --claims {image_at} oci:copied:v1")).expect(0);
        let layout = LayoutFolder::at(shell.path("copied"));
        let claim = layout.claim();
        assert_eq!(layout.artifact(), image);
        Self { site, server, shell, wabbit, image, layout, claim }
    }

    /// The same on a server where bob is a stranger.
    async fn among_strangers(self) -> Self {
        self.server.stop().await;
        let Guarded { site, server } = Guarded::start_on(self.site, STRANGERS);
        Self { site, server, ..self }
    }

    /// Verifies the image in the registry.
    fn verify_there(&self) -> Said {
        self.shell.docket(&format!("verify {}/{REPOSITORY}:v1 --trust trust.toml", self.server.address()))
    }

    /// Verifies the image in a layout.
    fn verify(&self, layout: &str, trust: &str) -> Said {
        self.shell.docket(&format!("verify oci:{layout} --trust {trust}"))
    }

    /// Verifies a layout that holds the image and this claim about it.
    async fn verify_claim(&self, name: &str, claim: &ClaimPieces, trust: &str) -> Said {
        LayoutFolder::with_claim(self.shell.path(name), &self.image, claim).await;
        self.verify(name, trust)
    }
}

/// Registers a claim with a document about an image and gives the statement that was signed and the receipt.
async fn claim_with(repository: &Repository<'_>, issuer: &Issuer, image: &[u8], document: &[u8]) -> (Vec<u8>, Vec<u8>) {
    repository.push_blob(document).await;
    let statement = issuer.about_document(&sha256(image), SBOM_TYPE, document);
    let receipt = repository.claim(&statement).await.expecting(201).body.to_vec();
    (statement, receipt)
}

/// A trust file for a service, as `docket trust pin` writes it.
fn pin(shell: &Shell, site: &Site, server: &Server, more: &str) -> String {
    let fingerprint = site.receipt_key().thumbprint();
    shell.docket(&format!("trust pin http://{} --fingerprint {fingerprint} {more}", server.address())).expect(0).out
}

/// A statement with a receipt inside, whatever the two have to do with each other.
fn transparent(statement: &[u8], receipt: &[u8]) -> Vec<u8> {
    let statement = SignedStatement::decode(statement).expect("a statement");
    docket_proof::statement::transparent(statement.entry(), &[receipt]).expect("a small receipt")
}

/// The bytes with one bit flipped.
pub(crate) fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

/// The digests of a claim's pieces by what people call them.
fn named(claim: &ClaimPieces) -> [(&'static str, Digest); 5] {
    [
        ("the document", sha256(&claim.document)),
        ("the statement", sha256(&claim.statement)),
        ("the receipt", sha256(&claim.receipt)),
        ("a manifest", sha256(&claim.evidence)),
        ("a manifest", sha256(&claim.manifest)),
    ]
}

/// Everybody reads; bob may push, but not claim.
const STRANGERS: &str = r#"
[[access.rules]]
who = ["anonymous"]
repositories = ["**"]
allow = ["pull"]
[[access.rules]]
who = ["alice"]
repositories = ["**"]
allow = ["pull", "push", "claim"]
[[access.rules]]
who = ["bob"]
repositories = ["**"]
allow = ["pull", "push"]
"#;
const REPOSITORY: &str = "wabbit/net-monitor";
const SBOM: &[u8] = br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;
