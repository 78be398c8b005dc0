//! What the service observes: with the change or not at all, once, in an unbroken course, and never as anybody's claim.

use base64::Engine as _;
use docket_engine::{
    ClaimQuery, EngineError, Event, HistoryPage, HistoryQuery, OBSERVATION_TYPE, Observation, Observe, Right, Watch,
};
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::media::OCI_IMAGE_MANIFEST;
use docket_oci::name::{Reference, Tag};
use docket_proof::statement::SignedStatement;
use futures_util::future::join_all;

use crate::signer::Signer;
use crate::site::{HOME, Site, artifact};

fn tag(name: &str) -> Tag {
    name.parse().expect("a tag")
}

fn digest(layer: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, &artifact(layer))
}

/// A site where artifacts with these layers can be tagged.
async fn with_layers(layers: &[&[u8]]) -> Site {
    let site = Site::new().await;
    site.push_blob(HOME, b"{}").await;
    for layer in layers {
        site.push_blob(HOME, layer).await;
    }
    site
}

async fn page(site: &Site, name: &str) -> HistoryPage {
    let query = HistoryQuery { tag: tag(name), from: 0, tree_size: None, limit: 1000 };
    site.history(&site.permit(Right::Pull, HOME), &query).await.expect("answered")
}

/// The history of a tag, each entry proved, and that it goes on where it ended.
async fn history(site: &Site, name: &str) -> Vec<Observation> {
    let page = page(site, name).await;
    let (mut after, mut course, mut told) = (None, None, Vec::new());
    for event in &page.events {
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        let (entry, receipt) = (decode(&event.statement), decode(&event.receipt));
        let receipt = site.verify(&entry, &receipt);
        assert_eq!((receipt.index(), receipt.tree_size()), (event.index, page.tree_size));
        let observation =
            Observation::of(&SignedStatement::decode(&entry).expect("a statement")).expect("an observation");
        assert_eq!(observation, event.observation);
        if let Some(observed) = observation.tags.iter().find(|observed| observed.tag == tag(name)) {
            assert_eq!(observed.after, after, "{observation:?}");
            let stood = if observation.event == Event::Tagged { observed.previous } else { observation.digest };
            assert_eq!(stood, course, "{observation:?}");
            after = Some(event.index);
            course = observation.digest.filter(|_| observation.event == Event::Tagged);
        }
        told.push(observation);
    }
    assert_eq!(page.current.expect("the first page says it").digest, course);
    told
}

async fn delete(site: &Site, reference: Reference) -> Result<(), EngineError> {
    site.delete_manifest(&site.permit(Right::Delete, HOME), &reference).await
}

fn events(observations: &[Observation]) -> Vec<(Event, Option<Digest>)> {
    observations.iter().map(|observation| (observation.event, observation.digest)).collect()
}

#[tokio::test]
async fn every_move_of_a_tag_is_told_once() {
    let site = with_layers(&[b"one", b"two"]).await;
    for layer in [b"one".as_slice(), b"one", b"two", b"one", b"one"] {
        site.tag(HOME, "v1", layer).await.expect("tagged");
    }
    site.tag(HOME, "other", b"two").await.expect("tagged");
    delete(&site, Reference::Tag(tag("v1"))).await.expect("deleted");
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    let (one, two) = (Some(digest(b"one")), Some(digest(b"two")));
    let told = history(&site, "v1").await;
    let moves = [
        (Event::Tagged, one),
        (Event::Tagged, two),
        (Event::Tagged, one),
        (Event::Untagged, one),
        (Event::Tagged, two),
    ];
    assert_eq!(events(&told), moves);
    assert_eq!(events(&history(&site, "other").await), [(Event::Tagged, two)]);
    // Genesis, five moves, and the other tag: pushes that changed nothing are no entries.
    assert_eq!(site.tree_size(), 7);
    assert_eq!(site.stats().await.observed.entries, 6);
    assert!(history(&site, "absent").await.is_empty());
    site.end().await;
}

#[tokio::test]
async fn a_deleted_manifest_is_told_for_each_of_its_tags() {
    let site = with_layers(&[b"one"]).await;
    let permit = site.permit(Right::Push, HOME);
    let names: Vec<_> = (0..300).map(|n| tag(&format!("t{n}"))).collect();
    for names in names.chunks(60) {
        let (reference, bytes) = (Reference::Digest(digest(b"one")), artifact(b"one").into());
        let put = site.put_manifest(&permit, &reference, Some(OCI_IMAGE_MANIFEST), names.to_vec(), bytes);
        put.await.expect("tagged");
    }
    assert_eq!(site.tree_size(), 1 + 5, "the tags of one push are one entry");
    delete(&site, Reference::Digest(digest(b"one"))).await.expect("deleted");
    assert_eq!(site.tree_size(), 1 + 5 + 2, "more tags than one entry holds");
    for name in ["t0", "t299"] {
        let told = history(&site, name).await;
        assert_eq!(told.iter().map(|told| told.event).collect::<Vec<_>>(), [Event::Tagged, Event::Deleted]);
        assert_eq!(told[1].media_type.as_deref(), Some(OCI_IMAGE_MANIFEST));
    }
    // Untagged, it is still worth an entry, but of no tag's history.
    let bare = site.push_artifact(HOME, b"bare").await;
    delete(&site, Reference::Digest(bare)).await.expect("deleted");
    assert_eq!(site.tree_size(), 1 + 5 + 2 + 1);
    site.end().await;
}

#[tokio::test]
async fn what_is_refused_is_not_told() {
    let site = with_layers(&[b"one"]).await;
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    let state = site.state().await;
    let missing = site.tag(HOME, "v1", b"never pushed").await;
    assert!(matches!(missing, Err(EngineError::ManifestBlobUnknown(_))), "{missing:?}");
    let absent = delete(&site, Reference::Tag(tag("v2"))).await;
    assert!(matches!(absent, Err(EngineError::ManifestUnknown(_))), "{absent:?}");
    let absent = delete(&site, Reference::Digest(digest(b"never pushed"))).await;
    assert!(matches!(absent, Err(EngineError::ManifestUnknown(_))), "{absent:?}");
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn those_who_are_refused_do_not_hold_up_the_others() {
    let site = with_layers(&[b"one", b"two"]).await;
    let pushes = (0..60).map(|n| {
        let site = &site;
        let (name, layer) = (format!("t{n}"), if n % 3 == 0 { b"never pushed".as_slice() } else { b"one" });
        async move { site.tag(HOME, &name, layer).await }
    });
    let moves = (0..20).map(|n| {
        let site = &site;
        async move { site.tag(HOME, "v1", if n % 2 == 0 { b"one" } else { b"two" }).await }
    });
    let (pushes, moves) = tokio::join!(join_all(pushes), join_all(moves));
    for (n, pushed) in pushes.into_iter().enumerate() {
        assert_eq!(pushed.is_err(), n % 3 == 0, "{n}: {pushed:?}");
        let told = history(&site, &format!("t{n}")).await;
        assert_eq!(told.len(), usize::from(n % 3 != 0), "{n}");
    }
    assert!(moves.into_iter().all(|moved| moved.is_ok()));
    // In whatever order they came: what is told is a course without a gap.
    assert!(!history(&site, "v1").await.is_empty());
    site.end().await;
}

#[tokio::test]
async fn what_is_not_to_be_observed_is_not() {
    let site = with_layers(&[b"one"]).await;
    let off = Watch { tags: false, deletes: false, ..Watch::default() };
    site.replace_observe(Observe::new(off, &[]).expect("usable"));
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    delete(&site, Reference::Digest(digest(b"one"))).await.expect("deleted");
    assert_eq!(site.tree_size(), 1);

    let all = Watch { manifests: true, ..Watch::default() };
    site.replace_observe(Observe::new(all, &[]).expect("usable"));
    site.push_artifact(HOME, b"two").await;
    site.push_artifact(HOME, b"two").await;
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    assert_eq!(site.tree_size(), 3, "one manifest, one tag");
    site.end().await;
}

#[tokio::test]
async fn past_its_day_a_repository_says_so_once_and_once_more_when_it_goes_on() {
    let site = with_layers(&[b"one", b"two"]).await;
    site.replace_observe(Observe::new(Watch { per_day: 2, ..Watch::default() }, &[]).expect("usable"));
    let layers = [b"one".as_slice(), b"two"];
    for n in 0..5 {
        site.tag(HOME, "v1", layers[n % 2]).await.expect("pushes go on");
    }
    assert_eq!(site.tree_size(), 1 + 2 + 1);
    assert_eq!(site.stats().await.observed.unobserved, 3);
    let site = site.close().await.open().await;
    site.replace_observe(Observe::new(Watch { per_day: 2, ..Watch::default() }, &[]).expect("usable"));
    site.tag(HOME, "v1", b"two").await.expect("pushes go on");
    assert_eq!(site.tree_size(), 1 + 2 + 1, "the day is over after a restart too");
    site.pass(86_400);
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    let told = page(&site, "v1").await.events;
    let told: Vec<_> = told.into_iter().map(|event| event.observation).collect();
    let expected = [Event::Tagged, Event::Tagged, Event::Suspended, Event::Resumed, Event::Tagged];
    assert_eq!(told.iter().map(|told| told.event).collect::<Vec<_>>(), expected);
    assert_eq!(told[3].after, Some(3), "the gap is between two entries");
    assert_eq!(told[4].tags[0].previous, Some(digest(b"two")), "what happened in the gap is told by where it ended");
    // A raised limit counts at once.
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    site.tag(HOME, "v1", b"one").await.expect("unobserved");
    site.replace_observe(Observe::default());
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    let events: Vec<_> = page(&site, "v1").await.events.into_iter().map(|event| event.observation.event).collect();
    assert_eq!(events[5..], [Event::Tagged, Event::Suspended, Event::Resumed, Event::Tagged]);
    site.end().await;
}

#[tokio::test]
async fn an_observation_is_nobodys_claim() {
    let site = with_layers(&[b"one"]).await;
    let wabbit = Signer::new("wabbit");
    site.admit(&wabbit).await.expect("admitted");
    let image = site.tag(HOME, "v1", b"one").await.expect("tagged");
    let size = site.tree_size();
    site.place(HOME, &wabbit.note(&image, "{}")).await.expect("placed");
    assert_eq!(site.tree_size(), size + 1, "what the service writes itself is not observed");
    assert_eq!(site.referrers_of(HOME, &image, None).await.len(), 1, "an observation is no referrer");
    let about = |observed| ClaimQuery { artifact: Some(image), observed, ..ClaimQuery::default() };
    assert_eq!(site.ask(about(false)).await.claims.len(), 1);
    let all = site.ask(about(true)).await.claims;
    assert_eq!(all.iter().filter(|claim| claim.claim_type == OBSERVATION_TYPE).count(), 1);
    let of_type = ClaimQuery { claim_type: Some(OBSERVATION_TYPE.to_owned()), ..ClaimQuery::default() };
    assert_eq!(site.ask(of_type).await.claims.len(), 1);
    site.end().await;
}

#[tokio::test]
async fn a_history_comes_in_pages_of_one_tree() {
    let site = with_layers(&[b"one", b"two"]).await;
    for n in 0..7 {
        site.tag(HOME, "v1", if n % 2 == 0 { b"one" } else { b"two" }).await.expect("tagged");
    }
    let permit = site.permit(Right::Pull, HOME);
    let (mut from, mut tree_size, mut told) = (0, None, Vec::new());
    loop {
        let query = HistoryQuery { tag: tag("v1"), from, tree_size, limit: 3 };
        let page = site.history(&permit, &query).await.expect("answered");
        assert_eq!(page.tree_size, 8, "what comes later is not part of the answer");
        assert_eq!(page.current.is_some(), tree_size.is_none());
        told.extend(page.events.iter().map(|event| event.index));
        site.tag(HOME, "v1", if told.len() % 2 == 0 { b"one" } else { b"two" }).await.expect("tagged");
        let Some(next) = page.next else { break };
        (from, tree_size) = (next, Some(page.tree_size));
    }
    assert_eq!(told, (1..8).collect::<Vec<_>>());
    site.end().await;
}

#[tokio::test]
async fn fsck_notices_a_history_that_was_edited() {
    let site = with_layers(&[b"one", b"two"]).await;
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    let closed = site.close().await;
    crate::rows::Rows::open(&closed.path()).await.edit("DELETE FROM observation WHERE idx = 1").await;
    let site = closed.open().await;
    assert_eq!(site.problems().await, ["entry 1: histories do not find it where it belongs"]);
    site.close().await;
}

/// Switches observation of pushes and of deletions.
fn watch(site: &Site, tags: bool, deletes: bool) {
    site.replace_observe(Observe::new(Watch { tags, deletes, ..Watch::default() }, &[]).expect("usable"));
}

async fn told(site: &Site, name: &str) -> Vec<Event> {
    page(site, name).await.events.into_iter().map(|event| event.observation.event).collect()
}

#[tokio::test]
async fn where_observation_is_switched_off_an_entry_says_so_once_and_another_when_it_goes_on() {
    let site = with_layers(&[b"one", b"two"]).await;
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    watch(&site, false, false);
    // What changes nothing, and what is refused, says nothing.
    site.tag(HOME, "v1", b"one").await.expect("it stands there");
    site.tag(HOME, "v1", b"never pushed").await.expect_err("refused");
    delete(&site, Reference::Tag(tag("absent"))).await.expect_err("refused");
    site.push_artifact(HOME, b"bare").await;
    assert_eq!(site.tree_size(), 2);
    for layer in [b"two", b"one", b"two"] {
        site.tag(HOME, "v1", layer).await.expect("tagged");
    }
    site.tag(HOME, "v2", b"two").await.expect("tagged");
    delete(&site, Reference::Tag(tag("v2"))).await.expect("deleted");
    assert_eq!(site.tree_size(), 3);
    assert_eq!(told(&site, "v1").await, [Event::Tagged, Event::Suspended]);
    assert_eq!(site.problems().await, [""; 0], "the gap is explained");
    let site = site.close().await.open().await;
    watch(&site, false, false);
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    assert_eq!(site.tree_size(), 3, "it was said before the restart");
    watch(&site, true, true);
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    let page = page(&site, "v1").await.events;
    let said: Vec<_> = page.iter().map(|event| event.observation.event).collect();
    assert_eq!(said, [Event::Tagged, Event::Suspended, Event::Resumed, Event::Tagged]);
    assert_eq!(page[2].observation.after, Some(2), "the gap is between two entries");
    assert_eq!(page[3].observation.tags[0].previous, Some(digest(b"one")), "what happened in it is told by its end");
    site.end().await;
}

#[tokio::test]
async fn where_half_of_it_is_switched_off_the_gap_stays_until_all_is_on() {
    let site = with_layers(&[b"one", b"two"]).await;
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    watch(&site, false, true);
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    delete(&site, Reference::Tag(tag("v1"))).await.expect("deleted");
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    delete(&site, Reference::Tag(tag("v1"))).await.expect("deleted");
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    let gap = [Event::Tagged, Event::Suspended, Event::Untagged, Event::Untagged];
    assert_eq!(told(&site, "v1").await, gap);
    assert_eq!(site.problems().await, [""; 0], "it stands, though the newest entry about it deleted it");
    watch(&site, true, false);
    delete(&site, Reference::Digest(digest(b"two"))).await.expect("deleted");
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    assert_eq!(told(&site, "v1").await, [&gap[..], &[Event::Tagged]].concat());
    watch(&site, true, true);
    delete(&site, Reference::Tag(tag("v1"))).await.expect("deleted");
    assert_eq!(told(&site, "v1").await[4..], [Event::Tagged, Event::Resumed, Event::Untagged]);
    site.end().await;
}

#[tokio::test]
async fn what_was_never_observed_is_not_said_to_be_observed_no_more() {
    let site = with_layers(&[b"one", b"two"]).await;
    watch(&site, false, true);
    for layer in [b"one", b"two"] {
        site.tag(HOME, "v1", layer).await.expect("tagged");
    }
    assert_eq!(site.tree_size(), 1);
    // By one deletion it has a history, and the history has a gap.
    site.tag(HOME, "v2", b"one").await.expect("tagged");
    delete(&site, Reference::Tag(tag("v2"))).await.expect("deleted");
    assert_eq!(told(&site, "v1").await, []);
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    assert_eq!((told(&site, "v1").await, site.tree_size()), (vec![Event::Suspended], 3));
    site.end().await;
}

#[tokio::test]
async fn no_gap_begins_while_the_ledger_takes_no_entries() {
    let site = with_layers(&[b"one", b"two"]).await;
    let elsewhere = "wabbit/elsewhere";
    site.push_artifact(elsewhere, b"one").await;
    site.tag(HOME, "v1", b"one").await.expect("tagged");
    watch(&site, false, false);
    site.stop_behind_witness(site.checkpoint_key(), 9);
    let refused = site.tag(HOME, "v1", b"two").await;
    assert!(matches!(refused, Err(EngineError::Unwitnessed(_))), "{refused:?}");
    site.tag(elsewhere, "v1", b"one").await.expect("nothing was ever said about it");
    let site = site.close().await.open().await;
    assert_eq!(site.tree_size(), 2);
    watch(&site, false, false);
    site.tag(HOME, "v1", b"two").await.expect("tagged");
    site.stop_behind_witness(site.checkpoint_key(), 9);
    site.tag(HOME, "v1", b"one").await.expect("the gap began before");
    let site = site.close().await.open().await;
    site.end().await;
}

#[tokio::test]
async fn fsck_notices_tags_that_were_edited() {
    let site = with_layers(&[b"one", b"two"]).await;
    site.tag(HOME, "gone", b"one").await.expect("tagged");
    delete(&site, Reference::Tag(tag("gone"))).await.expect("deleted");
    watch(&site, false, false);
    site.tag(HOME, "dark", b"one").await.expect("tagged");
    watch(&site, true, true);
    for (name, layer) in [("v1", b"one"), ("v1", b"two"), ("v2", b"one")] {
        site.tag(HOME, name, layer).await.expect("tagged");
    }
    assert_eq!(site.problems().await, [""; 0]);
    let folder = crate::site::FolderImage::of(&site.close().await.path());
    let (one, two) = (digest(b"one"), digest(b"two"));
    let moved = "UPDATE tag SET digest_id = (SELECT digest_id FROM tag WHERE name = 'v2') WHERE name = 'v1'";
    let back =
        "INSERT INTO tag (repo_id, name, digest_id) SELECT repo_id, 'gone', digest_id FROM tag WHERE name = 'v2'";
    let of = |name: &str, text: String| format!("tag {HOME}:{name} {text}");
    let left = |now: String, entry: u64, then: String| {
        format!("stands {now}, but entry {entry}, the newest about it, left it {then}")
    };
    for (edit, problems) in [
        (moved.to_owned(), vec![of("v1", left(format!("on {one}"), 6, format!("on {two}")))]),
        (
            "DELETE FROM tag WHERE name = 'v1'".to_owned(),
            vec![of("v1", left("nowhere".to_owned(), 6, format!("on {two}")))],
        ),
        // In the gap before the newest observation: that observation is certain, the gap explains nothing after it.
        (
            format!("{moved}; DELETE FROM tag WHERE name = 'v2'"),
            vec![
                of("v1", left(format!("on {one}"), 6, format!("on {two}"))),
                of("v2", left("nowhere".to_owned(), 7, format!("on {one}"))),
            ],
        ),
        // The gap explains these: `gone` may have come back in it, and nobody ever spoke of `dark`.
        (back.to_owned(), vec![]),
        ("DELETE FROM tag WHERE name = 'dark'".to_owned(), vec![]),
        // A gap that no entry speaks of, and a history that begins elsewhere.
        (
            format!("{moved}; INSERT INTO observation SELECT repo_id, '', 7 FROM tag WHERE name = 'v1'"),
            vec![
                "entry 7: histories do not find it where it belongs".to_owned(),
                of("gone", "may have moved unobserved by entry 7, which does not say so".to_owned()),
                of("v1", "may have moved unobserved by entry 7, which does not say so".to_owned()),
                of("v2", "may have moved unobserved by entry 7, which does not say so".to_owned()),
            ],
        ),
        (
            format!("{moved}; INSERT INTO observation SELECT repo_id, 'v1', 7 FROM tag WHERE name = 'v1'"),
            vec![
                "entry 7: histories do not find it where it belongs".to_owned(),
                of("v1", "was last observed by entry 7, which does not speak of it".to_owned()),
            ],
        ),
    ] {
        let copy = folder.unpack();
        crate::rows::Rows::open(&copy.path()).await.edit(&edit).await;
        let site = copy.open().await;
        assert_eq!(site.problems().await, problems, "{edit}");
        site.close().await;
    }
}
