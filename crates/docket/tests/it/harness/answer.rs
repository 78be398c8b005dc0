//! An answer read whole, and what is asked of it.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What was asked, for messages.
    pub asked: String,
}

/// Sends a request and reads the answer.
pub(crate) trait Ask {
    /// The answer, whatever its status.
    async fn answer(self) -> Answer;
    /// The answer, or `None` where the connection broke.
    async fn try_answer(self) -> Option<Answer>;
    /// The answer with this status, else a panic with all of it.
    async fn expect(self, status: u16) -> Answer;
}

impl Ask for reqwest::RequestBuilder {
    async fn answer(self) -> Answer {
        let (client, request) = self.build_split();
        let request = request.expect("a well-formed request");
        let asked = format!("{} {}", request.method(), request.url());
        let sent = client.execute(request).await.unwrap_or_else(|failure| panic!("{asked}: {failure:?}"));
        read(asked.clone(), sent).await.unwrap_or_else(|| panic!("{asked}: the body broke off"))
    }

    async fn try_answer(self) -> Option<Answer> {
        let (client, request) = self.build_split();
        let request = request.expect("a well-formed request");
        let asked = format!("{} {}", request.method(), request.url());
        read(asked, client.execute(request).await.ok()?).await
    }

    async fn expect(self, status: u16) -> Answer {
        self.answer().await.expecting(status)
    }
}

impl Answer {
    /// Insists on the status.
    pub(crate) fn expecting(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {:?} {}", self.asked, self.headers, String::from_utf8_lossy(&self.body));
        self
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a text header"))
    }

    /// The `Location`, which must be relative.
    pub(crate) fn location(&self) -> String {
        let location = self.header("location").unwrap_or_else(|| panic!("{}: no Location", self.asked));
        assert!(location.starts_with('/') && !location.starts_with("//"), "Location {location:?} is not relative");
        location.to_owned()
    }

    /// The target of the `Link` to the next page.
    pub(crate) fn next_page(&self) -> Option<String> {
        let link = docket_oci::response::parse_next_link(self.header("link")?).expect("a Link with rel=next");
        assert!(link.starts_with("/v2/"), "Link {link:?} is not relative");
        Some(link.to_owned())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|failure| panic!("{}: {failure} in {:?}", self.asked, String::from_utf8_lossy(&self.body)))
    }

    /// The strings of an array in the body.
    pub(crate) fn strings(&self, member: &str) -> Vec<String> {
        let body = self.json();
        let items = body[member].as_array().unwrap_or_else(|| panic!("{}: no array {member} in {body}", self.asked));
        items.iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
    }

    /// The first code of an OCI error body.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.asked);
        let body = self.json();
        body["errors"][0]["code"].as_str().unwrap_or_else(|| panic!("{}: no code in {body}", self.asked)).to_owned()
    }

    /// Its message.
    pub(crate) fn message(&self) -> String {
        self.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Title and detail of a CBOR problem body.
    pub(crate) fn problem(&self) -> (String, String) {
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/concise-problem-details+cbor"), "{}", self.asked);
        docket_proof::cbor::parse_problem_details(&self.body)
            .unwrap_or_else(|| panic!("{}: no problem details in {:?}", self.asked, self.body))
    }
}

/// A value for a query string.
pub(crate) fn escaped(value: &str) -> String {
    docket_oci::query::escape(value)
}

async fn read(asked: String, sent: reqwest::Response) -> Option<Answer> {
    let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
    Some(Answer { status, headers, body: sent.bytes().await.ok()?, asked })
}
