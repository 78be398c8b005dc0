//! The verdicts that people and programs tell apart: allowed, and three kinds of refusal.

use crate::harness::sha256;

use super::{REPOSITORY, SBOM, Scene, pin};

#[tokio::test]
async fn unsigned_and_not_trusted_and_could_not_check_are_three_different_refusals() {
    let scene = Scene::new().await;
    scene.server.repository(REPOSITORY).push_image("bare", 7).await;
    let address = scene.server.address();
    let verify = |tag: &str, trust: &str| {
        scene.shell.docket(&format!("verify {address}/{REPOSITORY}:{tag} --trust {trust} --output json"))
    };
    let allowed = verify("v1", "trust.toml").expect(0).json();
    assert_eq!((&allowed["verdict"], &allowed["claims"][0]["problem"]), (&"allow".into(), &().into()));

    let unsigned = verify("bare", "trust.toml").expect(1).json();
    assert_eq!((&unsigned["verdict"], &unsigned["reason"]), (&"deny".into(), &"unsigned".into()));

    // Somebody else's service is believed, and this one is not.
    let trust = std::fs::read_to_string(scene.shell.path("trust.toml")).expect("it was pinned");
    scene.shell.write("elsewhere.toml", trust.replace("registry.wabbit.example", "registry.acme.example"));
    let not_trusted = verify("v1", "elsewhere.toml").expect(1).json();
    assert_eq!(not_trusted["reason"], "not-trusted");
    let message = not_trusted["message"].as_str().expect("a sentence");
    assert!(message.contains("no receipt of a trusted service"), "{message}");

    // A statement that was lost might have been believed.
    std::fs::remove_file(scene.layout.file(&sha256(&scene.claim.statement))).expect("it was copied");
    let could_not = scene.shell.docket("verify oci:copied --trust trust.toml --output json").expect(2).json();
    assert_eq!(could_not["reason"], "could-not-check");
    scene
        .verify("copied", "trust.toml")
        .expect(2)
        .says(&["could not check: ", "the statement itself could not be read"]);
}

#[tokio::test]
async fn an_archive_is_verified_with_no_server_and_gives_the_same_answer() {
    let scene = Scene::new().await;
    let there = scene.verify_there().expect(0);
    let from = format!("docker://{}/{REPOSITORY}:v1", scene.server.address());
    scene.shell.docket(&format!("copy --claims {from} oci-archive:net-monitor.tar")).expect(0);
    scene.server.stop().await;
    let here = scene.shell.docket("verify oci-archive:net-monitor.tar --trust trust.toml").expect(0);
    let claims = |out: &str| out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(claims(&here.out), claims(&there.out));
    assert_eq!(here.err, "");
}

#[tokio::test]
async fn an_archive_that_was_cut_or_bent_is_not_allowed() {
    let scene = Scene::new().await;
    scene.shell.docket("copy --claims oci:copied oci-archive:whole.tar").expect(0);
    scene.shell.docket("verify oci-archive:whole.tar --trust trust.toml").expect(0);
    let whole = std::fs::read(scene.shell.path("whole.tar")).expect("it was written");
    for length in [0, 1, 511, 512, 1024, whole.len() / 2, whole.len() - 2048] {
        scene.shell.write("cut.tar", &whole[..length]);
        scene.shell.docket("verify oci-archive:cut.tar --trust trust.toml").fails(2, &["could not judge", "cut.tar"]);
    }
    let at = whole.windows(SBOM.len()).position(|window| window == SBOM).expect("the document is in the archive");
    let mut bent = whole;
    bent[at] ^= 1;
    scene.shell.write("bent.tar", bent);
    let said = scene.shell.docket("verify oci-archive:bent.tar --trust trust.toml").expect(1);
    said.says(&["the document (evidence) was changed"]);
}

#[tokio::test]
async fn purged_evidence_leaves_its_claim_and_is_said_to_be_absent() {
    let scene = Scene::new().await;
    let repository = scene.server.repository(REPOSITORY);
    let path = format!("blobs/{}", sha256(SBOM));
    assert_eq!(repository.request("DELETE", &path).send().await.expect("an answer").status(), 202);
    let said = scene.verify_there().expect(0);
    said.says(&["allowed", "receipt ok (https://registry.wabbit.example)  evidence: absent"]);
    let address = scene.server.address();
    let json = scene.shell.docket(&format!("verify {address}/{REPOSITORY}:v1 --trust trust.toml --output json"));
    let evidence = &json.expect(0).json()["claims"][0]["evidence"];
    assert_eq!((&evidence["state"], &evidence["digest"]), (&"absent".into(), &sha256(SBOM).to_string().into()));
}

#[tokio::test]
async fn what_was_asked_for_by_digest_is_what_is_judged() {
    let scene = Scene::new().await;
    let digest = sha256(&scene.image);
    let address = scene.server.address();
    let by_digest = scene.shell.docket(&format!("verify {address}/{REPOSITORY}@{digest} --trust trust.toml")).expect(0);
    assert_eq!(by_digest.out, scene.verify_there().out);
    assert!(by_digest.out.starts_with(&format!("allowed  {REPOSITORY}@{digest}\n")), "{}", by_digest.out);
}

#[tokio::test]
async fn a_claim_with_a_document_of_a_listed_issuer_needs_its_own_key() {
    let scene = Scene::new().await;
    let stranger = crate::harness::Issuer::new("stranger").calling_itself("wabbit");
    scene.shell.write("stranger.pub", stranger.public_key_file());
    scene.shell.write("stranger.toml", pin(&scene.shell, &scene.site, &scene.server, "--issuer stranger.pub"));
    let said = scene.verify("copied", "stranger.toml").expect(1);
    let kid = scene.wabbit.key().public().thumbprint();
    said.says(&[&format!("issuer https://wabbit.example with key {kid} is not trusted")]);
}
