//! The transparency service under access rules: who registers, who gets receipts, and what answers keep to themselves.

use super::RULES;
use crate::harness::{Answer, Ask as _, Guarded, Issuer, Site, sha256};

fn with_issuer() -> (Guarded, Issuer) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    (Guarded::start_on(site, RULES), issuer)
}

async fn register(guarded: &Guarded, who: &str, path: &str, statement: &[u8]) -> Answer {
    let request = guarded.request(who, "POST", path).header("content-type", "application/cose");
    request.body(statement.to_vec()).answer().await
}

async fn entries(guarded: &Guarded, who: &str) -> Vec<(u64, Vec<String>)> {
    let answer = guarded.request(who, "GET", "/api/v1/claims").expect(200).await.json();
    let claims = answer["claims"].as_array().expect("claims");
    let claim = |claim: &serde_json::Value| {
        let places = claim["placements"].as_array().expect("places").iter();
        let places = places.map(|place| place["repository"].as_str().expect("a name").to_owned()).collect();
        (claim["index"].as_u64().expect("an index"), places)
    };
    claims.iter().map(claim).collect()
}

#[tokio::test]
async fn claims_and_receipts_are_shown_to_those_who_may_pull_where_they_are_placed() {
    let (guarded, issuer) = with_issuer();
    let mut statements = Vec::new();
    for name in ["public/app", "secret/app", "team/app"] {
        let image = guarded.server.repository(name).by("alice").push_image("v1", 1).await;
        let statement = issuer.about(&sha256(&image), "text/plain", name.as_bytes());
        let path = format!("/v2/{name}/_scitt/ledger/entries");
        // The right to push is not the right to claim.
        assert_eq!(register(&guarded, "bob", &path, &statement).await.status, 403);
        register(&guarded, "", &path, &statement).await.expecting(401).problem();
        let location = register(&guarded, "alice", &path, &statement).await.expecting(201).location();
        statements.push((location.rsplit('/').next().expect("an id").to_owned(), statement));
    }
    // The secret claim is placed in public as well: seen there, without its other place.
    let path = "/v2/public/app/_scitt/ledger/entries";
    register(&guarded, "alice", path, &statements[1].1).await.expecting(201);
    // One that is placed nowhere.
    let nowhere = issuer.about(&sha256(b"elsewhere"), "text/plain", b"nowhere");
    assert_eq!(register(&guarded, "bob", "/entries", &nowhere).await.status, 403);
    let location = register(&guarded, "alice", "/entries", &nowhere).await.expecting(201).location();
    statements.push((location.rsplit('/').next().expect("an id").to_owned(), nowhere));

    let places = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        entries(&guarded, "bob").await,
        [(2, places(&["public/app"])), (3, places(&["public/app"])), (4, places(&["team/app"])),]
    );
    let all: Vec<_> = entries(&guarded, "alice").await.into_iter().map(|(index, _)| index).collect();
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);

    for (who, shown) in [("alice", [200; 4]), ("bob", [200, 200, 200, 404])] {
        for ((id, _), status) in statements.iter().zip(shown) {
            guarded.request(who, "GET", &format!("/entries/{id}")).expect(status).await;
        }
    }
    let genesis = guarded.request("alice", "GET", "/api/v1/claims?limit=1").expect(200).await.json();
    let genesis = genesis["claims"][0]["entry"].as_str().expect("an id").to_owned();
    guarded.request("bob", "GET", &format!("/entries/{genesis}")).expect(404).await;
    guarded.request("", "GET", &format!("/entries/{}", statements[0].0)).expect(401).await.problem();
    let anonymous = guarded.token("", &["registry:catalog:*"]).await;
    for ((id, _), status) in statements.iter().zip([200, 200, 404, 404]) {
        guarded.with_token(&anonymous, "GET", &format!("/entries/{id}")).expect(status).await;
    }
    guarded.server.stop().await;
    guarded.site.fsck_clean();
}

#[tokio::test]
async fn pages_of_claims_are_full_and_start_at_what_is_shown() {
    let (guarded, issuer) = with_issuer();
    for (number, name) in ["public/app", "secret/app", "secret/app", "public/app", "secret/app"].into_iter().enumerate()
    {
        let image = guarded.server.repository(name).by("alice").push_image("v1", 1).await;
        let statement = issuer.about(&sha256(&image), "text/plain", format!("{number}").as_bytes());
        register(&guarded, "alice", &format!("/v2/{name}/_scitt/ledger/entries"), &statement).await.expecting(201);
    }
    let first = guarded.request("bob", "GET", "/api/v1/claims?limit=1").expect(200).await.json();
    assert_eq!((&first["claims"][0]["index"], &first["next"]), (&2.into(), &"5-7".into()));
    let second = guarded.request("bob", "GET", "/api/v1/claims?limit=1&cursor=5-7").expect(200).await.json();
    assert_eq!((&second["claims"][0]["index"], &second["next"]), (&5.into(), &serde_json::Value::Null));
    guarded.server.stop().await;
}
