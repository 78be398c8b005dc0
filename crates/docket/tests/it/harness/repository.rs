//! A repository as a client that does everything right sees it.

use docket_oci::digest::Digest;
use docket_oci::manifest::Descriptor;
use docket_oci::media;

use super::{Answer, Ask as _, Server, artifact, bytes_of, image, password, sha256};

/// A repository on a server.
#[derive(Clone, Copy)]
pub(crate) struct Repository<'a> {
    server: &'a Server,
    name: &'a str,
    login: Option<&'a str>,
}

impl<'a> Repository<'a> {
    pub(super) fn new(server: &'a Server, name: &'a str) -> Self {
        Self { server, name, login: None }
    }

    /// The same as an account sees it; its password is made from its name.
    pub(crate) fn by(self, account: &'a str) -> Self {
        Self { login: Some(account), ..self }
    }

    /// A path below it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.name)
    }

    /// A request below it.
    pub(crate) fn request(&self, method: &str, rest: &str) -> reqwest::RequestBuilder {
        let request = self.server.request(method, &self.path(rest));
        self.login.into_iter().fold(request, |request, account| request.basic_auth(account, Some(password(account))))
    }

    /// Opens an upload and gives its location.
    pub(crate) async fn start_upload(&self) -> String {
        self.request("POST", "blobs/uploads/").expect(202).await.location()
    }

    /// Ends an upload that has received all of a blob, and reads the blob back.
    pub(crate) async fn finish_upload(&self, location: &str, blob: &[u8]) {
        let digest = sha256(blob);
        self.server.request("PUT", &format!("{location}?digest={digest}")).expect(201).await;
        assert!(self.blob(&digest).await == blob, "the blob {digest} reads back as another");
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        self.request("POST", &format!("blobs/uploads/?digest={digest}")).body(bytes).expect(201).await;
        digest
    }

    /// Pushes an OCI image manifest under a tag or a digest.
    pub(crate) async fn push_manifest(&self, reference: &str, manifest: impl Into<Vec<u8>>) -> Answer {
        self.put(reference, media::OCI_IMAGE_MANIFEST, manifest).await.expecting(201)
    }

    /// Puts a manifest of any type.
    pub(crate) async fn put(&self, reference: &str, content_type: &str, manifest: impl Into<Vec<u8>>) -> Answer {
        let request = self.request("PUT", &format!("manifests/{reference}")).header("content-type", content_type);
        request.body(manifest.into()).answer().await
    }

    /// Pushes an image of one small layer that differs by seed, and gives its manifest.
    pub(crate) async fn push_image(&self, reference: &str, seed: u64) -> Vec<u8> {
        let layer = bytes_of(seed, 300);
        self.push_blob(*b"{}").await;
        self.push_blob(layer.clone()).await;
        let manifest = image(b"{}", &[&layer]);
        self.push_manifest(reference, manifest.clone()).await;
        manifest
    }

    /// Attaches a document to a manifest as any OCI client would, and gives the manifest that does.
    pub(crate) async fn attach(&self, subject: &[u8], artifact_type: &str, document: &[u8]) -> Vec<u8> {
        self.push_blob(media::OCI_EMPTY_BYTES).await;
        self.push_blob(document).await;
        let layer = Descriptor::of(artifact_type, document);
        let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, subject);
        let manifest = artifact(artifact_type, &[layer], Some(&subject), &[]);
        self.push_manifest(&sha256(&manifest).to_string(), manifest.clone()).await;
        manifest
    }

    /// The bytes of a blob.
    pub(crate) async fn blob(&self, digest: &Digest) -> Vec<u8> {
        self.request("GET", &format!("blobs/{digest}")).expect(200).await.body.to_vec()
    }

    /// The bytes of a manifest.
    pub(crate) async fn manifest(&self, reference: &str) -> Vec<u8> {
        self.request("GET", &format!("manifests/{reference}")).expect(200).await.body.to_vec()
    }

    /// All tags.
    pub(crate) async fn tags(&self) -> Vec<String> {
        self.request("GET", "tags/list").expect(200).await.strings("tags")
    }

    /// What refers to a manifest.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Vec<Descriptor> {
        let mut body = self.request("GET", &format!("referrers/{subject}")).expect(200).await.json();
        serde_json::from_value(body["manifests"].take()).expect("descriptors")
    }
}
