//! A registry that gives logins out and one that misbehaves: what Docket's own server never does.

use std::sync::{Arc, Mutex};

use docket_oci::{Algorithm, Digest, Reference, media};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::auth::Credentials;

/// One request as it arrived: the first line, the lower-case headers, the body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: String,
    body: String,
}

impl Asked {
    fn has(&self, header: &str) -> bool {
        self.headers.lines().any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// An answer: status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// The question of which scheme a host on this machine speaks.
const PROBE: &str = "GET /v2/ HTTP/1.1";

/// A server of one test, on a port of its own; it ends with the test's runtime.
struct Peer {
    host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Peer {
    async fn start(answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let host = listener.local_addr().expect("it is bound").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own_host, log) = (host.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let request = read_request(stream).await;
                let Some((mut stream, request)) = request else { continue };
                let (status, headers, body) =
                    if request.line == PROBE { (200, vec![], Vec::new()) } else { answer(&own_host, &request) };
                log.lock().expect("no test panics while it holds this").push(request);
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| {
                        format!(
                            "{name}: {value}
"
                        )
                    })
                    .collect();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
                    body.len(),
                    headers.concat()
                );
                let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
            }
        });
        Self { host, asked }
    }

    async fn connect(&self, credentials: Credentials) -> Registry {
        let options = Options { credentials, ..Options::default() };
        Registry::connect(&self.host, options).await.expect("it is listening")
    }

    /// What was asked, without the questions which scheme it speaks.
    fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().expect("no test panics while it holds this");
        asked.iter().filter(|asked| asked.line != PROBE).cloned().collect()
    }
}

async fn read_request(mut stream: TcpStream) -> Option<(TcpStream, Asked)> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            break (head.to_owned(), head.len() + 4 + length.unwrap_or(0_usize));
        }
    };
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let (line, headers) = head.split_once("\r\n")?;
    let body = String::from_utf8_lossy(&bytes[head.len() + 4..]).into_owned();
    Some((stream, Asked { line: line.to_owned(), headers: headers.to_owned(), body }))
}

fn repository() -> RepositoryName {
    "wabbit/net-monitor".parse().expect("a name")
}

fn manifest() -> Vec<u8> {
    docket_oci::manifest::index_bytes(&[], &std::collections::BTreeMap::new())
}

fn ok(body: Vec<u8>) -> Answer {
    (200, vec![("Content-Type", media::OCI_IMAGE_INDEX.to_owned())], body)
}

fn challenge(realm: &str) -> Answer {
    let value = format!("Bearer realm=\"{realm}\",service=\"reg\",scope=\"repository:wabbit/net-monitor:pull\"");
    (401, vec![("WWW-Authenticate", value)], Vec::new())
}

/// A registry whose realm gives out the token `good`.
fn with_tokens(host: &str, asked: &Asked) -> Answer {
    if asked.line.contains("/token") {
        (200, vec![], br#"{"access_token":"good","expires_in":60}"#.to_vec())
    } else if asked.has("authorization: Bearer good") {
        ok(manifest())
    } else {
        challenge(&format!("http://{host}/token"))
    }
}

fn tag() -> Reference {
    "v1".parse().expect("a tag")
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_again() {
    let peer = Peer::start(with_tokens).await;
    let registry = peer.connect(Credentials::basic("wabbit", "secret")).await;
    let found = registry.manifest(&repository(), &tag()).await.expect("allowed").expect("there");
    assert_eq!(found.digest, Digest::of(Algorithm::Sha256, &manifest()));
    registry.manifest(&repository(), &tag()).await.expect("allowed");
    let lines: Vec<_> = peer.asked().into_iter().map(|asked| asked.line).collect();
    let read = "GET /v2/wabbit/net-monitor/manifests/v1 HTTP/1.1";
    let token = "GET /token?service=reg&scope=repository%3Awabbit%2Fnet-monitor%3Apull HTTP/1.1";
    assert_eq!(lines, [read, token, read, read]);
    assert!(peer.asked()[1].has("authorization: Basic d2FiYml0OnNlY3JldA=="));
    assert!(!peer.asked()[0].headers.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn without_a_login_an_anonymous_token_is_asked_for() {
    let peer = Peer::start(with_tokens).await;
    let registry = peer.connect(Credentials::none()).await;
    assert!(registry.manifest(&repository(), &tag()).await.expect("allowed").is_some());
    assert!(!peer.asked()[1].headers.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn an_identity_token_is_posted_and_never_put_in_a_url() {
    let folder = tempfile::TempDir::new().expect("temporary folder");
    let path = folder.path().join("config.json");
    let peer = Peer::start(with_tokens).await;
    let config = format!(r#"{{"auths":{{"{}":{{"identitytoken":"re fresh"}}}}}}"#, peer.host);
    std::fs::write(&path, config).expect("the folder is ours");
    let registry = peer.connect(Credentials::load(&[path]).expect("well formed")).await;
    registry.manifest(&repository(), &tag()).await.expect("allowed");
    let asked = peer.asked();
    assert_eq!(asked[1].line, "POST /token HTTP/1.1");
    assert!(asked[1].body.contains("grant_type=refresh_token") && asked[1].body.contains("refresh_token=re%20fresh"));
    assert!(asked[1].body.ends_with("&service=reg"), "{}", asked[1].body);
}

#[tokio::test]
async fn a_login_never_goes_to_a_realm_that_others_could_read() {
    let peer = Peer::start(|_, _| challenge("http://realm.example/token")).await;
    let registry = peer.connect(Credentials::basic("wabbit", "secret")).await;
    let error = registry.manifest(&repository(), &tag()).await;
    assert!(
        matches!(&error, Err(ClientError::InsecureLogin { realm, .. }) if realm.contains("realm.example")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_realm_that_says_no_is_a_missing_login() {
    let peer = Peer::start(|host, asked| {
        if asked.line.contains("/token") {
            (401, vec![], Vec::new())
        } else {
            challenge(&format!("http://{host}/token"))
        }
    });
    let registry = peer.await.connect(Credentials::none()).await;
    let error = registry.manifest(&repository(), &tag()).await;
    assert!(matches!(error, Err(ClientError::LoginRequired { .. })), "{error:?}");
}

#[tokio::test]
async fn a_token_that_is_not_enough_ends_in_a_refusal() {
    let peer = Peer::start(|host, asked| {
        if asked.line.contains("/token") {
            (200, vec![], br#"{"token":"weak"}"#.to_vec())
        } else {
            challenge(&format!("http://{host}/token"))
        }
    });
    let registry = peer.await.connect(Credentials::none()).await;
    let error = registry.manifest(&repository(), &tag()).await;
    assert!(matches!(error, Err(ClientError::Refused { status: 401, .. })), "{error:?}");
}

#[tokio::test]
async fn basic_logins_are_sent_only_when_asked_for() {
    let peer = Peer::start(|_, asked| {
        if asked.has("authorization: Basic d2FiYml0OnNlY3JldA==") {
            ok(manifest())
        } else {
            (401, vec![("WWW-Authenticate", "Basic realm=\"docket\"".to_owned())], Vec::new())
        }
    })
    .await;
    let registry = peer.connect(Credentials::basic("wabbit", "secret")).await;
    assert!(registry.manifest(&repository(), &tag()).await.expect("allowed").is_some());
    assert!(!peer.asked()[0].headers.to_lowercase().contains("authorization"));
    let stranger = peer.connect(Credentials::none()).await;
    let error = stranger.manifest(&repository(), &tag()).await;
    assert!(matches!(error, Err(ClientError::LoginRequired { .. })), "{error:?}");
}

#[tokio::test]
async fn bytes_that_are_not_the_digest_are_refused() {
    let peer = Peer::start(|_, _| ok(manifest())).await;
    let registry = peer.connect(Credentials::none()).await;
    let wanted = Digest::of(Algorithm::Sha512, b"something else");
    let error = registry.manifest(&repository(), &Reference::Digest(wanted)).await;
    assert!(matches!(error, Err(ClientError::Digest { expected, .. }) if expected == wanted), "{error:?}");
    let error = registry.blob_bytes(&repository(), &wanted, 1024).await;
    assert!(matches!(error, Err(ClientError::Digest { .. })), "{error:?}");
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_not_read() {
    let limit = docket_oci::manifest::MANIFEST_BYTES_MAX;
    for (length, is_fine) in [(limit, true), (limit + 1, false)] {
        let peer = Peer::start(move |_, _| {
            let mut padded = manifest();
            padded.resize(length, b' ');
            ok(padded)
        });
        let registry = peer.await.connect(Credentials::none()).await;
        assert_eq!(registry.manifest(&repository(), &tag()).await.is_ok(), is_fine, "{length}");
    }
}

#[tokio::test]
async fn an_overloaded_registry_is_asked_again_and_a_refusal_names_its_reason() {
    let tries = Arc::new(Mutex::new(0));
    let peer = Peer::start(move |_, _| {
        let mut tries = tries.lock().expect("no test panics while it holds this");
        *tries += 1;
        match *tries {
            2 => ok(manifest()),
            1 => (429, vec![("Retry-After", "0".to_owned())], Vec::new()),
            _ => (403, vec![], br#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#.to_vec()),
        }
    })
    .await;
    let registry = peer.connect(Credentials::none()).await;
    assert!(registry.manifest(&repository(), &tag()).await.expect("the second time").is_some());
    let error = registry.manifest(&repository(), &tag()).await.expect_err("the third answer");
    assert!(error.to_string().ends_with("refused to read wabbit/net-monitor v1: 403 DENIED: not yours"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn referrers_come_from_every_page_and_else_from_the_tag() {
    let listed = |name: &str| docket_oci::Descriptor::of(media::OCI_IMAGE_MANIFEST, name.as_bytes());
    let index =
        move |name: &str| docket_oci::manifest::index_bytes(&[listed(name)], &std::collections::BTreeMap::new());
    let subject = Digest::of(Algorithm::Sha256, b"subject");
    let paged = Peer::start(move |_, asked| {
        if asked.line.contains("last=1") {
            return ok(index("two"));
        }
        let (status, mut headers, body) = ok(index("one"));
        headers.push(("Link", r#"<?last=1>; rel="next""#.to_owned()));
        (status, headers, body)
    });
    let registry = paged.await.connect(Credentials::none()).await;
    let found = registry.referrers(&repository(), &subject, None).await.expect("two pages");
    assert_eq!(found, [listed("one"), listed("two")]);
    assert_eq!(registry.referrers(&repository(), &subject, Some("a/b")).await.expect("filtered here"), []);

    let by_tag = Peer::start(move |_, asked| {
        let tag = format!("/manifests/sha256-{} ", subject.hex());
        if asked.line.contains(&tag) { ok(index("three")) } else { (404, vec![], Vec::new()) }
    });
    let registry = by_tag.await.connect(Credentials::none()).await;
    assert_eq!(registry.referrers(&repository(), &subject, None).await.expect("the tag"), [listed("three")]);
    let other = Digest::of(Algorithm::Sha256, b"other");
    assert_eq!(registry.referrers(&repository(), &other, None).await.expect("none"), []);
}

#[tokio::test]
async fn a_referrer_is_added_to_the_list_under_the_tag_once() {
    let listed = |name: &str| docket_oci::Descriptor::of(media::OCI_IMAGE_MANIFEST, name.as_bytes());
    let index =
        |of: &[docket_oci::Descriptor]| docket_oci::manifest::index_bytes(of, &std::collections::BTreeMap::new());
    let subject = Digest::of(Algorithm::Sha512, b"subject");
    let tag = format!("/v2/wabbit/net-monitor/manifests/sha512-{} ", &subject.hex()[..64]);
    // What stands under the tag before, and what is put there for it.
    let cases = [
        (None, Some(index(&[listed("new")]))),
        (Some(index(&[listed("old")])), Some(index(&[listed("old"), listed("new")]))),
        (Some(index(&[listed("new"), listed("old")])), None),
    ];
    for (before, expected) in cases {
        let (path, before) = (tag.clone(), before.clone());
        let peer = Peer::start(move |_, asked| match &before {
            _ if !asked.line.contains(&path) => (500, vec![], Vec::new()),
            _ if asked.line.starts_with("PUT ") => (201, vec![], Vec::new()),
            Some(before) => ok(before.clone()),
            None => (404, vec![], Vec::new()),
        });
        let peer = peer.await;
        let registry = peer.connect(Credentials::none()).await;
        registry.list_referrer_by_tag(&repository(), &subject, listed("new")).await.expect("listed");
        let put = peer.asked().into_iter().find(|asked| asked.line.starts_with("PUT ")).map(|asked| asked.body);
        assert_eq!(put, expected.map(|expected| String::from_utf8(expected).expect("JSON")));
    }
}

#[tokio::test]
async fn what_is_no_list_is_not_read_as_one_and_never_overwritten() {
    let config = docket_oci::Descriptor::empty();
    let image = docket_oci::manifest::artifact_manifest("a/b", &[], None, &std::collections::BTreeMap::new());
    let referrer = docket_oci::Descriptor { artifact_type: Some("a/b".to_owned()), ..config };
    let subject = Digest::of(Algorithm::Sha256, b"subject");
    for (media_type, other) in [(media::OCI_IMAGE_MANIFEST, image), (media::OCI_IMAGE_INDEX, b"no manifest".to_vec())] {
        let peer = Peer::start(move |_, asked| {
            let content_type = vec![("Content-Type", media_type.to_owned())];
            if asked.line.contains("/manifests/") {
                (200, content_type, other.clone())
            } else {
                (404, vec![], Vec::new())
            }
        });
        let peer = peer.await;
        let registry = peer.connect(Credentials::none()).await;
        assert_eq!(registry.referrers(&repository(), &subject, None).await.expect("none"), []);
        registry.list_referrer_by_tag(&repository(), &subject, referrer.clone()).await.expect_err("not a list");
        assert!(peer.asked().iter().all(|asked| !asked.line.starts_with("PUT ")));
    }
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_followed() {
    let peer = Peer::start(|_, _| {
        let link = r#"<http://other.example/v2/>; rel="next""#.to_owned();
        (200, vec![("Link", link)], br#"{"name":"wabbit/net-monitor","tags":["v1"]}"#.to_vec())
    });
    let registry = peer.await.connect(Credentials::none()).await;
    let error = registry.tags(&repository()).await;
    assert!(matches!(error, Err(ClientError::Protocol { .. })), "{error:?}");
}

#[tokio::test]
async fn an_endless_listing_ends_in_an_error() {
    let peer = Peer::start(|_, _| {
        let link = r#"<?last=a>; rel="next""#.to_owned();
        (200, vec![("Link", link)], br#"{"name":"wabbit/net-monitor","tags":["a"]}"#.to_vec())
    });
    let registry = peer.await.connect(Credentials::none()).await;
    let error = registry.tags(&repository()).await;
    assert!(matches!(error, Err(ClientError::TooMuch { limit, .. }) if limit == LISTING_PAGES_MAX as u64), "{error:?}");
}

#[tokio::test]
async fn an_upload_goes_where_the_registry_says_with_its_own_query() {
    let peer = Peer::start(|_, asked| {
        if asked.line.starts_with("HEAD") {
            (404, vec![], Vec::new())
        } else if asked.line.starts_with("POST") {
            (202, vec![("Location", "/uploads/1?_state=a%2Fb".to_owned())], Vec::new())
        } else {
            (201, vec![], Vec::new())
        }
    })
    .await;
    let registry = peer.connect(Credentials::none()).await;
    let digest = Digest::of(Algorithm::Sha256, b"layer");
    let pushed = registry.push_blob_bytes(&repository(), &digest, Bytes::from_static(b"layer")).await;
    assert_eq!(pushed.expect("stored"), Pushed::Sent);
    let last = peer.asked().pop().expect("three requests");
    assert_eq!(last.line, format!("PUT /uploads/1?_state=a%2Fb&digest=sha256%3A{} HTTP/1.1", digest.hex()));
    assert_eq!(last.body, "layer");
    assert!(last.has("content-length: 5"));
    let wrong = registry.push_blob_bytes(&repository(), &digest, Bytes::from_static(b"other")).await;
    assert!(matches!(wrong, Err(ClientError::Digest { .. })), "{wrong:?}");
}

#[tokio::test]
async fn any_status_is_an_answer_to_get_and_post() {
    let peer = Peer::start(|_, _| {
        let headers = vec![("Content-Type", "application/cbor; x=y".to_owned()), ("Location", "/entries/1".to_owned())];
        (400, headers, b"problem".to_vec())
    })
    .await;
    let registry = peer.connect(Credentials::none()).await;
    let reply = registry
        .post("/entries", "application/cose", "application/cbor", Bytes::from_static(b"x"))
        .await
        .expect("an answer");
    assert_eq!(
        (reply.status, reply.content_type.as_str(), &reply.body[..]),
        (400, "application/cbor", &b"problem"[..])
    );
    assert_eq!(reply.location.as_deref(), Some("/entries/1"));
    assert!(peer.asked()[0].has("accept: application/cbor"));
    for path in ["entries", "//other.example/x", "http://other.example/", ""] {
        assert!(matches!(registry.get(path, "*/*").await, Err(ClientError::Path { .. })), "{path}");
    }
}

#[tokio::test]
async fn a_host_that_is_more_than_a_host_is_refused() {
    for host in ["", "a/b", "user@a", "a?b", "a#b", "a b", "a:99999"] {
        let error = Registry::connect(host, Options { plain_http: true, ..Options::default() }).await;
        assert!(matches!(error, Err(ClientError::Path { .. })), "{host}: {error:?}");
    }
    let options = Options {
        ca_pem: Some(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec()),
        ..Options::default()
    };
    assert!(matches!(Registry::connect("a.example", options).await, Err(ClientError::Certificates(_))));
}

#[test]
fn token_scopes_follow_the_call() {
    let scopes = |method: Method, path: &str| scopes_of(&method, path);
    assert_eq!(scopes(Method::POST, "/v2/a/b/_scitt/ledger/entries"), ["repository:a/b:pull,push"]);
    assert_eq!(scopes(Method::GET, "/v2/a/tags/list"), ["repository:a:pull"]);
    assert_eq!(scopes(Method::GET, "/v2/_catalog"), ["registry:catalog:*"]);
    assert_eq!(scopes(Method::POST, "/entries"), Vec::<String>::new());
}
