//! Listings show what the caller may pull, complete and in pages, and nothing else.

use super::RULES;
use crate::harness::{Ask as _, Guarded};

#[tokio::test]
async fn the_catalog_shows_what_the_caller_may_pull() {
    let guarded = Guarded::start(RULES);
    let names = ["public/a", "public/b", "secret/a", "secret/b", "secret/c", "team/a", "team/b"];
    for name in names {
        guarded.server.repository(name).by("alice").push_blob(*b"{}").await;
    }
    let shown = async |who: &str| {
        let mut shown = Vec::new();
        let mut next = Some("/v2/_catalog?n=1".to_owned());
        while let Some(path) = next {
            let page = guarded.request(who, "GET", &path).expect(200).await;
            // A page ends on a name that is shown, so that its link shows no other.
            assert!(!page.header("link").unwrap_or_default().contains("secret") || who == "alice");
            shown.extend(page.strings("repositories"));
            next = page.next_page();
        }
        let whole = guarded.request(who, "GET", "/v2/_catalog").expect(200).await;
        assert_eq!(whole.strings("repositories"), shown);
        assert_eq!(whole.next_page(), None);
        shown
    };
    assert_eq!(shown("alice").await, names);
    assert_eq!(shown("bob").await, ["public/a", "public/b", "team/a", "team/b"]);
    assert_eq!(shown("carol").await, ["public/a", "public/b", "team/a", "team/b"]);
    // Somebody unknown is asked who they are, since they would take a part for the whole.
    guarded.request("", "GET", "/v2/_catalog").expect(401).await;
    let anonymous = guarded.token("", &["registry:catalog:*"]).await;
    let page = guarded.with_token(&anonymous, "GET", "/v2/_catalog").expect(200).await;
    assert_eq!(page.strings("repositories"), ["public/a", "public/b"]);
    let narrow = guarded.token("alice", &["repository:secret/a:pull"]).await;
    let refused = guarded.with_token(&narrow, "GET", "/v2/_catalog").expect(401).await;
    assert!(refused.header("www-authenticate").is_some_and(|header| header.contains(r#"scope="registry:catalog:*""#)));
    guarded.server.stop().await;
}

#[tokio::test]
async fn whoever_may_pull_everything_need_not_say_who_they_are() {
    const OPEN: &str = "[[access.rules]]\nwho = [\"anonymous\"]\nrepositories = [\"**\"]\nallow = [\"pull\"]\n";
    let guarded = Guarded::start(OPEN);
    assert_eq!(guarded.request("", "GET", "/v2/_catalog").expect(200).await.strings("repositories"), [""; 0]);
    guarded.request("", "GET", "/api/v1/claims").expect(200).await;
    guarded.server.stop().await;
}
