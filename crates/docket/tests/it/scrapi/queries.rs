//! `/api/v1/claims`: who said what about an artifact, complete for the tree size that the answer names.

use serde_json::Value;

use crate::harness::{Answer, Ask as _, Issuer, SERVICE, Server, Site, escaped, sha256};

const TYPES: [&str; 3] = ["application/spdx+json", "text/plain", "application/vnd.example.scan+json"];

/// What was registered, as the answer is to tell it.
struct Registered {
    entry: String,
    artifact: String,
    issuer: String,
    claim_type: &'static str,
}

#[tokio::test]
async fn every_combination_of_filters_finds_exactly_what_was_said() {
    let site = Site::new();
    let issuers = [site.admit("wabbit"), site.admit("acme")];
    let server = Server::start(&site);
    let (artifacts, registered) = said_by(&server, &issuers).await;
    let some = |values: &[String]| values.iter().cloned().map(Some).chain([None]).collect::<Vec<_>>();
    let names: Vec<_> = issuers.iter().map(|issuer| issuer.identity().to_owned()).collect();
    for artifact in some(&artifacts) {
        for issuer in some(&names) {
            for claim_type in some(&TYPES.map(str::to_owned)) {
                let mut query = Vec::new();
                query.extend(artifact.as_ref().map(|value| format!("artifact={value}")));
                query.extend(issuer.as_ref().map(|value| format!("issuer={}", escaped(value))));
                query.extend(claim_type.as_ref().map(|value| format!("type={}", escaped(value))));
                let is = |filter: &Option<String>, value: &str| filter.as_ref().is_none_or(|filter| filter == value);
                let expected: Vec<_> = registered
                    .iter()
                    .filter(|one| is(&artifact, &one.artifact))
                    .filter(|one| is(&issuer, &one.issuer))
                    .filter(|one| is(&claim_type, one.claim_type))
                    .map(|one| one.entry.clone())
                    .collect();
                let query = query.join("&");
                for limit in [1, 5, 1000] {
                    let found = pages(&server, &format!("{query}&limit={limit}")).await;
                    // Without a filter that they miss, the service's own entries are listed as well.
                    let found = found.into_iter().filter(|claim| claim["issuer"] != SERVICE);
                    let found: Vec<_> = found.map(|claim| text(&claim["entry"])).collect();
                    assert_eq!(found, expected, "{query} in pages of {limit}");
                }
            }
        }
    }
    let nobody = pages(&server, "issuer=https%3A%2F%2Fnobody.example").await;
    assert!(nobody.is_empty());
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_claim_tells_who_what_when_and_where() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = repository.push_image("v1", 1).await;
    repository.push_blob("an sbom").await;
    let statement = issuer.about_document(&sha256(&image), TYPES[0], b"an sbom");
    let registered = repository.claim(&statement).await.expecting(201);
    let answer = claims(&server, &format!("artifact={}", sha256(&image))).await.json();
    assert_eq!((&answer["tree_size"], &answer["next"]), (&3.into(), &Value::Null));
    let claim = &answer["claims"][0];
    assert!(registered.location().ends_with(&text(&claim["entry"])));
    assert_eq!(claim["index"], 2);
    assert_eq!(claim["issuer"], issuer.identity());
    assert_eq!(text(&claim["artifact"]), sha256(&image).to_string());
    assert_eq!(text(&claim["subject"]), format!("pkg:oci/net-monitor@sha256%3A{}", sha256(&image).hex()));
    assert_eq!(claim["type"], TYPES[0]);
    assert_eq!(text(&claim["evidence"]), sha256(b"an sbom").to_string());
    assert_eq!(claim["issued_at"], 1_700_000_000);
    let decided = &claim["decided_by"];
    assert_eq!((&decided["issuer_entry"], &decided["policy_entry"]), (&1.into(), &0.into()));
    assert!(claim["logged_at"].as_i64().is_some_and(|seconds| seconds > 1_700_000_000));
    let place = &claim["placements"][0];
    assert_eq!(place["repository"], "wabbit/net-monitor");
    let [evidence] = repository.referrers(&sha256(&image)).await.try_into().expect("one referrer");
    let [placed] = repository.referrers(&evidence.digest).await.try_into().expect("one referrer");
    assert_eq!(text(&place["evidence"]), evidence.digest.to_string());
    assert_eq!(text(&place["statement"]), placed.digest.to_string());
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn all_pages_of_an_answer_are_complete_for_one_tree() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let (artifacts, registered) = said_by(&server, std::slice::from_ref(&issuer)).await;
    let query = format!("artifact={}&limit=2", artifacts[0]);
    let first = claims(&server, &query).await.json();
    let size = first["tree_size"].clone();
    assert_eq!(size, 2 + registered.len());
    let later = issuer.about(&artifacts[0].parse().expect("a digest"), TYPES[0], b"said later");
    server.register(&later).await.expecting(201);
    let mut found = first["claims"].as_array().expect("claims").len();
    let mut next = first["next"].clone();
    while let Value::String(cursor) = next {
        let page = claims(&server, &format!("{query}&cursor={cursor}")).await.json();
        assert_eq!(page["tree_size"], size, "what came in between belongs to a later answer");
        found += page["claims"].as_array().expect("claims").len();
        next = page["next"].clone();
    }
    assert_eq!(found, TYPES.len());
    let newest = claims(&server, &query).await.json();
    assert_eq!(newest["tree_size"], 3 + registered.len());
    assert_eq!(pages(&server, &query).await.len(), TYPES.len() + 1);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_not_answered_as_another() {
    let site = Site::new();
    let server = Server::start(&site);
    let digest = sha256(b"");
    let wrong = [
        ("artefact=x".to_owned(), "there is no parameter"),
        ("artifact=latest".to_owned(), "artifact must be a digest"),
        (format!("artifact={digest}&artifact={digest}"), "may stand only once"),
        ("limit=0".to_owned(), "limit must be a number"),
        ("limit=1001".to_owned(), "limit must be a number"),
        ("limit=-1".to_owned(), "limit must be a number"),
        ("limit=99999999999999999999".to_owned(), "limit must be a number"),
        ("cursor=5".to_owned(), "cursor must be"),
        ("cursor=-".to_owned(), "cursor must be"),
        ("type=%zz".to_owned(), "percent-encoding"),
        (format!("issuer={}", "a".repeat(9000)), "bytes"),
    ];
    for (query, expected) in wrong {
        let refused = server.request("GET", &format!("/api/v1/claims?{query}")).expect(400).await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        let detail = text(&refused.json()["detail"]);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_service_says_who_it_is() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut service = server.request("GET", "/api/v1/service").expect(200).await.json();
    let log_key = service["log_key"].take();
    assert!(log_key.as_str().is_some_and(|key| key.starts_with("registry.wabbit.example/log+")), "{log_key}");
    let expected =
        serde_json::json!({"issuer": SERVICE, "log": "registry.wabbit.example/log", "log_key": null, "tree_size": 1});
    assert_eq!(service, expected);
    server.stop().await;
}

/// Each issuer says each kind of thing about each of two artifacts.
async fn said_by(server: &Server, issuers: &[Issuer]) -> (Vec<String>, Vec<Registered>) {
    let repository = server.repository("wabbit/net-monitor");
    let images = [repository.push_image("v1", 1).await, repository.push_image("v2", 2).await];
    let mut registered = Vec::new();
    for claim_type in TYPES {
        for (number, image) in images.iter().enumerate() {
            for issuer in issuers {
                let artifact = sha256(image);
                let text = format!("{number} {}", issuer.identity());
                let statement = if claim_type == "text/plain" {
                    issuer.about(&artifact, claim_type, text.as_bytes())
                } else {
                    repository.push_blob(text.clone()).await;
                    issuer.about_document(&artifact, claim_type, text.as_bytes())
                };
                let answer = repository.claim(&statement).await.expecting(201);
                let entry = answer.location().rsplit('/').next().expect("an entry id").to_owned();
                let (artifact, issuer) = (artifact.to_string(), issuer.identity().to_owned());
                registered.push(Registered { entry, artifact, issuer, claim_type });
            }
        }
    }
    (images.iter().map(|image| sha256(image).to_string()).collect(), registered)
}

/// All pages of an answer.
async fn pages(server: &Server, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = claims(server, &format!("{query}{cursor}")).await.json();
        found.extend(page["claims"].as_array().expect("claims").clone());
        match &page["next"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return found,
        }
    }
}

async fn claims(server: &Server, query: &str) -> Answer {
    server.request("GET", &format!("/api/v1/claims?{query}")).expect(200).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
