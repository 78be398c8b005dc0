//! What broke into other registries, tried here. Each test says which advisory it is about.
//!
//! Some are tests of the part that they concern:
//!
//! | advisory | test |
//! |---|---|
//! | CVE-2026-41888: a tag could be deleted where deletes are off | `end_9_and_10_where_deletes_are_off…` |
//! | CVE-2026-35172: a deleted blob came back | `end_10_deleting_a_blob_hides_it…` |
//! | CVE-2021-41190: a manifest that is an index as well | `a_manifest_that_breaks_a_rule…` |
//! | CVE-2017-11468: manifests without a limit | `end_7a_a_manifest_may_have_4_mib…` |
//! | CVE-2023-33958: referrers without end | `end_12_many_referrers_come_in_pages…`, `junk_statements_neither_hide…` |
//! | CVE-2020-15157: logins sent to the address of a foreign layer | `addresses_in_a_manifest_are_never_asked` |
//! | CVE-2026-96577: open to the world without rules | `serve_refuses_addresses_that_others_can_reach` |
//!
//! Others are about parts that do not exist here: proxies for other registries (CVE-2026-33540, CVE-2026-32591, CVE-2026-2376), login
//! pages (`callback_ui`), robot accounts (CVE-2022-31667).

use super::RULES;
use crate::harness::{
    Answer, Ask as _, EMPTY_DIGEST, Guarded, HTPASSWD, Raw, Server, Site, bytes_of, image, password, sha256,
};

/// A path with each method that it takes.
const CALLS: [(&str, &str); 16] = [
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("PUT", "manifests/v2"),
    ("DELETE", "manifests/v1"),
    ("GET", "blobs/@"),
    ("HEAD", "blobs/@"),
    ("DELETE", "blobs/@"),
    ("GET", "tags/list"),
    ("GET", "referrers/@"),
    ("POST", "blobs/uploads/"),
    ("GET", "blobs/uploads/00000000-0000-4000-8000-000000000000"),
    ("PATCH", "blobs/uploads/00000000-0000-4000-8000-000000000000"),
    ("DELETE", "blobs/uploads/00000000-0000-4000-8000-000000000000"),
    ("GET", "_oci/ext/discover"),
    ("POST", "_scitt/ledger/entries"),
    ("GET", "_scitt/ledger/entries/0000000000000000000000000000000000000000000000000000000000000000"),
];

/// What an answer gives away, but for the name that was asked about.
fn seen(answer: &Answer, name: &str) -> (u16, String, String) {
    let body = String::from_utf8_lossy(&answer.body).replace(name, "…");
    let challenge = answer.header("www-authenticate").unwrap_or_default().replace(name, "…");
    (answer.status, body, challenge)
}

/// CVE-2026-27771: what is private was readable on one path for years. And no answer may tell whether it exists.
#[tokio::test]
async fn private_is_private_on_every_path_whether_or_not_it_exists() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("secret/here").by("alice").push_image("v1", 1).await;
    for (method, rest) in CALLS {
        let rest = rest.replace('@', &sha256(b"{}").to_string());
        for (who, status) in [("", 401), ("bob", 403), ("carol", 403)] {
            let mut answers = Vec::new();
            for name in ["secret/here", "secret/nope"] {
                let answer = guarded.request(who, method, &format!("/v2/{name}/{rest}")).answer().await;
                assert_eq!(answer.status, status, "{who:?} {method} {rest}: {answer:?}");
                answers.push(seen(&answer, name));
            }
            assert_eq!(answers[0], answers[1], "{who:?} {method} {rest}");
        }
    }
    guarded.server.stop().await;
}

/// GHSA-qg67-7m6v-qg25: a token to push could delete.
#[tokio::test]
async fn who_may_only_push_cannot_delete() {
    let guarded = Guarded::start(RULES);
    let team = guarded.server.repository("team/app").by("bob");
    let manifest = team.push_image("v1", 1).await;
    let by_digest = format!("/v2/team/app/manifests/{}", sha256(&manifest));
    let blob = format!("/v2/team/app/blobs/{}", sha256(b"{}"));
    let narrow = guarded.token("alice", &["repository:team/app:pull,push"]).await;
    let refused = guarded.token("bob", &["repository:team/app:pull,push,delete", "repository:team/app:*"]).await;
    for path in ["/v2/team/app/manifests/v1", &by_digest, &blob] {
        assert_eq!(guarded.request("bob", "DELETE", path).expect(403).await.code(), "DENIED");
        guarded.with_token(&refused, "DELETE", path).expect(403).await;
        // Alice may, but not with a token that she asked for to push.
        let challenged = guarded.with_token(&narrow, "DELETE", path).expect(401).await;
        let challenge = challenged.header("www-authenticate").expect("a challenge");
        assert!(
            challenge.contains(r#"scope="repository:team/app:pull,delete",error="insufficient_scope""#),
            "{challenge}"
        );
    }
    assert_eq!(team.tags().await, ["v1"]);
    let wide = guarded.token("alice", &["repository:team/app:pull,delete"]).await;
    guarded.with_token(&wide, "DELETE", &by_digest).expect(202).await;
    guarded.server.stop().await;
}

/// CVE-2026-31801: `latest` could be overwritten with the right to create.
#[tokio::test]
async fn who_may_only_push_makes_tags_but_moves_none() {
    let guarded = Guarded::start(RULES);
    let team = guarded.server.repository("team/app").by("bob");
    let first = team.push_image("latest", 1).await;
    let second = {
        let layer = bytes_of(2, 300);
        team.push_blob(layer.clone()).await;
        image(b"{}", &[&layer])
    };
    let by_digest = format!("{}?tag=other&tag=latest", sha256(&second));
    for reference in ["latest", &by_digest] {
        let refused = team.put(reference, docket_oci::media::OCI_IMAGE_MANIFEST, second.clone()).await.expecting(403);
        assert_eq!(refused.code(), "DENIED");
        let said = refused.message();
        assert!(said.contains("tag latest of team/app stands already") && said.contains("the right `tag`"), "{said}");
    }
    assert_eq!(team.tags().await, ["latest"]);
    assert!(team.manifest("latest").await == first);
    // The same again moves nothing, and a new tag is bob's to make.
    team.push_manifest("latest", first).await;
    team.push_manifest("other", second.clone()).await;
    guarded.server.repository("team/app").by("alice").push_manifest("latest", second.clone()).await;
    assert!(team.manifest("latest").await == second);
    guarded.server.stop().await;
}

/// CVE-2025-23208: groups were only ever added to, so that revoking a right changed nothing.
#[tokio::test]
async fn a_right_that_is_taken_away_is_gone_at_once_also_from_tokens() {
    const GROUP: &str = "[access.groups]\nreaders = [\"bob\", \"carol\"]\n[[access.rules]]\nwho = [\"@readers\"]\n\
        repositories = [\"team/**\"]\nallow = [\"pull\", \"push\"]\n";
    let guarded = Guarded::start(GROUP);
    let team = guarded.server.repository("team/app").by("bob");
    team.push_image("v1", 1).await;
    let tokens = [
        guarded.token("bob", &["repository:team/app:pull"]).await,
        guarded.token("carol", &["repository:team/app:pull"]).await,
    ];
    let statuses = async || {
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(guarded.with_token(token, "GET", "/v2/team/app/tags/list").answer().await.status);
        }
        for who in ["bob", "carol"] {
            statuses.push(guarded.request(who, "GET", "/v2/team/app/tags/list").answer().await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [200; 4]);
    guarded.change(&GROUP.replace("\"bob\", ", ""), HTPASSWD);
    assert_eq!(statuses().await, [403, 200, 403, 200]);
    // An account that has gone is nobody's, whatever rules still say.
    let without_carol = HTPASSWD.lines().filter(|line| !line.starts_with("carol")).collect::<Vec<_>>().join("\n");
    guarded.change(&GROUP.replace("\"bob\", ", ""), &without_carol);
    assert_eq!(statuses().await, [403, 401, 403, 401]);
    guarded.server.stop().await;
}

/// CVE-2024-39897: who knew a digest got the blob from a repository that was not theirs.
#[tokio::test]
async fn a_blob_is_not_mounted_from_where_the_caller_may_not_read() {
    let guarded = Guarded::start(RULES);
    let secret = guarded.server.repository("secret/app").by("alice").push_blob(bytes_of(7, 300)).await;
    let token = guarded.token("bob", &["repository:team/app:pull,push", "repository:secret/app:pull"]).await;
    for from in ["&from=secret/app", ""] {
        let path = format!("/v2/team/app/blobs/uploads/?mount={secret}{from}");
        // Clients end a whole push on an error here, so the answer is an upload, as for a blob that is nowhere.
        guarded.request("bob", "POST", &path).expect(202).await;
        guarded.with_token(&token, "POST", &path).expect(202).await;
    }
    guarded.request("bob", "GET", &format!("/v2/team/app/blobs/{secret}")).expect(404).await;
    // Nor does an index or an image make it visible.
    let team = guarded.server.repository("team/app").by("bob");
    team.push_blob(*b"{}").await;
    let manifest = image(b"{}", &[&bytes_of(7, 300)]);
    assert_eq!(team.put("v1", docket_oci::media::OCI_IMAGE_MANIFEST, manifest).await.code(), "MANIFEST_BLOB_UNKNOWN");
    // Whoever may read there mounts.
    guarded
        .request("alice", "POST", &format!("/v2/team/app/blobs/uploads/?mount={secret}&from=secret/app"))
        .expect(201)
        .await;
    guarded.server.stop().await;
}

/// CVE-2025-24976 and its kind: a token that brings or names its own key, or none.
#[tokio::test]
async fn forged_tokens_open_nothing() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("public/app").by("alice").push_image("v1", 1).await;
    let token = guarded.token("alice", &["repository:secret/app:*"]).await;
    let (_, rest) = token.split_once('.').expect("a header");
    let (body, signature) = rest.split_once('.').expect("a body");
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for forged in [
        // {"typ":"JWT","alg":"none"} and {"typ":"JWT","alg":"RS256"}.
        format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{body}."),
        format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.{body}.{signature}"),
        format!("{}{flipped}{}", &token[..token.len() - signature.len()], &signature[1..]),
        "a.b.c".to_owned(),
        String::new(),
        "a".repeat(9000),
    ] {
        // Also where nobody would have asked: a client must not believe that it is logged in.
        for path in ["/v2/", "/v2/secret/app/tags/list", "/v2/public/app/tags/list"] {
            let refused = guarded.with_token(&forged, "GET", path).expect(401).await;
            assert_eq!(refused.code(), "UNAUTHORIZED", "{forged}");
        }
    }
    guarded.server.stop().await;
}

/// CVE-2026-32589: an upload could be used from any repository and by any account that knew its id.
#[tokio::test]
async fn an_upload_is_of_no_use_elsewhere() {
    let guarded = Guarded::start(RULES);
    let location = guarded.server.repository("team/app").by("bob").start_upload().await;
    let elsewhere = location.replace("team/app", "team/other");
    for (who, path, status) in
        [("bob", &elsewhere, 404), ("alice", &elsewhere, 404), ("carol", &location, 403), ("", &location, 401)]
    {
        for method in ["GET", "PATCH", "DELETE"] {
            guarded.request(who, method, path).expect(status).await;
        }
        guarded.request(who, "PUT", &format!("{path}?digest={EMPTY_DIGEST}")).expect(status).await;
    }
    guarded.request("bob", "GET", &location).expect(204).await;
    guarded.server.stop().await;
}

/// GHSA-prh4-vhfh-24mj: secrets stood in a log.
#[tokio::test]
async fn no_password_and_no_token_reaches_the_log() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("team/app").by("bob").push_image("v1", 1).await;
    let token = guarded.token("bob", &["repository:team/app:pull"]).await;
    guarded.with_token(&token, "GET", "/v2/team/app/tags/list").expect(200).await;
    guarded.server.request("GET", "/v2/").basic_auth("bob", Some("wrong-secret")).expect(401).await;
    let form = format!("grant_type=password&username=bob&password={}", password("bob"));
    let posted = guarded.server.request("POST", "/v2/_docket/token").body(form);
    posted.header("content-type", "application/x-www-form-urlencoded").expect(200).await;
    let log = guarded.server.log();
    assert!(log.contains("/v2/team/app/tags/list"), "nothing was logged: {log}");
    let (_, body) = token.split_once('.').expect("a header");
    for secret in [password("bob").as_str(), "wrong-secret", body, "$2y$04"] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
    guarded.server.stop().await;
}

/// CVE-2026-4404: a password that comes with the software. Without a password file nobody can log in.
#[tokio::test]
async fn no_account_comes_with_the_software() {
    let guarded = Guarded::start(RULES);
    guarded.change(RULES, "# nobody\n");
    for (name, password) in [("admin", "admin"), ("docket", "docket"), ("alice", ""), ("operator", ""), ("", "")] {
        guarded.server.request("GET", "/v2/").basic_auth(name, Some(password)).expect(401).await;
    }
    guarded.server.stop().await;
}

/// CVE-2023-2253: memory was set aside for as many names as the caller asked for.
#[tokio::test]
async fn a_huge_page_of_a_listing_costs_what_is_in_it() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("public/app").by("alice").push_image("v1", 1).await;
    for n in ["1000000000", "18446744073709551615", "99999999999999999999999"] {
        let page = guarded.request("bob", "GET", &format!("/v2/_catalog?n={n}")).expect(200).await;
        assert_eq!(page.strings("repositories"), ["public/app"]);
    }
    guarded.server.stop().await;
}

/// CVE-2019-16097: who sent a request made themselves an administrator by a member of its body. The operator's calls are
/// not on the network at all, not even for an account with the right to administer.
#[tokio::test]
async fn the_operators_calls_are_not_on_the_network() {
    let admin = "[[access.rules]]\nwho = [\"alice\"]\nrepositories = [\"**\"]\nallow = [\"admin\"]\n";
    let guarded = Guarded::start(&format!("{RULES}{admin}"));
    let folder = guarded.site.data().canonicalize().expect("it is there");
    for call in ["names", "issuers", "fsck", "fsck/check", "gc", "reload", "backup"] {
        for method in ["GET", "POST"] {
            let request = guarded.request("alice", method, &format!("/admin/v1/{call}"));
            request.header("x-docket-data", folder.to_str().expect("a plain path")).expect(404).await;
        }
    }
    guarded.server.stop().await;
}

/// zot before 2.1.16: answers let pages of every site read them, with the login that the browser remembered.
#[tokio::test]
async fn no_answer_lets_pages_of_other_sites_read_it() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("public/app").by("alice").push_image("v1", 1).await;
    for who in ["", "alice"] {
        for path in ["/v2/", "/v2/_docket/token", "/v2/public/app/manifests/v1", "/api/v1/claims", "/nowhere"] {
            for method in ["GET", "OPTIONS"] {
                let answer = guarded.request(who, method, path).header("origin", "https://evil.example").answer().await;
                let lets = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(lets, None, "{method} {path}");
            }
        }
    }
    guarded.server.stop().await;
}

/// Not an advisory, but tried everywhere: a client writes what only a proxy may say.
#[tokio::test]
async fn who_forges_the_headers_of_proxies_is_not_believed() {
    let guarded = Guarded::start(RULES);
    let forged = Raw::new("GET /v2/")
        .header("X-Forwarded-For", "192.0.2.9")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "evil.example")
        .header("Forwarded", "for=192.0.2.9;host=evil.example;proto=https");
    let asked = forged.send(&guarded.server).await.expecting(401);
    let challenge = asked.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with(&format!("Bearer realm=\"http://{}/", guarded.server.address())), "{challenge}");
    let line = guarded.server.logged(&format!("request={}", asked.header("x-request-id").expect("an id"))).await;
    assert!(line.contains("address=127.0.0.1"), "{line}");
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_the_client_and_its_scheme() {
    let site = Site::new();
    let (file, htpasswd) = (site.folder().join("docket.toml"), site.folder().join("htpasswd"));
    std::fs::write(&htpasswd, HTPASSWD).expect("accounts are written");
    let head = "log = \"info\"\naccess_log = \"all\"\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let text = format!("{head}\n[access]\nhtpasswd = {:?}\n{RULES}", htpasswd.to_str().expect("a plain path"));
    std::fs::write(&file, text).expect("rules are written");
    let server = Server::start_configured(&site, &file);
    // The client wrote the first address itself; the proxy added the one it saw.
    let forwarded = Raw::new("GET /v2/")
        .header("Host", "registry.example")
        .header("X-Forwarded-For", "198.51.100.1, 192.0.2.9")
        .header("X-Forwarded-Proto", "https");
    let asked = forwarded.send(&server).await.expecting(401);
    let challenge = asked.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer realm=\"https://registry.example/"), "{challenge}");
    let line = server.logged(&format!("request={}", asked.header("x-request-id").expect("an id"))).await;
    assert!(line.contains("address=192.0.2.9"), "{line}");
    server.stop().await;
}
