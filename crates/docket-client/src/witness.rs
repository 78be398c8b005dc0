//! Asks a witness to cosign a checkpoint (C2SP tlog-witness). Request and answer are text here: whoever asks makes the one
//! and checks the other.

use std::time::Duration;

use bytes::BytesMut;
use http::header;
use reqwest::{Client, Response, StatusCode, Url, redirect};

use crate::auth::is_loopback;
use crate::error::ClientError;

/// A witness that can be asked.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Where checkpoints are sent.
    url: Url,
    http: Client,
}

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessReply {
    /// Signature lines, said to be cosignatures of the checkpoint.
    Cosigned(String),
    /// It knows a tree of this size, not the one that the request started from.
    Knows(u64),
    /// Anything else.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The first line of what it said.
        message: String,
    },
}

impl Witness {
    /// The witness behind a submission prefix, an http or https URL.
    pub fn new(submission_prefix: &str) -> Result<Self, ClientError> {
        let bad = || ClientError::WitnessUrl { url: submission_prefix.to_owned() };
        let mut url = Url::parse(submission_prefix).map_err(|_| bad())?;
        let host = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme())).ok_or_else(bad)?.to_owned();
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad());
        }
        url.path_segments_mut().map_err(|()| bad())?.pop_if_empty().push("add-checkpoint");
        let builder = Client::builder()
            .user_agent(concat!("docket/", env!("CARGO_PKG_VERSION")))
            .timeout(EXCHANGE_TIME_MAX)
            .redirect(redirect::Policy::none());
        let builder = if is_loopback(&host) { builder.no_proxy() } else { builder };
        Ok(Self { url, http: builder.build().map_err(ClientError::Http)? })
    }

    /// Sends an add-checkpoint request. One at a time: the witness would answer 409 to the other.
    pub async fn add_checkpoint(&self, request: String) -> Result<WitnessReply, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            host: self.url.host_str().unwrap_or_default().to_owned(),
            action: "cosign a checkpoint".to_owned(),
            source,
        };
        let response = self.http.post(self.url.clone()).body(request).send().await.map_err(unreachable)?;
        let status = response.status();
        let is_size = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == SIZE_TYPE);
        let Some(text) = text(response).await.map_err(unreachable)? else {
            let message = format!("its answer is no text of at most {ANSWER_BYTES_MAX} bytes");
            return Ok(WitnessReply::Refused { status: status.as_u16(), message });
        };
        let size = || text.strip_suffix('\n')?.parse().ok();
        match status {
            StatusCode::OK => Ok(WitnessReply::Cosigned(text)),
            StatusCode::CONFLICT if is_size && let Some(size) = size() => Ok(WitnessReply::Knows(size)),
            status => {
                let line = text.lines().next().unwrap_or_default();
                let message = line.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
                Ok(WitnessReply::Refused { status: status.as_u16(), message })
            }
        }
    }
}

/// The whole body, if it is short and text.
async fn text(mut response: Response) -> Result<Option<String>, reqwest::Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(bytes.into()).ok())
}

/// Content type of the size that a witness knows.
const SIZE_TYPE: &str = "text/x.tlog.size";
/// How long one request may take, from connecting to the end of the answer.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(10);
/// Most bytes of an answer: some cosignatures.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What is told of a refusal.
const MESSAGE_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_go_below_the_submission_prefix() {
        for (prefix, url) in [
            ("https://witness.example", "https://witness.example/add-checkpoint"),
            ("https://witness.example/w1/", "https://witness.example/w1/add-checkpoint"),
            ("http://127.0.0.1:7000/a/b", "http://127.0.0.1:7000/a/b/add-checkpoint"),
        ] {
            assert_eq!(Witness::new(prefix).expect("a prefix").url.as_str(), url);
        }
    }

    #[test]
    fn what_is_no_submission_prefix_is_refused() {
        for prefix in
            ["", "witness.example", "ftp://witness.example", "https://w.example?x", "https://w.example#x", "data:,"]
        {
            assert!(matches!(Witness::new(prefix), Err(ClientError::WitnessUrl { .. })), "{prefix}");
        }
    }
}
