//! The token server as clients use it: docker's GET, OAuth2's POST, and what a token is good for.

use super::RULES;
use crate::harness::{Answer, Ask as _, Guarded, Server, Site, password};

const TOKEN: &str = "/v2/_docket/token";

async fn post(guarded: &Guarded, form: &str) -> Answer {
    let request = guarded.server.request("POST", TOKEN).body(form.to_owned());
    request.header("content-type", "application/x-www-form-urlencoded").answer().await
}

#[tokio::test]
async fn a_token_comes_with_all_that_clients_read() {
    let guarded = Guarded::start(RULES);
    let query = "service=https%3A%2F%2Fregistry.wabbit.example&scope=repository:team/app:pull,push&account=bob\
        &client_id=docker&offline_token=true";
    let answer = guarded.request("bob", "GET", &format!("{TOKEN}?{query}")).expect(200).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let reply = answer.json();
    assert_eq!(reply["token"], reply["access_token"]);
    assert_eq!(reply["expires_in"], 900);
    let issued_at = reply["issued_at"].as_str().expect("a time");
    assert!(humantime::parse_rfc3339(issued_at).is_ok(), "{issued_at}");
    assert_eq!(reply.get("refresh_token"), None);
    let token = reply["token"].as_str().expect("a token");
    guarded.with_token(token, "GET", "/v2/").expect(200).await;
    guarded.with_token(token, "POST", "/v2/team/app/blobs/uploads/").expect(202).await;
    guarded.server.stop().await;
}

#[tokio::test]
async fn several_scopes_may_stand_in_one_parameter_or_in_many() {
    let guarded = Guarded::start(RULES);
    for name in ["team/a", "team/b"] {
        guarded.server.repository(name).by("bob").push_image("v1", 1).await;
    }
    let both = [
        guarded.token("bob", &["repository:team/a:pull", "repository:team/b:pull"]).await,
        guarded.token("bob", &["repository:team/a:pull repository:team/b:pull"]).await,
        // As docker's clients write a space.
        guarded
            .request("bob", "GET", &format!("{TOKEN}?scope=repository:team/a:pull+repository:team/b:pull"))
            .expect(200)
            .await
            .json()["token"]
            .as_str()
            .expect("a token")
            .to_owned(),
    ];
    for token in both {
        for name in ["team/a", "team/b"] {
            guarded.with_token(&token, "GET", &format!("/v2/{name}/tags/list")).expect(200).await;
        }
        guarded.with_token(&token, "POST", "/v2/team/a/blobs/uploads/").expect(401).await;
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn less_than_was_asked_is_no_error() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("public/app").by("alice").push_image("v1", 1).await;
    // Clients add the source of a mount to the scopes of a push.
    let token =
        guarded.token("bob", &["repository:team/app:pull,push", "repository:secret/app:pull", "x:y:z", "?"]).await;
    guarded.with_token(&token, "POST", "/v2/team/app/blobs/uploads/").expect(202).await;
    guarded.with_token(&token, "GET", "/v2/secret/app/tags/list").expect(403).await;
    // Somebody unknown gets a token too, for what is everybody's.
    let anonymous = guarded.token("", &["repository:public/app:pull,push"]).await;
    guarded.with_token(&anonymous, "GET", "/v2/").expect(200).await;
    guarded.with_token(&anonymous, "GET", "/v2/public/app/manifests/v1").expect(200).await;
    let refused = guarded.with_token(&anonymous, "POST", "/v2/public/app/blobs/uploads/").expect(401).await;
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.ends_with(r#"scope="repository:public/app:pull,push",error="insufficient_scope""#),
        "{challenge}"
    );
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_form_gives_a_token_for_a_password() {
    let guarded = Guarded::start(RULES);
    let form = |secret: &str| {
        format!(
            "grant_type=password&username=bob&password={secret}&service=https%3A%2F%2Fregistry.wabbit.example\
            &client_id=containerd&scope=repository%3Ateam%2Fapp%3Apull%2Cpush"
        )
    };
    let reply = post(&guarded, &form(&password("bob"))).await.expecting(200).json();
    let token = reply["access_token"].as_str().expect("a token");
    guarded.with_token(token, "POST", "/v2/team/app/blobs/uploads/").expect(202).await;
    let wrong = post(&guarded, &form("wrong")).await.expecting(401);
    assert_eq!(
        (wrong.code().as_str(), wrong.message().as_str()),
        ("UNAUTHORIZED", "the name or the password is wrong")
    );
    guarded.server.stop().await;
}

#[tokio::test]
async fn bad_questions_to_the_token_server_are_answered_clearly() {
    let guarded = Guarded::start(RULES);
    for (form, words) in [
        ("grant_type=refresh_token&refresh_token=x", "refresh tokens are not given out here"),
        ("grant_type=password&grant_type=password", "only once"),
        ("grant_type=client_credentials", "grant_type must be password"),
        ("", "grant_type must be password"),
        ("grant_type=%", "percent-encoding"),
    ] {
        let refused = post(&guarded, form).await.expecting(400);
        assert!(refused.message().contains(words), "{form}: {}", refused.message());
    }
    post(&guarded, &"a".repeat(9000)).await.expecting(400);
    let json = guarded.server.request("POST", TOKEN).header("content-type", "application/json").body("{}");
    assert!(json.expect(400).await.message().contains("with a form"));
    let many = "&scope=repository:a:pull".repeat(17);
    for (query, words) in [
        ("service=elsewhere", "not for \"elsewhere\""),
        (many.as_str(), "at most 16 scopes"),
        (&format!("scope={}", "a".repeat(5000)), "scope is too large"),
    ] {
        let refused = guarded.request("bob", "GET", &format!("{TOKEN}?{query}")).expect(400).await;
        assert!(refused.message().contains(words), "{}", refused.message());
    }
    assert_eq!(guarded.request("bob", "PUT", TOKEN).expect(405).await.header("allow"), Some("GET, POST"));
    // A token for a token would live for ever.
    let token = guarded.token("bob", &["repository:team/app:pull"]).await;
    let refused = guarded.with_token(&token, "GET", TOKEN).expect(401).await;
    assert!(refused.message().contains("not given for a token"));
    guarded.server.stop().await;
}

#[tokio::test]
async fn tokens_outlive_a_restart_of_the_server() {
    let guarded = Guarded::start(RULES);
    let token = guarded.token("bob", &["repository:team/app:pull,push"]).await;
    let Guarded { site, server } = guarded;
    server.stop().await;
    let guarded = Guarded::start_on(site, RULES);
    guarded.with_token(&token, "POST", "/v2/team/app/blobs/uploads/").expect(202).await;
    guarded.server.stop().await;
}

#[tokio::test]
async fn without_rules_nobody_needs_a_token() {
    let site = Site::new();
    let server = Server::start(&site);
    server.request("GET", TOKEN).expect(404).await;
    server.request("GET", "/v2/").bearer_auth("anything").expect(200).await;
    server.stop().await;
    assert!(!site.data().join("keys/token.key").exists());
}
