//! `[storage]`: where blobs above 64 KiB are kept. Without it they are files of the data folder.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_store::{BlobStorage, S3Settings};
use serde::{Deserialize, Serialize};

/// The section as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Storage {
    /// A bucket for the blobs. It is chosen before the first blob is pushed and cannot be changed afterwards: a data folder remembers
    /// its bucket and opens with no other.
    s3: Option<S3>,
}

/// `[storage.s3]`. The bucket needs a lifecycle rule that removes incomplete multipart uploads, which a crash may leave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct S3 {
    /// Name of the bucket, which must exist (`bucket`, `DOCKET_STORAGE__S3__BUCKET`).
    bucket: String,
    /// URL of a server other than Amazon's; the bucket's name goes into the path (`endpoint`, `DOCKET_STORAGE__S3__ENDPOINT`).
    #[serde(default)]
    endpoint: String,
    /// Region (`region`, `DOCKET_STORAGE__S3__REGION`, default `us-east-1`).
    #[serde(default = "region")]
    region: String,
    /// What all keys start with, so that a bucket can be shared (`prefix`, `DOCKET_STORAGE__S3__PREFIX`, default nothing).
    #[serde(default)]
    prefix: String,
    /// TOML file with `access_key_id` and `secret_access_key` (`access_keys`, `DOCKET_STORAGE__S3__ACCESS_KEYS`). Without
    /// it, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` in the environment count.
    #[serde(default)]
    access_keys: PathBuf,
    /// Whether clients that pull a blob are sent to the bucket by a link that is good for 15 minutes (`redirect`,
    /// `DOCKET_STORAGE__S3__REDIRECT`, default false). Clients must be able to reach the endpoint then.
    #[serde(default)]
    redirect: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessKeys {
    access_key_id: String,
    secret_access_key: String,
}

impl Storage {
    /// Where the blobs are, with the keys that open it.
    pub(super) fn place(self) -> anyhow::Result<BlobStorage> {
        let Some(s3) = self.s3 else { return Ok(BlobStorage::Files) };
        anyhow::ensure!(!s3.bucket.is_empty(), "storage.s3.bucket is empty; name the bucket");
        let web = ["http://", "https://"].iter().any(|scheme| s3.endpoint.starts_with(scheme));
        anyhow::ensure!(
            s3.endpoint.is_empty() || web,
            "storage.s3.endpoint = {:?} is no http:// or https:// URL",
            s3.endpoint
        );
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        anyhow::ensure!(
            s3.prefix.bytes().all(plain) && s3.prefix.split('/').all(|part| part != "." && part != ".."),
            "storage.s3.prefix = {:?} may have letters, digits, '-', '_', '.' and '/' only, and no '..'",
            s3.prefix
        );
        let AccessKeys { access_key_id, secret_access_key } = access_keys(&s3.access_keys)?;
        Ok(BlobStorage::S3(S3Settings {
            bucket: s3.bucket,
            endpoint: Some(s3.endpoint).filter(|endpoint| !endpoint.is_empty()),
            region: s3.region,
            prefix: s3.prefix.trim_matches('/').to_owned(),
            access_key_id,
            secret_access_key,
            redirect: s3.redirect,
        }))
    }
}

fn access_keys(path: &Path) -> anyhow::Result<AccessKeys> {
    if path.as_os_str().is_empty() {
        let variable = |name: &str| {
            std::env::var(name)
                .with_context(|| format!("storage.s3 needs access keys: set access_keys, or {name} in the environment"))
        };
        let access_key_id = variable("AWS_ACCESS_KEY_ID")?;
        return Ok(AccessKeys { access_key_id, secret_access_key: variable("AWS_SECRET_ACCESS_KEY")? });
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("storage.s3.access_keys: cannot read {}", path.display()))?;
    // What is wrong with the text is not said in its own words: they would be the secret.
    toml::from_str(&text).map_err(|_| {
        anyhow::anyhow!(
            "{} must have access_key_id = \"…\" and secret_access_key = \"…\", nothing else",
            path.display()
        )
    })
}

fn region() -> String {
    "us-east-1".to_owned()
}
