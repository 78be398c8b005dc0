//! Registration by a policy: set, refused, decided again, and the policies that are shipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_engine::{ClaimQuery, EngineError, KeyRole, PolicyView, Replay, Right, TRIED_MAX, TrialRequest};
use docket_judge::policy::{Module, Refusal};
use docket_oci::digest::Digest;
use docket_proof::statement::{Content, Draft, StatementError};
use docket_proof::subject::Subject;
use futures_util::future::join_all;

use crate::rows::Rows;
use crate::signer::{NOTE, SBOM, Signer, entry_id, note};
use crate::site::{HOME, START, Site, repository};

const BASE: &str = include_str!("../../../../policies/base.rego");
const ISSUER_TYPES: &str = include_str!("../../../../policies/issuer-types.rego");
const SUBJECT_OWNERS: &str = include_str!("../../../../policies/subject-owners.rego");
const REQUIRED_EVIDENCE: &str = include_str!("../../../../policies/required-evidence.rego");
const TIME_BOUNDS: &str = include_str!("../../../../policies/time-bounds.rego");

/// Nothing of a type twice about one artifact.
const FIRST_OF_TYPE: &str = "package docket.registration\n\nallow if count(reasons) == 0\n\n\
    reasons contains \"there is one\" if {\n\tsome claim in input.earlier\n\tclaim.type == input.claim.type\n}\n";

#[tokio::test]
async fn a_policy_decides_from_its_entry_on_and_every_entry_names_it() {
    let (site, wabbit) = Site::with_issuer().await;
    assert_eq!(site.policy(), PolicyView { entry: 0, modules: Vec::new() });
    site.log_only(&wabbit.remark("before")).await.expect("registered");
    let set = set(&site, &[BASE, TIME_BOUNDS]).await.expect("set");
    assert_eq!((set.entry, site.policy()), (3, set.clone()));
    site.log_only(&wabbit.remark("after")).await.expect("registered");
    // The same policy again is in force already.
    assert_eq!(self::set(&site, &[BASE, TIME_BOUNDS]).await.expect("set"), set);

    site.pass(86_401);
    let state = site.state().await;
    let refused = site.log_only(&wabbit.remark("too late")).await;
    assert!(matches!(refused, Err(EngineError::Refused(Refusal::NotAllowed { entry: 3, .. }))), "{refused:?}");
    let said = refused.expect_err("refused").to_string();
    assert!(said.contains("entry 3") && said.contains("was signed 86401 seconds ago"), "{said}");
    assert_eq!(site.state().await, state);

    let site = site.close().await.open().await;
    assert_eq!(site.policy(), set);
    assert!(site.log_only(&wabbit.remark("too late")).await.is_err());
    let allowed = self::set(&site, &["package docket.registration\nallow := true"]).await.expect("set");
    assert_eq!(allowed.entry, 5);
    site.log_only(&wabbit.remark("too late")).await.expect("registered");
    let by: Vec<_> = site.ask(ClaimQuery::default()).await.claims.iter().map(|it| it.decided_by.policy_entry).collect();
    assert_eq!(by, [0, 0, 0, 0, 3, 0, 5], "the service's own entries are decided by its genesis");
    let admin = site.permit_everywhere(Right::Admin);
    assert_eq!(site.policy_of(&admin, 3).await.expect("it set one"), set);
    assert_eq!(site.policy_of(&admin, 0).await.expect("the genesis").modules, Vec::new());
    for other in [1, 4, 7, u64::MAX] {
        assert!(matches!(site.policy_of(&admin, other).await, Err(EngineError::PolicyUnknown(_))), "{other}");
    }
    assert_eq!(replay(&site).await, Replay { entries: 7, decided: 3, differences: Vec::new() });
    site.end().await;
}

#[tokio::test]
async fn what_is_registered_gets_its_receipt_again_whatever_is_in_force() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, b"an image").await;
    let note = wabbit.note(&image, "registered early");
    let first = site.place(HOME, &note).await.expect("registered");
    set(&site, &["package docket.registration\nallow := false"]).await.expect("set");
    assert!(site.place(HOME, &wabbit.note(&image, "registered late")).await.is_err());
    let again = site.place(HOME, &note).await.expect("the same again");
    assert!(again.known);
    assert_eq!((again.index, again.receipt), (first.index, first.receipt));
    // A placement is a matter of access, not of policy.
    site.push_artifact("acme/mirror", b"an image").await;
    site.place("acme/mirror", &note).await.expect("placed once more");
    site.remove_issuer(&site.permit_everywhere(Right::Admin), "wabbit").await.expect("removed");
    assert!(site.log_only(&note).await.expect("the same again").known);
    let claims = site.ask(ClaimQuery { artifact: Some(image), ..ClaimQuery::default() }).await.claims;
    assert_eq!((claims.len(), claims[0].placements.len()), (1, 2));
    site.end().await;
}

#[tokio::test]
async fn texts_that_are_no_policy_change_nothing() {
    let site = Site::new().await;
    let state = site.state().await;
    let large = format!("package docket.registration\nallow := true\n{}", "# \u{e9}\n".repeat(20_000));
    let bad = ["", "package docket.registration", "package a\nallow := true", &large];
    for text in bad {
        let refused = set(&site, &[text]).await;
        assert!(matches!(refused, Err(EngineError::Rules(_))), "{refused:?}");
    }
    let clock = "package docket.registration\nallow if time.now_ns() > 0";
    assert!(set(&site, &[clock]).await.expect_err("refused").to_string().contains("time.now_ns"));
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_first_claims_at_once_one_is_the_first() {
    let (site, wabbit) = Site::with_issuer().await;
    set(&site, &[FIRST_OF_TYPE]).await.expect("set");
    for round in 0..8 {
        let image = site.push_artifact(HOME, format!("image {round}").as_bytes()).await;
        let notes: Vec<_> = (0..8).map(|n| wabbit.note(&image, &format!("{n} in round {round}"))).collect();
        let answers = join_all(notes.iter().map(|note| site.place(HOME, note))).await;
        let (first, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(first.len(), 1, "round {round}");
        for other in others {
            assert!(matches!(other, Err(EngineError::Refused(Refusal::NotAllowed { .. }))), "{other:?}");
        }
        let claims = site.ask(ClaimQuery { artifact: Some(image), ..ClaimQuery::default() }).await.claims;
        assert_eq!(claims.len(), 1);
    }
    assert_eq!(replay(&site).await.differences, [""; 0]);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_registered_behind_a_policy_that_forbids_it() {
    let (site, wabbit) = Site::with_issuer().await;
    for round in 0..8 {
        let register = async |n: usize| site.log_only(&wabbit.remark(&format!("{n} in round {round}"))).await;
        let forbid = async || set(&site, &[&format!("package docket.registration\nallow := false # {round}")]).await;
        let (answers, forbidden) = tokio::join!(join_all((0..16).map(register)), forbid());
        let forbidden = forbidden.expect("set").entry;
        for answer in answers {
            match answer {
                Ok(registered) => assert!(registered.index < forbidden, "registered behind the policy"),
                Err(EngineError::Refused(Refusal::NotAllowed { entry, .. })) => assert_eq!(entry, forbidden),
                Err(other) => panic!("{other}"),
            }
        }
        set(&site, &[&format!("package docket.registration\nallow := true # {round}")]).await.expect("set");
    }
    assert_eq!(replay(&site).await.differences, [""; 0]);
    site.end().await;
}

#[tokio::test]
async fn a_replay_finds_what_was_decided_otherwise() {
    let (site, wabbit) = Site::with_issuer().await;
    set(&site, &[BASE, TIME_BOUNDS, FIRST_OF_TYPE_ONLY]).await.expect("set");
    let image = site.push_artifact(HOME, b"an image").await;
    site.place(HOME, &wabbit.note(&image, "a note")).await.expect("registered");
    let image = site.push_artifact(HOME, b"another").await;
    site.place(HOME, &wabbit.note(&image, "a note")).await.expect("registered");
    assert_eq!(replay(&site).await, Replay { entries: 5, decided: 2, differences: Vec::new() });
    let closed = site.close().await;
    let folder = crate::site::FolderImage::of(&closed.path());
    for (edit, expected) in [
        ("UPDATE entry SET decided_at = decided_at + 90000 WHERE idx = 3", "entry 3: it was registered, but"),
        ("UPDATE entry SET decided_at = decided_at - 90000 WHERE idx = 4", "seconds from now"),
        ("UPDATE entry SET policy_entry = 0 WHERE idx = 3", "entry 3: it is decided by entries 1 and 2"),
        ("UPDATE entry SET issuer_entry = 0 WHERE idx = 4", "but its row says 0 and 2"),
        ("UPDATE entry SET subject_id = (SELECT subject_id FROM entry WHERE idx = 4) WHERE idx = 3", "there is one"),
    ] {
        let copy = folder.unpack();
        Rows::open(&copy.path()).await.edit(edit).await;
        let site = copy.open().await;
        let differences = replay(&site).await.differences;
        assert_eq!(differences.len(), 1, "{edit}: {differences:?}");
        assert!(differences[0].contains(expected), "{edit}: {differences:?}");
        site.close().await;
    }
}

/// The reasons of [`FIRST_OF_TYPE`] alone.
const FIRST_OF_TYPE_ONLY: &str = "package docket.registration\n\nreasons contains \"there is one\" if {\n\
    \tsome claim in input.earlier\n\tclaim.type == input.claim.type\n}\n";

#[tokio::test]
async fn shipped_issuer_types_lets_issuers_make_their_claims_and_no_others() {
    let site = Site::new().await;
    let (wabbit, tests, mallory) = (Signer::new("wabbit"), Signer::new("tests.wabbit"), Signer::new("mallory"));
    for signer in [&wabbit, &tests, &mallory] {
        site.admit(signer).await.expect("admitted");
    }
    set(&site, &[BASE, ISSUER_TYPES]).await.expect("set");
    let (image, document) = (digest(b"image"), digest(b"document"));
    site.log_only(&wabbit.sbom(&image, &document)).await.expect("an SBOM by Wabbit");
    site.log_only(&claim(&tests, &image, TESTED)).await.expect("a test by the testers");
    assert_refused(&site, &claim(&wabbit, &image, TESTED), "https://wabbit.example may not make claims of type").await;
    assert_refused(&site, &tests.sbom(&image, &document), "https://tests.wabbit.example may not").await;
    assert_refused(&site, &mallory.sbom(&image, &document), "https://mallory.example may not").await;
    site.end().await;
}

#[tokio::test]
async fn shipped_subject_owners_lets_nobody_speak_of_anothers_artifact() {
    let site = Site::new().await;
    let (wabbit, tests, acme) = (Signer::new("wabbit"), Signer::new("tests.wabbit"), Signer::new("acme"));
    for signer in [&wabbit, &tests, &acme] {
        site.admit(signer).await.expect("admitted");
    }
    set(&site, &[BASE, SUBJECT_OWNERS]).await.expect("set");
    let (image, rocket) = (digest(b"image"), digest(b"rocket"));
    let said = |signer: &Signer, name: &str, digest: &Digest, text: &str| {
        let content = note(text);
        signer.sign(Subject::artifact(&repository(name), digest), content)
    };
    let ok = async |statement: Vec<u8>| site.log_only(&statement).await.expect("registered");
    ok(said(&wabbit, "net-monitor", &image, "ours")).await;
    ok(said(&tests, "net-monitor", &image, "tested by those who share the name")).await;
    ok(said(&wabbit, "wabbit-tools", &digest(b"tools"), "by a pattern")).await;
    ok(said(&acme, "rocket", &rocket, "ours")).await;
    ok(wabbit.remark("about our stream")).await;
    assert_refused(&site, &said(&acme, "net-monitor", &image, "another's name"), "may not speak of pkg:oci/net-mon")
        .await;
    assert_refused(&site, &said(&acme, "rocket", &image, "another's artifact"), "first claimed by https://wabbit")
        .await;
    assert_refused(&site, &said(&wabbit, "net-monitor", &rocket, "the other way"), "first claimed by https://acme")
        .await;
    assert_refused(&site, &said(&wabbit, "net-monitor-2", &rocket, "a longer name"), "may not speak of").await;
    assert_refused(&site, &acme.remark("about another's stream"), "may not speak of pkg:oci/net-monitor").await;
    site.end().await;
}

#[tokio::test]
async fn shipped_required_evidence_wants_it_first_and_from_the_right_issuer() {
    let site = Site::new().await;
    let (wabbit, tests, acme) = (Signer::new("wabbit"), Signer::new("tests.wabbit"), Signer::new("acme"));
    for signer in [&wabbit, &tests, &acme] {
        site.admit(signer).await.expect("admitted");
    }
    set(&site, &[BASE, REQUIRED_EVIDENCE]).await.expect("set");
    let (image, other, document) = (digest(b"image"), digest(b"other"), digest(b"document"));
    let approved = claim(&acme, &image, APPROVED);
    assert_refused(&site, &approved, SBOM).await;
    for statement in [
        wabbit.sbom(&image, &document),
        // By the wrong issuer, and about something else.
        claim(&wabbit, &image, TESTED),
        claim(&tests, &other, TESTED),
    ] {
        site.log_only(&statement).await.expect("registered");
    }
    assert_refused(&site, &approved, TESTED).await;
    site.log_only(&claim(&tests, &image, TESTED)).await.expect("registered");
    site.log_only(&approved).await.expect("all that it needs is there");
    assert_eq!(replay(&site).await.differences, [""; 0]);
    site.end().await;
}

#[tokio::test]
async fn shipped_time_bounds_refuses_the_old_the_future_and_the_timeless() {
    let (site, wabbit) = Site::with_issuer().await;
    set(&site, &[BASE, TIME_BOUNDS]).await.expect("set");
    let at = |issued_at: Option<i64>| {
        let content = note(&format!("{issued_at:?}"));
        let subject = Subject::stream(&repository("wabbit/net-monitor"));
        let draft = Draft { issuer: wabbit.issuer.clone(), subject, issued_at, content, typ: None };
        draft.sign(&wabbit.key).expect("a good draft")
    };
    for within in [START, START - 86_400, START + 300] {
        site.log_only(&at(Some(within))).await.expect("registered");
    }
    assert_refused(&site, &at(Some(START - 86_401)), "was signed 86401 seconds ago").await;
    assert_refused(&site, &at(Some(START + 301)), "301 seconds from now").await;
    assert_refused(&site, &at(None), "does not say when").await;
    site.end().await;
}

#[tokio::test]
async fn a_policy_sees_the_payload_and_the_headers() {
    let (site, wabbit) = Site::with_issuer().await;
    let rules = "package docket.registration\n\nallow if input.payload.predicate.passed == true\n\n\
        allow if {\n\tinput.headers.payload_hash_alg == -16\n\tinput.headers.preimage_content_type == input.claim.type\n\
        \tinput.headers.cwt.iss == input.issuer.id\n\tinput.claim.document != null\n\tinput.issuer.name == \"wabbit\"\n}\n";
    set(&site, &[rules]).await.expect("set");
    let image = digest(b"image");
    site.log_only(&wabbit.sbom(&image, &digest(b"document"))).await.expect("by its headers");
    let predicate = |passed: bool| in_toto(&wabbit, &image, &image, TESTED, &format!("{{\"passed\":{passed}}}"));
    site.log_only(&predicate(true)).await.expect("by its payload");
    assert_refused(&site, &predicate(false), "gives no reason").await;
    let claims = site.ask(ClaimQuery { claim_type: Some(TESTED.to_owned()), ..ClaimQuery::default() }).await.claims;
    assert_eq!(claims[0].payload.as_ref().expect("it is small")["predicate"]["passed"], true);
    site.end().await;
}

#[tokio::test]
async fn a_payload_that_readers_disagree_about_is_not_judged() {
    let (site, wabbit) = Site::with_issuer().await;
    let failed = "\nreasons contains \"it failed\" if input.payload.predicate.passed == false\n";
    set(&site, &[BASE, &format!("package docket.registration\n{failed}")]).await.expect("set");
    let image = digest(b"image");
    for predicate in [
        r#"{"passed":false,"x":1e999}"#,
        r#"{"passed":false,"x":"\ud800"}"#,
        r#"{"passed":false,"passed":true}"#,
        &format!(r#"{{"passed":false,"x":{}{}}}"#, "[".repeat(200), "]".repeat(200)),
    ] {
        let refused = site.log_only(&in_toto(&wabbit, &image, &image, TESTED, predicate)).await.expect_err("refused");
        assert!(matches!(refused, EngineError::Refused(Refusal::NotDecided { .. })), "{refused}");
        assert!(refused.to_string().contains("readers would disagree"), "{refused}");
    }
    // Media types know no case.
    let bytes = br#"{"predicate":{"passed":false}}"#.to_vec();
    let content = Content::Payload { media_type: "Application/JSON".to_owned(), bytes };
    let statement = wabbit.sign(Subject::stream(&repository("wabbit/net-monitor")), content);
    assert_refused(&site, &statement, "it failed").await;
    site.log_only(&in_toto(&wabbit, &image, &image, TESTED, r#"{"passed":true}"#)).await.expect("allowed");
    site.end().await;
}

#[tokio::test]
async fn an_in_toto_statement_about_something_else_is_refused() {
    let (site, wabbit) = Site::with_issuer().await;
    let (image, other) = (site.push_artifact(HOME, b"an image").await, digest(b"other"));
    let state = site.state().await;
    let contradiction = in_toto(&wabbit, &image, &other, TESTED, "{}");
    for refused in [site.log_only(&contradiction).await, site.place(HOME, &contradiction).await] {
        let expected = StatementError::InTotoSubject { digest: image };
        assert!(matches!(refused, Err(EngineError::Statement(found)) if found == expected));
    }
    assert_eq!(site.state().await, state);
    site.place(HOME, &in_toto(&wabbit, &image, &image, TESTED, "{}")).await.expect("placed");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_claims_at_once_about_one_artifact_are_all_decided() {
    let (site, wabbit) = Site::with_issuer().await;
    set(&site, &["package docket.registration\nallow if count(input.earlier) < 64"]).await.expect("set");
    let image = site.push_artifact(HOME, b"an image").await;
    let notes: Vec<_> = (0..65).map(|n| wabbit.note(&image, &format!("note {n}"))).collect();
    let answers = join_all(notes.iter().map(|note| site.place(HOME, note))).await;
    let (placed, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(placed.len(), 64);
    assert!(matches!(others[..], [Err(EngineError::Refused(Refusal::NotAllowed { .. }))]), "{others:?}");
    assert_eq!(replay(&site).await, Replay { entries: 67, decided: 64, differences: Vec::new() });
    site.end().await;
}

#[tokio::test]
async fn what_the_service_observed_is_no_earlier_claim() {
    let (site, wabbit) = Site::with_issuer().await;
    set(&site, &["package docket.registration\nallow if count(input.earlier) == 0"]).await.expect("set");
    let image = site.push_artifact(HOME, b"an image").await;
    for tag in ["v1", "v2", "v3"] {
        assert_eq!(site.tag(HOME, tag, b"an image").await.expect("tagged"), image);
    }
    assert_eq!(site.tree_size(), 6, "three observations");
    let first = wabbit.note(&image, "first");
    site.place(HOME, &first).await.expect("nobody has said anything");
    site.tag(HOME, "v4", b"an image").await.expect("tagged");
    assert!(site.place(HOME, &wabbit.note(&image, "second")).await.is_err());
    assert!(site.place(HOME, &first).await.expect("the same again").known);
    assert_eq!(replay(&site).await, Replay { entries: 8, decided: 1, differences: Vec::new() });
    site.end().await;
}

#[tokio::test]
async fn what_is_no_artifact_has_earlier_claims_too() {
    let (site, wabbit) = Site::with_issuer().await;
    set(&site, &[FIRST_OF_TYPE]).await.expect("set");
    let about = |subject: &str, text: &str| {
        let content = note(text);
        wabbit.sign(Subject::parse(subject).expect("a subject"), content)
    };
    // A stream is the same whatever qualifies it; a name that is no package URL is its text.
    for (subject, same, other) in [
        ("pkg:oci/net-monitor", "pkg:oci/net-monitor?arch=arm64", "pkg:oci/net-monitor-2"),
        ("https://wabbit.example/a", "https://wabbit.example/a", "https://wabbit.example/a?b"),
    ] {
        site.log_only(&about(subject, "first")).await.expect("registered");
        assert_refused(&site, &about(same, "second"), "there is one").await;
        site.log_only(&about(other, "elsewhere")).await.expect("registered");
    }
    // An artifact is never taken for a name that has its hash.
    let hash = Digest::of(docket_oci::digest::Algorithm::Sha256, b"pkg:oci/net-monitor");
    site.log_only(&wabbit.note(&hash, "about an artifact")).await.expect("registered");
    assert_eq!(replay(&site).await, Replay { entries: 8, decided: 5, differences: Vec::new() });
    site.end().await;
}

#[tokio::test]
async fn a_replay_follows_the_keys_of_the_service() {
    let (site, wabbit) = Site::with_issuer().await;
    let admin = site.permit_everywhere(Right::Admin);
    set(&site, &["package docket.registration\nallow := true"]).await.expect("set");
    for role in [KeyRole::Statement, KeyRole::Receipt, KeyRole::Statement] {
        site.rotate_key(&admin, role, false).await.expect("rotated");
        site.log_only(&wabbit.remark(&format!("{role} {}", site.tree_size()))).await.expect("registered");
        set(&site, &[&format!("package docket.registration\nallow := true # {}", site.tree_size())])
            .await
            .expect("set");
    }
    assert_eq!(replay(&site).await, Replay { entries: 12, decided: 3, differences: Vec::new() });
    let site = site.close().await.open().await;
    assert_eq!((site.policy().entry, replay(&site).await.decided), (11, 3));
    site.end().await;
}

#[tokio::test]
async fn a_trial_decides_as_a_registration_would_and_registers_nothing() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = digest(b"image");
    let (logged, second) = (wabbit.note(&image, "logged"), wabbit.note(&image, "second"));
    let elsewhere = [wabbit.note(&digest(b"other"), "first"), wabbit.note(&digest(b"other"), "second")];
    site.log_only(&logged).await.expect("registered");
    let admin = site.permit_everywhere(Right::Admin);
    let all = [&second, &logged, &elsewhere[0], &elsewhere[1]].map(|bytes| STANDARD.encode(bytes)).to_vec();
    let module = |text: &str| Module { name: "m".to_owned(), text: text.to_owned() };
    let request = |modules: Vec<Module>, now| TrialRequest { modules, statements: all.clone(), now };
    let state = site.state().await;
    let tried = site.try_policy(&admin, &request(vec![module(FIRST_OF_TYPE)], None)).await.expect("tried");
    assert_eq!(tried.iter().map(|tried| tried.allowed).collect::<Vec<_>>(), [false, true, true, false]);
    assert_eq!(tried.iter().map(|tried| tried.index).collect::<Vec<_>>(), [None, Some(2), None, None]);
    assert!(tried[0].reason.as_ref().expect("a reason").contains("there is one"));
    // What stands in the ledger was decided at its own time; another one is taken where it is given.
    site.pass(100_000);
    let bounds = || {
        vec![module(&TIME_BOUNDS.replace("docket.registration", "docket.registration\nallow if count(reasons) == 0"))]
    };
    let allowed = async |now| {
        let tried = site.try_policy(&admin, &request(bounds(), now)).await.expect("tried");
        tried.into_iter().map(|tried| tried.allowed).collect::<Vec<_>>()
    };
    assert_eq!(allowed(None).await, [false, true, false, false]);
    assert_eq!(allowed(Some(START)).await, [true; 4]);
    assert_eq!(allowed(Some(START + 100_000)).await, [false; 4]);
    // Without texts, what is in force; and what is no request says so.
    assert!(
        site.try_policy(&admin, &request(Vec::new(), None)).await.expect("tried").iter().all(|tried| tried.allowed)
    );
    let bad = |statements: Vec<String>| TrialRequest { modules: Vec::new(), statements, now: None };
    assert!(matches!(site.try_policy(&admin, &bad(vec!["-".to_owned()])).await, Err(EngineError::TriedForm)));
    assert!(matches!(site.try_policy(&admin, &bad(vec![String::new()])).await, Err(EngineError::Statement(_))));
    let many = bad(vec![String::new(); TRIED_MAX + 1]);
    assert!(matches!(site.try_policy(&admin, &many).await, Err(EngineError::TooManyTried)));
    assert_eq!(site.state().await, state);
    set(&site, &[FIRST_OF_TYPE]).await.expect("set");
    assert_eq!(site.try_policy(&admin, &request(Vec::new(), None)).await.expect("tried"), tried);
    site.end().await;
}

async fn set(site: &Site, texts: &[&str]) -> Result<PolicyView, EngineError> {
    let module = |(n, text): (usize, &&str)| Module { name: format!("m{n}.rego"), text: (*text).to_owned() };
    let modules = texts.iter().enumerate().map(module).collect();
    site.set_policy(&site.permit_everywhere(Right::Admin), modules).await
}

async fn replay(site: &Site) -> Replay {
    site.replay_policy(&site.permit_everywhere(Right::Admin)).await.expect("replayed")
}

async fn assert_refused(site: &Site, statement: &[u8], reason: &str) {
    let size = site.tree_size();
    let refused = site.log_only(statement).await;
    assert!(matches!(refused, Err(EngineError::Refused(Refusal::NotAllowed { .. }))), "{refused:?}");
    let said = refused.expect_err("refused").to_string();
    assert!(said.contains(reason), "{said:?} says nothing of {reason:?}");
    assert_eq!(site.tree_size(), size);
    let state = site.receipt(&site.permit_everywhere(Right::Pull), &entry_id(statement)).await.expect("answered");
    assert!(matches!(state, docket_engine::EntryState::Absent), "{state:?}");
}

/// A claim without a document.
fn claim(signer: &Signer, artifact: &Digest, predicate_type: &str) -> Vec<u8> {
    in_toto(signer, artifact, artifact, predicate_type, "{}")
}

/// An in-toto statement about `named`, about `signed`.
pub(crate) fn in_toto(
    signer: &Signer,
    signed: &Digest,
    named: &Digest,
    predicate_type: &str,
    predicate: &str,
) -> Vec<u8> {
    let bytes = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}}}}],"predicateType":"{predicate_type}","predicate":{predicate}}}"#,
        named.hex()
    );
    let content = Content::Payload { media_type: NOTE.to_owned(), bytes: bytes.into_bytes() };
    signer.sign(Subject::artifact(&repository("wabbit/net-monitor"), signed), content)
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::of(docket_oci::digest::Algorithm::Sha256, bytes)
}

const TESTED: &str = "https://wabbit.example/claims/tested/v1";
const APPROVED: &str = "https://acme.example/claims/approved/v1";
