//! Histories as people and auditors get them, and an operator who edits the database and is noticed.

use std::path::Path;
use std::process::Command;

use docket_engine::OBSERVATION_TYPE;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::harness::{Ask as _, OBSERVED, SERVICE, Said, Server, Shell, Site, sha256};

const NAME: &str = "wabbit/net-monitor";

/// A site where `v1` stood on three images, the last one in the end, and the history that was exported then.
async fn with_history() -> (Site, Value) {
    let site = Site::new();
    let server = Server::start_observing(&site);
    for seed in 1..4 {
        server.repository(NAME).push_image("v1", seed).await;
    }
    let earlier = exported(&site, &server, "earlier.json", 0);
    server.stop().await;
    let pem = site.receipt_key().to_spki_pem();
    std::fs::write(site.folder().join("service.pem"), pem).expect("the key is written");
    (site, earlier)
}

/// What `docket history --entries` writes; the command must end with a code.
fn exported(site: &Site, server: &Server, file: &str, code: i32) -> Value {
    let shell = Shell::new(site.folder());
    shell.docket(&format!("history {}/{NAME}:v1 --entries {file}", server.address())).expect(code);
    serde_json::from_slice(&std::fs::read(shell.path(file)).expect("an export")).expect("one document")
}

/// Runs the independent script: whether it is content, and what it says.
fn checked(site: &Site, history: &Value, earlier: bool) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/check-history");
    std::fs::write(site.folder().join("history.json"), history.to_string()).expect("written");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).args(["service.pem", "history.json"]).args(earlier.then_some("earlier.json"));
    let output = command.current_dir(site.folder()).output().expect("python3 runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("Traceback"), "{said}");
    (output.status.success(), said)
}

fn noticed(site: &Site, history: &Value, earlier: bool, words: &str) {
    let (content, said) = checked(site, history, earlier);
    assert!(!content && said.contains(words), "{words:?} is missing from: {said}");
}

/// Edits rows as an operator with a shell could.
pub(crate) async fn edit(site: &Site, text: &str) {
    let options = SqliteConnectOptions::new().filename(site.data().join("docket.db"));
    let mut rows = SqliteConnection::connect_with(&options).await.expect("opened");
    let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut rows).await.expect("edited");
    assert_ne!(done.rows_affected(), 0, "{text}");
    rows.close().await.expect("closed");
}

#[tokio::test]
async fn an_honest_history_adds_up_for_everyone() {
    let (site, earlier) = with_history().await;
    assert_eq!(checked(&site, &earlier, true), (true, "3 events add up, in a ledger of 4 entries\n".to_owned()));
    let shell = Shell::new(site.folder());
    // From the folder, with no server, and through the admin socket of one.
    let offline = shell.docket(&format!("history {NAME}:v1 --data data")).expect(0);
    assert_eq!(offline.out.matches("receipt ok").count(), 3, "{}", offline.out);
    let server = Server::start_observing(&site);
    assert_eq!(shell.docket(&format!("history {NAME}:v1 --data data")).expect(0).out, offline.out);
    let image = format!("{}/{NAME}:v1", server.address());
    assert_eq!(shell.docket(&format!("history {image}")).expect(0).out, offline.out);
    server.repository(NAME).request("DELETE", "manifests/v1").expect(202).await;
    let told = shell.docket(&format!("history {image} --output json")).expect(0).json();
    let events: Vec<_> = told["events"].as_array().expect("events").iter().map(|event| &event["event"]).collect();
    assert_eq!(events, ["tagged", "tagged", "tagged", "untagged"]);
    assert_eq!((&told["current"], &told["problems"]), (&Value::Null, &serde_json::json!([])));
    let later = exported(&site, &server, "later.json", 0);
    let (content, said) = checked(&site, &later, true);
    assert!(content, "{said}");
    shell.docket(&format!("history {}/wabbit/absent:v1", server.address())).fails(1, &["no repository wabbit/absent"]);
    shell
        .docket(&format!("history {}/{NAME}@{}", server.address(), sha256(b"x")))
        .fails(64, &["only tags have a history"]);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_tag_that_was_moved_behind_the_ledger_is_noticed() {
    let (site, earlier) = with_history().await;
    edit(&site, "UPDATE tag SET digest_id = (SELECT min(digest_id) FROM manifest)").await;
    let server = Server::start_observing(&site);
    let moved = exported(&site, &server, "moved.json", 1);
    noticed(&site, &moved, false, "the tag stands on");
    // Moved on from there by an ordinary push, the history has a break.
    server.repository(NAME).push_image("v1", 9).await;
    let broken = exported(&site, &server, "broken.json", 1);
    noticed(&site, &broken, false, "as observed");
    assert_eq!(broken["events"].as_array().map(Vec::len), Some(4));
    assert_ne!(broken["current"], earlier["current"]);
    server.stop().await;
}

#[tokio::test]
async fn an_entry_that_was_left_out_is_noticed() {
    let (site, earlier) = with_history().await;
    let whole = site.copy();
    edit(&site, "DELETE FROM observation WHERE idx = 2").await;
    let server = Server::start_observing(&site);
    let shorter = exported(&site, &server, "shorter.json", 1);
    noticed(&site, &shorter, false, "something is missing");
    server.stop().await;
    assert_eq!(site.fsck().problems, ["entry 2: histories do not find it where it belongs"]);

    // The newest one, with the tag put back: only who kept an earlier answer can know.
    std::fs::copy(site.folder().join("service.pem"), whole.folder().join("service.pem")).expect("copied");
    std::fs::write(whole.folder().join("earlier.json"), earlier.to_string()).expect("written");
    let back =
        "UPDATE tag SET digest_id = (SELECT id FROM digest WHERE id = (SELECT subject_id FROM entry WHERE idx = 2))";
    edit(&whole, &format!("DELETE FROM observation WHERE idx = 3; {back}")).await;
    let server = Server::start_observing(&whole);
    let cut = exported(&whole, &server, "cut.json", 0);
    assert!(checked(&whole, &cut, false).0);
    noticed(&whole, &cut, true, "not what was shown earlier");
    server.stop().await;
    assert_eq!(whole.fsck().problems, ["entry 3: histories do not find it where it belongs"]);
}

#[tokio::test]
async fn rewritten_and_reordered_entries_have_no_proof() {
    let (site, earlier) = with_history().await;
    // A server that finds them in its database gives no receipt for them.
    for text in [
        "UPDATE entry SET bytes = (SELECT bytes FROM entry WHERE idx = 1), leaf = (SELECT leaf FROM entry WHERE idx = 1) \
            WHERE idx = 2",
        "UPDATE entry SET idx = 9 WHERE idx = 1; UPDATE entry SET idx = 1 WHERE idx = 2; UPDATE entry SET idx = 2 WHERE idx = 9",
    ] {
        let copy = site.copy();
        edit(&copy, text).await;
        let server = Server::start_observing(&copy);
        let shell = Shell::new(copy.folder());
        let said: Said = shell.docket(&format!("history {}/{NAME}:v1", server.address()));
        said.fails(1, &["answered 500"]);
        server.stop().await;
        assert!(!copy.fsck().problems.is_empty());
    }
    // One that makes up its answers cannot make up receipts.
    let events = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut history = earlier.clone();
        change(history["events"].as_array_mut().expect("events"));
        history
    };
    let rewritten = events(&|events| events[1]["statement"] = events[0]["statement"].clone());
    noticed(&site, &rewritten, false, "entry 2: its receipt does not hold");
    let swapped = events(&|events| events.swap(0, 1));
    noticed(&site, &swapped, false, "entry 1: out of order");
    let renumbered = events(&|events| {
        events.swap(0, 1);
        (events[0]["index"], events[1]["index"]) = (1.into(), 2.into());
    });
    noticed(&site, &renumbered, false, "its receipt is for another place");
    let mut other = earlier.clone();
    other["tag"] = "v2".into();
    noticed(&site, &other, false, "of another tag");
}

#[tokio::test]
async fn histories_are_for_those_who_may_pull() {
    let (site, _) = with_history().await;
    let shell = Shell::new(site.folder());
    shell.write(
        "docket.toml",
        "[access]\n[[access.rules]]\nwho = [\"anonymous\"]\nrepositories = [\"public/*\"]\nallow = [\"pull\"]\n",
    );
    let server = Server::start_configured(&site, &shell.path("docket.toml"));
    let path = format!("/api/v1/history?repository={NAME}&tag=v1");
    server.request("GET", &path).expect(401).await;
    let denied = server.request("GET", "/api/v1/claims?observed=true").answer().await;
    assert!(denied.status == 401 || denied.json()["claims"] == serde_json::json!([]), "{denied:?}");
    server.request("GET", "/api/v1/history?repository=public/a&tag=v1").expect(404).await;
    server.stop().await;
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let (site, _) = with_history().await;
    let server = Server::start_observing(&site);
    for (query, words) in [
        ("", "repository is missing"),
        ("repository=a", "tag is missing"),
        ("repository=A&tag=v1", "repository: "),
        ("repository=a&tag=", "tag: "),
        ("repository=a&tag=v1&limit=0", "limit must be a number from 1 to 1000"),
        ("repository=a&tag=v1&limit=1001", "limit must be a number from 1 to 1000"),
        ("repository=a&tag=v1&cursor=1", "cursor must be the next value"),
        ("repository=a&tag=v1&since=1", "no parameter \"since\""),
        ("repository=a&repository=b&tag=v1", "repository"),
    ] {
        let refused = server.request("GET", &format!("/api/v1/history?{query}")).expect(400).await.json();
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{query}: {refused}");
    }
    server.request("GET", "/api/v1/claims?observed=maybe").expect(400).await;
    server.request("POST", &format!("/api/v1/history?repository={NAME}&tag=v1")).expect(405).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_observed_can_be_changed_while_the_server_runs() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.write("docket.toml", "[observe]\ntags = false\n");
    let server = Server::start_configured(&site, &shell.path("docket.toml"));
    server.repository(NAME).push_image("v1", 1).await;
    let repositories = "[[observe.repositories]]\nrepositories = [\"wabbit/**\"]\ntags = true\n";
    shell.write("docket.toml", format!("[observe]\ntags = false\n{repositories}"));
    assert_eq!(
        shell.docket("reload --data data").expect(0).out,
        "applied        observe.repositories\nneeds restart  nothing\n"
    );
    server.repository(NAME).push_image("v1", 2).await;
    server.repository("acme/other").push_image("v1", 2).await;
    let told = shell.docket(&format!("history {}/{NAME}:v1", server.address())).expect(0);
    assert!(told.out.contains("moved") && told.err.contains("gap: entry #1: the tag stood on sha256:"), "{told:?}");
    let metrics = server.watch("/metrics").expect(200).await;
    let metrics = String::from_utf8_lossy(&metrics.body);
    assert!(metrics.contains("docket_observed_total 1") && metrics.contains("docket_unobserved_total 0"), "{metrics}");
    shell.write("docket.toml", "[observe]\nper_day = 0\n");
    shell.docket("reload --data data").fails(1, &["per_day is 0"]);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 2);
}

/// What the service observed is nobody's claim, and listed with the claims only for who asks for it.
#[tokio::test]
async fn what_was_observed_of_an_artifact_is_listed_on_demand() {
    let (site, _) = with_history().await;
    let wabbit = site.admit("wabbit");
    let server = Server::start_observing(&site);
    let shell = Shell::new(site.folder());
    let image = server.repository(NAME).push_image("v2", 3).await;
    server.repository(NAME).claim(&wabbit.about(&sha256(&image), "text/plain", b"tested")).await.expecting(201);
    let list = |more: &str| shell.docket(&format!("claim list {}/{NAME}:v2 {more}", server.address())).expect(0);
    let claims = |more: &str| {
        let said = list(&format!("{more} --output json")).json();
        let claims = said["claims"].as_array().expect("claims").clone();
        claims.iter().map(|claim| (claim["index"].as_u64(), claim["issuer"].clone())).collect::<Vec<_>>()
    };
    let own = |index| (Some(index), SERVICE.into());
    let wabbits = (Some(6), wabbit.identity().into());
    assert_eq!(claims(""), std::slice::from_ref(&wabbits));
    // It was tagged v1 by entry 3, and v2 by entry 5.
    assert_eq!(claims("--observed"), [own(3), own(5), wabbits]);
    assert!(!list("").out.contains("observ"));
    let line = format!("observed  {OBSERVATION_TYPE}  by {SERVICE}  entry ");
    let said = list("--observed").says(&["#5  seen by the service itself", "by https://wabbit.example"]);
    assert_eq!(said.out.matches(&line).count(), 2, "{}", said.out);
    shell.docket(&format!("copy --claims docker://{}/{NAME}:v2 oci:copied", server.address())).expect(0);
    shell.docket("claim list oci:copied --observed").fails(64, &["asks the ledger of a Docket registry"]);
    server.stop().await;
    site.fsck_clean();
}

/// Whoever switches observation off makes a gap that everybody is told of, and that is no lie.
#[tokio::test]
async fn a_gap_that_the_operator_made_is_told_and_adds_up() {
    let (site, _) = with_history().await;
    let no_pushes = [("DOCKET_OBSERVE__TAGS", "false"), ("DOCKET_OBSERVE__DELETES", "true")];
    let server = Server::start_with(&site, &no_pushes);
    let repository = server.repository(NAME);
    let stands = async |code: i32| {
        let history = exported(&site, &server, "gap.json", code);
        assert_eq!(
            checked(&site, &history, true),
            (
                true,
                format!(
                    "{} events add up, in a ledger of {} entries\n",
                    history["events"].as_array().map_or(0, Vec::len),
                    history["tree_size"]
                )
            )
        );
    };
    repository.push_image("v1", 4).await;
    stands(0).await;
    repository.request("DELETE", "manifests/v1").expect(202).await;
    repository.push_image("v1", 5).await;
    stands(0).await;
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 1 + 3 + 2);
    let server = Server::start_observing(&site);
    server.repository(NAME).push_image("v1", 6).await;
    let history = exported(&site, &server, "whole.json", 0);
    assert!(checked(&site, &history, true).0);
    let told = Shell::new(site.folder()).docket(&format!("history {}/{NAME}:v1", server.address())).expect(0);
    told.says(&["observation suspended", "observation resumed", "gap: entry #7: the tag stood on sha256:"]);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 1 + 3 + 2 + 2);
    edit(&site, "UPDATE tag SET digest_id = (SELECT min(digest_id) FROM manifest)").await;
    let [problem] = &site.fsck().problems[..] else { panic!("one problem") };
    assert!(problem.starts_with(&format!("tag {NAME}:v1 stands on sha256:")), "{problem}");
}

/// Death at each step of a batch that holds an observed push: tag and entry are both there or neither is.
#[tokio::test]
async fn a_push_and_its_observation_survive_together_or_not_at_all() {
    for (point, entries) in [("before-commit", 1), ("after-commit", 2), ("after-guard", 2)] {
        let site = Site::new();
        let server = Server::start(&site);
        let manifest = server.repository(NAME).push_image("unobserved", 1).await;
        server.stop().await;
        let dying = [OBSERVED[0], OBSERVED[1], ("DOCKET_CRASH_AT", point)];
        let mut server = Server::start_with(&site, &dying);
        let put = server.repository(NAME).request("PUT", "manifests/v1").body(manifest.clone());
        let put = put.header("content-type", docket_oci::media::OCI_IMAGE_MANIFEST).try_answer().await;
        assert!(put.is_none(), "{point}: nobody is answered before the guard has moved");
        server.died().await;
        assert_eq!(site.fsck_clean().entries, entries, "{point}");
        let server = Server::start_observing(&site);
        let stands = server.repository(NAME).request("HEAD", "manifests/v1").answer().await.status;
        assert_eq!(stands, if entries == 2 { 200 } else { 404 }, "{point}");
        server.repository(NAME).push_manifest("v1", manifest).await;
        let history = Shell::new(site.folder()).docket(&format!("history {}/{NAME}:v1", server.address())).expect(0);
        assert_eq!(history.out.matches("receipt ok").count(), 1, "{point}: {}", history.out);
        server.stop().await;
        assert_eq!(site.fsck_clean().entries, 2, "{point}");
    }
}
