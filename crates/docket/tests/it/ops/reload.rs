//! Configuration that changes under a running server.

use crate::harness::{Server, Shell, Site};

#[tokio::test]
async fn a_reload_applies_what_it_can_and_names_what_needs_a_restart() {
    let (site, server, shell) = configured(r#"log = "warn""#);
    server.repository("a").start_upload().await;
    assert!(!server.log().contains("answered"), "{}", server.log());
    shell.write("docket.toml", "log = \"debug\"\n[ops]\ndrain = \"7s\"\n");
    let said = shell.docket("reload --data data").expect(0);
    assert_eq!(said.out, "applied        log\nneeds restart  ops.drain\n");
    server.repository("a").start_upload().await;
    server.logged("answered").await;
    // Nothing new is nothing new, and what waits for the restart still waits.
    let said = shell.docket("reload --data data --output json").expect(0).json();
    assert_eq!(said, serde_json::json!({ "applied": [], "needs_restart": ["ops.drain"] }));
    server.stop().await;
    shell.docket("reload --data data").fails(1, &["no server runs on data"]);
    site.fsck_clean();
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing() {
    let (_site, server, shell) = configured(r#"log = "warn""#);
    let wrong = [
        ("log = ", "TOML parse error"),
        ("log = \"debug\"\nadmin_socket = 1", "admin_socket"),
        ("log = \"debug\"\nunheard = 1", "unheard"),
        ("log = \"docket=loud\"", "log filter"),
        ("log = \"debug\"\n[ops]\ndrain = \"soon\"", "drain"),
    ];
    for (text, words) in wrong {
        shell.write("docket.toml", text);
        shell.docket("reload --data data").fails(1, &[words, "goes on as before"]);
    }
    std::fs::remove_file(shell.path("docket.toml")).expect("it was written");
    shell.docket("reload --data data").fails(1, &["there is no configuration file", "goes on as before"]);
    server.repository("a").start_upload().await;
    assert!(!server.log().contains("answered"), "{}", server.log());
    server.stop().await;
}

#[tokio::test]
async fn sighup_reads_the_configuration_again() {
    let (_site, server, shell) = configured(r#"log = "warn""#);
    shell.write("docket.toml", "log = ");
    server.hang_up();
    server.logged("goes on with the old configuration").await;
    shell.write("docket.toml", "log = \"debug\"");
    server.hang_up();
    server.logged("configuration read again").await;
    server.repository("a").start_upload().await;
    server.logged("answered").await;
    server.stop().await;
}

/// A server with a configuration file, and a prompt beside it.
fn configured(text: &str) -> (Site, Server, Shell) {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.write("docket.toml", text);
    let server = Server::start_configured(&site, &shell.path("docket.toml"));
    (site, server, shell)
}
