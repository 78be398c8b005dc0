//! An issuer: signs statements about artifacts, and sends them.

use docket_oci::digest::Digest;
use docket_proof::key::{KeyFile, PublicKey, SigningKey, parse_key_set};
use docket_proof::receipt::Receipt;
use docket_proof::statement::{Content, Draft, SignedStatement};
use docket_proof::subject::Subject;

use super::{Answer, Ask as _, Repository, Server, sha256};

/// A key and who signs with it.
#[derive(Clone)]
pub(crate) struct Issuer {
    key: SigningKey,
    identity: docket_proof::key::Issuer,
}

impl Issuer {
    /// An issuer `https://<name>.example` with a new key, admitted nowhere.
    pub(crate) fn new(name: &str) -> Self {
        let identity = format!("https://{name}.example").parse().expect("a URI");
        Self { key: SigningKey::generate(), identity }
    }

    /// The same key under another name.
    pub(crate) fn calling_itself(&self, name: &str) -> Self {
        Self { identity: format!("https://{name}.example").parse().expect("a URI"), ..self.clone() }
    }

    /// Who it is.
    pub(crate) fn identity(&self) -> &str {
        self.identity.as_str()
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What goes to an operator.
    pub(crate) fn public_key_file(&self) -> String {
        KeyFile { issuer: Some(self.identity.clone()), key: self.key.clone() }.to_public().to_text()
    }

    /// What the issuer keeps.
    pub(crate) fn key_file(&self) -> String {
        KeyFile { issuer: Some(self.identity.clone()), key: self.key.clone() }.to_text().to_string()
    }

    /// Signs a statement about a document about an artifact.
    pub(crate) fn about_document(&self, artifact: &Digest, media_type: &str, document: &[u8]) -> Vec<u8> {
        let content = Content::HashEnvelope { digest: sha256(document), media_type: media_type.to_owned() };
        self.sign(&artifact_subject(artifact), content)
    }

    /// Signs a statement that says what it has to say itself.
    pub(crate) fn about(&self, artifact: &Digest, media_type: &str, payload: &[u8]) -> Vec<u8> {
        self.sign(&artifact_subject(artifact), payload_of(media_type, payload))
    }

    /// Signs a statement about all that is ever called so.
    pub(crate) fn about_stream(&self, name: &str, media_type: &str, payload: &[u8]) -> Vec<u8> {
        let name = name.parse().expect("a repository name");
        self.sign(&Subject::stream(&name), payload_of(media_type, payload))
    }

    fn sign(&self, subject: &Subject, content: Content) -> Vec<u8> {
        let (issuer, subject) = (self.identity.clone(), subject.clone());
        let draft = Draft { issuer, subject, issued_at: Some(1_700_000_000), content, typ: None };
        draft.sign(&self.key).expect("a small statement")
    }
}

impl Server {
    /// Posts a statement to the standard resource.
    pub(crate) async fn register(&self, statement: &[u8]) -> Answer {
        self.request("POST", "/entries").header("content-type", COSE).body(statement.to_vec()).answer().await
    }
}

impl Server {
    /// The keys of receipts that it publishes, the one in force first.
    pub(crate) async fn published_keys(&self) -> Vec<PublicKey> {
        let set = self.request("GET", "/.well-known/scitt-keys").header("accept", "application/cbor").expect(200).await;
        parse_key_set(&set.body).expect("a key set").into_iter().map(|key| key.expect("a key we know")).collect()
    }
}

impl Repository<'_> {
    /// Posts a statement to the repository, to be placed there.
    pub(crate) async fn claim(&self, statement: &[u8]) -> Answer {
        let request = self.request("POST", "_scitt/ledger/entries").header("content-type", COSE);
        request.body(statement.to_vec()).answer().await
    }
}

impl Answer {
    /// The receipt in the body, verified for a statement.
    pub(crate) fn receipt(&self, statement: &[u8], key: &PublicKey) -> Receipt {
        assert_eq!(self.header("content-type"), Some(COSE), "{}", self.asked);
        let entry = SignedStatement::decode(statement).expect("a statement of ours");
        let receipt = Receipt::decode(&self.body).unwrap_or_else(|failure| panic!("{}: {failure}", self.asked));
        let proved = receipt.verify(entry.entry(), key);
        proved.unwrap_or_else(|failure| panic!("{}: {failure}", self.asked));
        receipt
    }
}

fn artifact_subject(artifact: &Digest) -> Subject {
    Subject::artifact(&"net-monitor".parse().expect("a repository name"), artifact)
}

fn payload_of(media_type: &str, payload: &[u8]) -> Content {
    Content::Payload { media_type: media_type.to_owned(), bytes: payload.to_vec() }
}

const COSE: &str = "application/cose";
