//! end-8, the catalog and the extensions: lists in pages.

use docket_oci::media;

use crate::harness::{Ask as _, Server, Site, image};

#[tokio::test]
async fn end_8_tags_come_in_byte_order_and_in_pages() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("team/app");
    repository.push_blob("{}").await;
    for tag in ["v2", "b", "B", "_x", "v10", "1.0"] {
        repository.push_manifest(tag, image(b"{}", &[])).await;
    }
    let all = ["1.0", "B", "_x", "b", "v10", "v2"];
    let whole = repository.request("GET", "tags/list").expect(200).await;
    assert_eq!(whole.json(), serde_json::json!({"name": "team/app", "tags": all}));
    assert_eq!(whole.next_page(), None);
    for n in 1..=7 {
        let mut path = Some(repository.path(&format!("tags/list?n={n}")));
        let mut collected = Vec::new();
        while let Some(page) = path {
            let answer = server.request("GET", &page).expect(200).await;
            let tags = answer.strings("tags");
            assert!(!tags.is_empty() && tags.len() <= n, "{page}: {tags:?}");
            collected.extend(tags);
            path = answer.next_page();
        }
        assert_eq!(collected, all, "in pages of {n}");
    }
    let tags = async |query: &str| {
        let answer = repository.request("GET", &format!("tags/list?{query}")).expect(200).await;
        (answer.strings("tags"), answer.next_page())
    };
    assert_eq!(tags("n=0").await, (vec![], None));
    assert_eq!(tags("n=0&last=B").await, (vec![], None));
    assert_eq!(tags("last=b").await.0, ["v10", "v2"]);
    assert_eq!(tags("last=absent").await.0, ["b", "v10", "v2"], "last need not exist");
    assert_eq!(tags("last=v2").await.0, [""; 0]);
    assert_eq!(tags("n=4294967295").await, (all.map(str::to_owned).to_vec(), None));
    let next = tags("x=a%26b&last=1.0&n=2").await.1;
    assert_eq!(next, Some(repository.path("tags/list?x=a%26b&n=2&last=_x")), "what else was asked stays");
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_8_no_tags_are_an_empty_list_and_no_repository_is_404() {
    let site = Site::new();
    let server = Server::start(&site);
    let unknown = server.request("GET", "/v2/never/pushed/tags/list").expect(404).await;
    assert_eq!(unknown.code(), "NAME_UNKNOWN");
    let repository = server.repository("a");
    repository.push_image("only", 1).await;
    repository.request("DELETE", "manifests/only").expect(202).await;
    let none = repository.request("GET", "tags/list").expect(200).await;
    assert_eq!(none.json(), serde_json::json!({"name": "a", "tags": []}));
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn repositories_are_listed_in_pages() {
    let site = Site::new();
    let server = Server::start(&site);
    let none = server.request("GET", "/v2/_catalog").expect(200).await;
    assert_eq!(none.json(), serde_json::json!({"repositories": []}));
    let names = ["a", "a-b", "a/b", "b__c/d.e", "tags/list", "x/manifests/y"];
    for name in names {
        server.repository(name).push_image("v1", 1).await;
    }
    for n in [1, 2, 6, 100] {
        let mut path = Some(format!("/v2/_catalog?n={n}"));
        let mut collected = Vec::new();
        while let Some(page) = path {
            let answer = server.request("GET", &page).expect(200).await;
            collected.extend(answer.strings("repositories"));
            path = answer.next_page();
        }
        assert_eq!(collected, names, "in pages of {n}");
    }
    let empty = server.request("GET", "/v2/_catalog?n=0").expect(200).await;
    assert_eq!((empty.strings("repositories").len(), empty.next_page()), (0, None));
    for name in names {
        let answer = server.request("GET", &format!("/v2/{name}/manifests/v1")).expect(200).await;
        assert_eq!(answer.header("content-type"), Some(media::OCI_IMAGE_MANIFEST), "{name}");
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn the_statement_extension_is_announced() {
    let site = Site::new();
    let server = Server::start(&site);
    let everywhere = server.request("GET", "/v2/_oci/ext/discover").expect(200).await.json();
    assert_eq!(everywhere["extensions"][0]["name"], "_scitt");
    let here = server.request("GET", "/v2/a/b/_oci/ext/discover").expect(200).await.json();
    assert_eq!(here["extensions"][0]["endpoints"], serde_json::json!(["_scitt/ledger/entries"]));
    server.stop().await;
}
