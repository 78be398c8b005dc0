//! `docket policy`, and claims without a document that it looks into.

use super::{Desk, Server, Shell, Site};
use crate::harness::sha256;

const TIME_BOUNDS: &str = include_str!("../../../../../policies/time-bounds.rego");
const BASE: &str = include_str!("../../../../../policies/base.rego");
const TESTED: &str = "https://wabbit.example/claims/tested/v1";

/// Wants a predicate that says so.
const PASSED: &str = "package docket.registration\n\ndefault allow := false\n\nallow if input.payload.predicate.passed\n\n\
    reasons contains \"the test has not passed\" if not input.payload.predicate.passed\n";

#[tokio::test]
async fn policies_are_set_shown_and_replayed_the_same_on_the_folder_and_through_the_socket() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.write("base.rego", BASE);
    shell.write("time-bounds.rego", TIME_BOUNDS);
    shell.write("all.rego", "package docket.registration\nallow := true");
    let built_in = "every statement of an admitted issuer is registered";
    shell.docket("policy show --data data").expect(0).says(&["entry #0", built_in]);
    let folder = shell.docket("policy set base.rego time-bounds.rego --data data").expect(0);
    assert_eq!(folder.out, "in force  base.rego, time-bounds.rego  entry #1\n");
    let shown = shell.docket("policy show --data data --output json").expect(0);
    let server = Server::start(&site);
    assert_eq!(shell.docket("policy show --data data --output json").expect(0).out, shown.out);
    assert_eq!(shown.json()["modules"][1]["text"], TIME_BOUNDS);
    let socket = shell.docket("policy set all.rego --data data").expect(0);
    assert_eq!(socket.out, "in force  all.rego  entry #2\n");
    assert_eq!(shell.docket("policy set all.rego --data data").expect(0).out, socket.out, "nothing to change");
    shell.docket("policy show --entry 1 --data data").expect(0).says(&["entry #1", "seconds_old_max := 86400"]);
    shell.docket("policy show --entry 7 --data data").fails(1, &["entry 7 sets no policy"]);
    let served = shell.docket("policy replay --data data").expect(0);
    server.stop().await;
    assert_eq!(shell.docket("policy replay --data data").expect(0).out, served.out);
    assert_eq!(served.out, "decided again  0 of 3 entries\n");
    shell.docket("policy show --entry 7 --data data").fails(1, &["entry 7 sets no policy"]);
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn what_is_no_policy_is_refused_before_anything_is_changed() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.write("clock.rego", "package docket.registration\nallow if time.now_ns() > 0");
    shell.write("other.rego", "package other\nallow := true");
    shell.write("broken.rego", "package docket.registration\nallow if {");
    shell.write("silent.rego", "package docket.registration\nrefuse := true");
    shell.write("large.rego", "x".repeat(100_000));
    for is_served in [false, true] {
        let _server = is_served.then(|| Server::start(&site));
        for (file, words) in [
            ("clock.rego", "time.now_ns"),
            ("other.rego", "docket.registration"),
            ("broken.rego", "module broken.rego is not understood"),
            ("silent.rego", "no module has a rule `allow`"),
            ("large.rego", "at most 61440 bytes"),
            ("absent.rego", "cannot read absent.rego"),
        ] {
            shell.docket(&format!("policy set {file} --data data")).fails(1, &[words]);
        }
    }
    assert_eq!(site.fsck_clean().entries, 1);
}

#[test]
fn a_policy_is_tested_on_recorded_statements_without_a_ledger() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let (wabbit, stranger) = (site.admit("wabbit"), crate::harness::Issuer::new("stranger"));
    let image = sha256(b"an image");
    shell.write("a.scitt", wabbit.about(&image, "text/plain", b"first"));
    shell.write("b.scitt", wabbit.about(&image, "text/plain", b"second"));
    shell.write("c.scitt", stranger.about(&image, "text/plain", b"third"));
    shell.write("base.rego", BASE);
    shell.write("time-bounds.rego", TIME_BOUNDS);
    let first = "package docket.registration\nreasons contains \"not the first\" if count(input.earlier) > 0";
    shell.write("first.rego", first);
    let issuers = shell.docket("issuer list --data data --output json").expect(0).out;
    shell.write("issuers.json", issuers);
    for admitted in ["--data data", "--issuers issuers.json"] {
        let test = |line: &str| shell.docket(&format!("policy test {line} {admitted}"));
        let allowed = test("base.rego time-bounds.rego a.scitt b.scitt --now 1700000000").expect(0);
        assert_eq!(allowed.out, "allowed  a.scitt\nallowed  b.scitt\n");
        test("base.rego time-bounds.rego a.scitt --now 1800000000")
            .expect(1)
            .says(&["refused  a.scitt", "seconds ago"]);
        let said = test("base.rego first.rego a.scitt b.scitt").expect(1);
        said.says(&["allowed  a.scitt", "refused  b.scitt", "not the first"]);
        test("base.rego c.scitt").expect(1).says(&["issuer https://stranger.example", "is not admitted"]);
        let json = test("base.rego c.scitt a.scitt --output json").expect(1).json();
        assert_eq!((&json[0]["allowed"], &json[1]["allowed"]), (&false.into(), &true.into()));
        test("base.rego").fails(64, &["the statements to decide about"]);
        test("base.rego issuers.json").fails(1, &["issuers.json is no statement"]);
    }
    shell.docket("policy test base.rego a.scitt").expect(64);
    shell.docket("policy test a.scitt --issuers issuers.json").fails(64, &["modules of a policy"]);
    assert_eq!(site.fsck_clean().entries, 2);
}

#[tokio::test]
async fn a_policy_is_tested_with_what_the_ledger_holds() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let wabbit = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = sha256(&repository.push_image("v1", 1).await);
    let logged = wabbit.about(&image, "text/plain", b"logged");
    shell.write("logged.scitt", &logged);
    shell.write("new.scitt", wabbit.about(&image, "text/plain", b"new"));
    shell.write("base.rego", BASE);
    let first = "package docket.registration\nreasons contains \"not the first\" if count(input.earlier) > 0";
    shell.write("first.rego", first);
    shell.docket("policy test base.rego first.rego new.scitt --data data").expect(0);
    let index = repository.claim(&logged).await.expecting(201).receipt(&logged, &site.receipt_key()).index();
    let test = |line: &str| shell.docket(&format!("policy test {line} --data data"));
    let said = test("base.rego first.rego new.scitt logged.scitt").expect(1);
    let out = said.out.clone();
    said.says(&["refused  new.scitt", "not the first", &format!("allowed  logged.scitt  (as at its entry #{index})")]);
    // Nothing was set, so what is in force allows both.
    test("new.scitt logged.scitt").expect(0);
    shell.docket("policy set base.rego first.rego --data data").expect(0);
    test("new.scitt logged.scitt").expect(1);
    server.stop().await;
    assert_eq!(test("base.rego first.rego new.scitt logged.scitt").expect(1).out, out);
    site.fsck_clean();
}

#[tokio::test]
async fn a_claim_without_a_document_is_decided_by_what_it_says_and_seen_everywhere() {
    let desk = Desk::new().await;
    desk.shell.write("passed.rego", PASSED);
    desk.docket("policy set passed.rego --data data").expect(0);
    desk.shell.write("good.json", r#"{"passed":true,"suite":"smoke"}"#);
    desk.shell.write("bad.json", r#"{"passed":false}"#);
    let add = |file: &str| {
        desk.docket(&format!("claim add @/wabbit/net-monitor:v1 --type {TESTED} --predicate {file} --key wabbit.key"))
    };
    let state = desk.state();
    add("bad.json").fails(1, &["Rejected", "the registration policy (entry 2)", "the test has not passed"]);
    assert_eq!(desk.state(), state);
    add("good.json").expect(0).says(&[TESTED, "by https://wabbit.example", "#3 of 4"]);

    let listed = desk.docket("claim list @/wabbit/net-monitor:v1 --output json").expect(0).json();
    let claim = &listed["claims"][0];
    assert_eq!((&claim["type"], &claim["evidence"]), (&TESTED.into(), &serde_json::Value::Null));
    assert_eq!(claim["payload"]["predicate"]["suite"], "smoke");
    assert_eq!(claim["payload"]["subject"][0]["digest"]["sha256"], digest_of(&listed));
    desk.docket("claim list @/wabbit/net-monitor:v1").expect(0).says(&[TESTED]);
    desk.docket("show @/wabbit/net-monitor:v1").expect(0).says(&[TESTED, "receipt  https://registry.wabbit.example"]);
    let fingerprint = desk.site.receipt_key().thumbprint();
    let pinned = desk.docket(&format!("trust pin http://@ --fingerprint {fingerprint}")).expect(0);
    desk.shell.write("trust.toml", pinned.out);
    desk.docket("verify @/wabbit/net-monitor:v1 --trust trust.toml").expect(0).says(&["allowed", TESTED, "receipt ok"]);
    desk.docket("copy --claims docker://@/wabbit/net-monitor:v1 oci:copied:v1").expect(0);
    desk.docket("verify oci:copied:v1 --trust trust.toml").expect(0).says(&["allowed", TESTED]);
    let copied = desk.docket("claim list oci:copied:v1 --output json").expect(0).json();
    assert_eq!(copied["claims"][0]["payload"], claim["payload"]);
    desk.docket("policy replay --data data").expect(0).says(&["decided again  1 of 4 entries"]);
    desk.server.stop().await;
    desk.site.fsck_clean();
}

#[tokio::test]
async fn what_is_no_claim_without_a_document_is_refused_before_it_is_sent() {
    let desk = Desk::new().await;
    let state = desk.state();
    desk.shell.write("good.json", "{}");
    desk.shell.write("list.json", "[]");
    desk.shell.write("text.json", "passed");
    desk.shell.write("large.json", format!("{{\"a\":\"{}\"}}", "a".repeat(70_000)));
    desk.shell.write("nearly.json", format!("{{\"a\":\"{}\"}}", "a".repeat(65_400)));
    let add = |rest: &str| desk.docket(&format!("claim add @/wabbit/net-monitor:v1 --key wabbit.key {rest}"));
    add("--predicate good.json").expect(64);
    add("").expect(64);
    add(&format!("--type {TESTED} --predicate good.json --evidence sbom.cdx.json")).expect(64);
    add("--type tested --predicate good.json").fails(64, &["\"tested\" is no type of a predicate", "URI"]);
    add(&format!("--type {TESTED} --predicate list.json")).fails(64, &["must be a JSON object"]);
    add(&format!("--type {TESTED} --predicate text.json")).fails(1, &["text.json is no JSON"]);
    add(&format!("--type {TESTED} --predicate absent.json")).fails(1, &["cannot read the predicate absent.json"]);
    add(&format!("--type {TESTED} --predicate large.json")).fails(64, &["more than 65535 bytes", "--evidence"]);
    add(&format!("--type {TESTED} --predicate nearly.json")).fails(1, &["limit is 65535", "hash envelope"]);
    assert_eq!(desk.state(), state);
    desk.server.stop().await;
    desk.site.fsck_clean();
}

#[tokio::test]
async fn a_refusal_by_policy_is_said_in_the_words_of_both_apis() {
    let site = Site::new();
    let wabbit = site.admit("wabbit");
    let shell = Shell::new(site.folder());
    shell.write("no.rego", "package docket.registration\nallow := false\nreasons contains \"not today\"");
    shell.docket("policy set no.rego --data data").expect(0);
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = sha256(&repository.push_image("v1", 1).await);
    let statement = wabbit.about(&image, "text/plain", b"refused");
    for answer in [server.register(&statement).await, repository.claim(&statement).await] {
        let answer = answer.expecting(400);
        let (title, detail) = docket_proof::cbor::parse_problem_details(&answer.body).expect("problem details");
        assert_eq!(title, "Rejected");
        assert!(detail.contains("entry 2") && detail.contains("not today"), "{detail}");
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

/// The digest that a list of claims is about.
fn digest_of(listed: &serde_json::Value) -> &str {
    listed["artifact"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest")
}
