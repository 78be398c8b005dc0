//! `ls` and `rm`: what is there, and what goes.

use super::{Desk, Server, Shell, Site};
use crate::harness::{image, sha256};

#[tokio::test]
async fn ls_lists_the_same_over_the_network_in_the_folder_and_through_the_socket() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    for name in ["acme/rockets", "wabbit/net-monitor"] {
        server.repository(name).push_image("v1", 1).await;
    }
    let manifest = server.repository("acme/rockets").push_image("v1", 1).await;
    server.repository("acme/rockets").push_manifest("v2", manifest).await;
    let address = server.address().to_owned();
    let everything = shell.docket(&format!("ls {address}")).expect(0);
    assert_eq!(everything.out, "acme/rockets\nwabbit/net-monitor\n");
    let tags = shell.docket(&format!("ls {address}/acme/rockets")).expect(0);
    assert_eq!(tags.out, "v1\nv2\n");
    let json = shell.docket(&format!("ls docker://{address}/acme/rockets --output json")).expect(0).json();
    assert_eq!(json, serde_json::json!({ "repository": "acme/rockets", "tags": ["v1", "v2"] }));
    let json = shell.docket(&format!("ls {address}/ --output json")).expect(0).json();
    assert_eq!(json, serde_json::json!({ "repositories": ["acme/rockets", "wabbit/net-monitor"] }));
    let local = |rest: &str| shell.docket(&format!("ls --data data {rest}"));
    assert_eq!(local("").expect(0).out, everything.out);
    assert_eq!(local("acme/rockets").expect(0).out, tags.out);
    server.stop().await;
    assert_eq!(local("").expect(0).out, everything.out);
    assert_eq!(local("acme/rockets").expect(0).out, tags.out);
    local("acme/nothing").fails(1, &["there is no repository of this name here"]);
}

#[tokio::test]
async fn ls_goes_on_where_a_page_ends() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    let repository = server.repository("a");
    let manifest = repository.push_image("t00000", 1).await;
    let expected: Vec<_> = (0..=1_500).map(|number| format!("t{number:05}")).collect();
    let listed = |line: &str| shell.docket(line).expect(0).out.lines().map(str::to_owned).collect::<Vec<_>>();
    for hundred in 0..15 {
        let tags: Vec<_> = (1..=100).map(|number| format!("tag=t{:05}", hundred * 100 + number)).collect();
        for some in tags.chunks(10) {
            repository.push_manifest(&format!("{}?{}", sha256(&manifest), some.join("&")), manifest.clone()).await;
        }
    }
    assert!(listed("ls --data data a") == expected);
    assert!(listed(&format!("ls {}/a", server.address())) == expected);
    server.stop().await;
    assert!(listed("ls --data data a") == expected);
}

#[tokio::test]
async fn rm_takes_what_was_named_and_nothing_else() {
    let desk = Desk::new().await;
    let by_digest = |rest: String| desk.shell.docket(&format!("rm {}/acme/rockets@{rest}", desk.server.address()));
    let repository = desk.server.repository("acme/rockets");
    let first = repository.push_image("v1", 1).await;
    let second = repository.push_image("v2", 2).await;
    repository.push_manifest("latest", second.clone()).await;
    let removed = desk.docket("rm @/acme/rockets:v1").expect(0);
    assert_eq!(removed.out, "removed  acme/rockets:v1\n");
    assert_eq!(repository.tags().await, ["latest", "v2"]);
    // The manifest itself stays, and goes by its digest.
    let first = sha256(&first);
    let removed = by_digest(first.to_string()).expect(0);
    assert_eq!(removed.out, format!("removed  acme/rockets@{first}\n"));
    by_digest(first.to_string()).fails(1, &["acme/rockets has no manifest sha256:"]);
    // With it go its tags, so that is asked for.
    let second = sha256(&second);
    let refused = by_digest(second.to_string());
    refused.fails(1, &["has tags that would go with it: latest, v2", "nothing was removed", "--with-tags"]);
    assert_eq!(repository.tags().await, ["latest", "v2"]);
    let removed = by_digest(format!("{second} --with-tags --output json")).expect(0);
    let expected = serde_json::json!({
        "repository": "acme/rockets", "digest": second.to_string(), "tags": ["latest", "v2"],
    });
    assert_eq!(removed.json(), expected);
    assert_eq!(repository.tags().await, [""; 0]);
}

#[tokio::test]
async fn ls_and_rm_say_what_is_wrong() {
    let desk = Desk::new().await;
    desk.docket("rm @/wabbit/net-monitor").fails(64, &["name what goes", ":tag or @digest"]);
    desk.docket("rm oci:net-monitor").fails(64, &["is no registry"]);
    desk.docket("rm @/wabbit/net-monitor:nothing").fails(1, &["wabbit/net-monitor has no manifest nothing"]);
    desk.docket("ls @/wabbit/net-monitor:v1").fails(64, &["names an artifact", "docket show"]);
    desk.docket("ls @/UPPER").fails(64, &["\"UPPER\" is no repository"]);
    desk.docket("ls @/wabbit/nothing").fails(1, &["refused to list the tags of wabbit/nothing", "404"]);
    desk.docket("ls 127.0.0.1:1").fails(1, &["127.0.0.1:1 could not be reached"]);
    desk.docket("ls").fails(64, &["required arguments"]);
    desk.shell.docket("ls --data nowhere").fails(1, &["holds no docket data"]);
    let unused = image(b"{}", &[]);
    desk.shell.docket(&format!("rm 127.0.0.1:1/a@{}", sha256(&unused))).fails(1, &["127.0.0.1:1 could not be reached"]);
}
