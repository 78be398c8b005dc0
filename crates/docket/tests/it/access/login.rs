//! Logging in with a name and a password, and the first question of every client.

use std::time::{Duration, Instant};

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::RULES;
use crate::harness::{Ask as _, Guarded, Raw, Server, Site, password};

#[tokio::test]
async fn clients_are_told_where_to_log_in() {
    let guarded = Guarded::start(RULES);
    let asked = guarded.request("", "GET", "/v2/").expect(401).await;
    assert_eq!(asked.code(), "UNAUTHORIZED");
    let address = guarded.server.address();
    let bearer =
        format!(r#"Bearer realm="http://{address}/v2/_docket/token",service="https://registry.wabbit.example""#);
    assert_eq!(asked.header("www-authenticate"), Some(bearer.as_str()));
    assert_eq!(asked.header("docker-distribution-api-version"), Some("registry/2.0"));
    let needed = guarded.request("", "GET", "/v2/team/app/tags/list").expect(401).await;
    let scoped = format!(r#"{bearer},scope="repository:team/app:pull""#);
    assert_eq!(needed.header("www-authenticate"), Some(scoped.as_str()));
    let pushed = guarded.request("", "POST", "/v2/public/app/blobs/uploads/").expect(401).await;
    let scoped = format!(r#"{bearer},scope="repository:public/app:pull,push""#);
    assert_eq!(pushed.header("www-authenticate"), Some(scoped.as_str()));
    guarded.request("bob", "GET", "/v2/").expect(200).await;
    // By another name of this machine, the way back goes by that name.
    let host = format!("registry.example:{}", address.rsplit(':').next().expect("a port"));
    let asked = Raw::new("GET /v2/").header("Host", &host).send(&guarded.server).await.expecting(401);
    assert!(
        asked.header("www-authenticate").is_some_and(|header| header.contains(&format!("http://{host}/v2/_docket")))
    );
    for host in ["a\"b", "a@b", "a b", ""] {
        let asked = Raw::new("GET /v2/").header("Host", host).send(&guarded.server).await;
        let challenge = asked.header("www-authenticate").unwrap_or_default();
        assert!(!challenge.contains(host) || host.is_empty(), "{challenge}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_password_opens_every_path_without_a_token() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("team/app").by("bob").push_image("v1", 1).await;
    guarded.request("carol", "GET", "/v2/team/app/manifests/v1").expect(200).await;
    guarded.request("carol", "GET", "/v2/_catalog").expect(200).await;
    guarded.request("carol", "GET", "/api/v1/claims").expect(200).await;
    // What is for everybody is also for who logged in, and the keys are for everybody.
    guarded.server.repository("public/app").by("alice").push_image("v1", 1).await;
    for who in ["", "carol"] {
        guarded.request(who, "GET", "/v2/public/app/manifests/v1").expect(200).await;
        guarded.request(who, "GET", "/.well-known/scitt-keys").expect(200).await;
        guarded.request(who, "GET", "/api/v1/service").expect(200).await;
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_wrong_login_is_refused_everywhere_and_says_nothing() {
    let guarded = Guarded::start(RULES);
    guarded.server.repository("public/app").by("alice").push_image("v1", 1).await;
    let mut said = Vec::new();
    for (name, secret) in [("alice", "wrong"), ("nobody", "wrong"), ("nobody", ""), ("bob", "alice-secret")] {
        for path in ["/v2/", "/v2/public/app/tags/list", "/v2/_docket/token"] {
            let refused = guarded.server.request("GET", path).basic_auth(name, Some(secret)).expect(401).await;
            assert_eq!(refused.code(), "UNAUTHORIZED");
            assert!(refused.header("www-authenticate").is_some());
            said.push(refused.message());
        }
    }
    said.dedup();
    assert_eq!(said, ["the name or the password is wrong"]);
    guarded.server.stop().await;
}

#[tokio::test]
async fn broken_authorization_headers_are_refused() {
    let guarded = Guarded::start(RULES);
    let long = format!("Bearer {}", "a".repeat(9000));
    for (header, words) in [
        ("Basic", "name:password"),
        ("Basic !!!", "name:password"),
        ("Basic YWxpY2U=", "name:password"),
        ("Basic /w==", "name:password"),
        ("Digest a=b", "use Basic or Bearer"),
        ("alice:alice-secret", "use Basic or Bearer"),
        ("", "use Basic or Bearer"),
        ("Bearer", "token is not valid"),
        ("Bearer \u{1f}", ""),
        (&long, "too long"),
    ] {
        let refused = Raw::new("GET /v2/").header("Authorization", header).send(&guarded.server).await;
        assert!(matches!(refused.status, 400 | 401), "{header:?}: {refused:?}");
        if refused.status == 401 {
            assert!(refused.message().contains(words), "{header:?}: {}", refused.message());
        }
    }
    let basic = "Basic YWxpY2U6YWxpY2Utc2VjcmV0";
    Raw::new("GET /v2/").header("Authorization", basic).send(&guarded.server).await.expecting(200);
    let twice = Raw::new("GET /v2/").header("Authorization", basic).header("Authorization", basic);
    assert!(twice.send(&guarded.server).await.expecting(401).message().contains("two Authorization headers"));
    guarded.server.stop().await;
}

#[tokio::test]
async fn an_unknown_name_costs_what_a_wrong_password_costs() {
    // Dear enough to be told from everything else: a quarter of what the usual cost takes.
    let hash = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZFYTWuQ0nVdQzHhNmVFUXEWBnLWzOS";
    let guarded = Guarded::start(RULES);
    guarded.change(RULES, &format!("alice:{hash}\n"));
    let cost = async |name: &str| {
        let mut best = Duration::MAX;
        for attempt in 0..3 {
            let began = Instant::now();
            let wrong = format!("{}{attempt}", password(name));
            guarded.server.request("GET", "/v2/").basic_auth(name, Some(wrong)).expect(401).await;
            best = best.min(began.elapsed());
        }
        best
    };
    let (known, unknown) = (cost("alice").await, cost("nobody").await);
    assert!(unknown * 3 > known && known * 3 > unknown, "known {known:?}, unknown {unknown:?}");
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_flood_of_wrong_logins_is_turned_away() {
    let hash = "$2b$08$C6UzMDM.H6dfI/f/IKcEeO7ZFYTWuQ0nVdQzHhNmVFUXEWBnLWzOS";
    let guarded = Guarded::start(RULES);
    guarded.change(RULES, &format!("alice:{hash}\n"));
    let flood = (0..150)
        .map(|number| guarded.server.request("GET", "/v2/").basic_auth("mallory", Some(number.to_string())).answer());
    let answers = futures_util::future::join_all(flood);
    let answers = answers.await;
    let turned_away: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!turned_away.is_empty() && answers.iter().all(|answer| matches!(answer.status, 401 | 429)));
    assert!(turned_away.iter().all(|answer| answer.header("retry-after") == Some("1")));
    guarded.server.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing_with_a_remembered_login() {
    let guarded = Guarded::start(RULES);
    let path = "/v2/team/app/blobs/uploads/";
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        guarded.request("bob", "POST", path).header(name, value).expect(403).await;
        // Reading is what the browser itself keeps from the page.
        guarded.request("bob", "GET", "/v2/").header(name, value).expect(200).await;
    }
    let own = format!("http://{}", guarded.server.address());
    guarded.request("bob", "POST", path).header("origin", own).expect(202).await;
    // A proxy is no stranger any more.
    guarded.request("bob", "GET", "/v2/").header("x-forwarded-for", "192.0.2.1").expect(200).await;
    guarded.server.stop().await;
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_named_and_change_nothing() {
    let site = Site::new();
    let refused = |text: &str, words: &[&str]| {
        let path = site.folder().join("bad.toml");
        std::fs::write(&path, text).expect("written");
        let Err(log) = Server::try_start_configured(&site, &path) else { panic!("started with {text}") };
        for word in words {
            assert!(log.contains(word), "{word:?} is missing from: {log}");
        }
    };
    refused("[access]\nhtpasswd = \"nowhere\"\n", &["cannot read access.htpasswd nowhere"]);
    std::fs::write(site.folder().join("md5"), "alice:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n").expect("written");
    let md5 = site.folder().join("md5");
    refused(&format!("[access]\nhtpasswd = {md5:?}\n"), &["line 1", "alice", "MD5 (apr1)", "htpasswd -B"]);
    refused("[access]\ntoken_ttl = \"59s\"\n", &["token_ttl", "60 seconds"]);
    refused("[access]\nrule = 1\n", &["unknown field", "rule"]);
    let rule = |who: &str, allow: &str| {
        format!("[[access.rules]]\nwho = [{who:?}]\nrepositories = [\"**\"]\nallow = [{allow:?}]\n")
    };
    refused(&rule("alice", "everything"), &["everything", "pull"]);
    refused(&rule("@staff", "pull"), &["access rule 1", "\"staff\""]);
    refused(
        "[[access.rules]]\nwho = [\"a\"]\nrepositories = [\"{\"]\nallow = [\"pull\"]\n",
        &["access rule 1", "pattern"],
    );

    let guarded = Guarded::start_on(site, RULES);
    // Rules that a running server has are not taken away, and wrong ones are not taken.
    let config = guarded.site.folder().join("docket.toml");
    for text in ["log = \"warn\"\n", "[access]\ntoken_ttl = \"1s\"\n"] {
        std::fs::write(&config, text).expect("written");
        assert!(!guarded.site.docket(&["reload"]).status.success());
        guarded.request("", "GET", "/v2/").expect(401).await;
        guarded.request("bob", "GET", "/v2/").expect(200).await;
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn the_log_names_the_account_that_called() {
    let guarded = Guarded::start(RULES);
    let token = guarded.token("carol", &["repository:team/app:pull"]).await;
    for (request, account) in [
        (guarded.request("bob", "GET", "/v2/"), "account=Named(AccountName(\"bob\"))"),
        (guarded.with_token(&token, "GET", "/v2/"), "account=Named(AccountName(\"carol\"))"),
        (guarded.request("", "GET", "/v2/public/a/tags/list"), "account=Anonymous"),
    ] {
        let answer = request.answer().await;
        let line = guarded.server.logged(&format!("request={}", answer.header("x-request-id").expect("an id"))).await;
        assert!(line.contains(account), "{account} is missing from {line}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn one_account_that_asks_too_much_keeps_nobody_else_waiting() {
    let guarded = Guarded::start(&format!("{RULES}[limits]\nrequests_per_account = 1\n"));
    let location = guarded.request("bob", "POST", "/v2/team/app/blobs/uploads/").expect(202).await.location();
    let mut busy = TcpStream::connect(guarded.server.address()).await.expect("it listens");
    let login = base64::engine::general_purpose::STANDARD.encode(format!("bob:{}", password("bob")));
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {login}\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        guarded.server.address()
    );
    busy.write_all(head.as_bytes()).await.expect("sent");
    // From here on the request is being answered.
    assert_ne!(busy.read(&mut [0; 1024]).await.expect("leave to go on"), 0);
    guarded.request("bob", "GET", "/v2/").expect(429).await;
    // From the same address: another account, and somebody unknown.
    guarded.request("carol", "GET", "/v2/").expect(200).await;
    guarded.request("", "GET", "/v2/").expect(401).await;
    busy.write_all(&[0; 10]).await.expect("sent");
    assert_ne!(busy.read(&mut [0; 1024]).await.expect("an answer"), 0);
    guarded.request("bob", "GET", "/v2/").expect(200).await;
    guarded.server.stop().await;
}
