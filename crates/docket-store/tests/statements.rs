//! Every SQL statement of the store is prepared and run at least once, in every size it comes in.

use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::{Reference, RepositoryName};
use docket_store::keys::DataFolder;
use docket_store::{
    Append, AppendOutcome, BatchRow, BlobBody, ChangeOutcome, ClaimFilter, CosignatureRow, EntrySubject, FixedTags,
    HeadRow, NewBlob, NewEntry, NewManifest, NewPlacement, NewReferrer, ObservationRow, ObservedRow, RegistryChange,
    Store,
};

/// One more than the largest statement, then one of each smaller size, then single rows.
const ROWS: u64 = 256 + 64 + 8 + 3;

async fn empty() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::create(DataFolder::new(folder.path().join("data")), &[]).await.expect("created");
    (folder, store)
}

fn repository(n: u64) -> RepositoryName {
    format!("wabbit/r{n}").parse().expect("a name")
}

fn digest(text: &str) -> Digest {
    Digest::of(Algorithm::Sha256, text.as_bytes())
}

#[tokio::test]
async fn an_empty_store_answers_every_question_with_nothing() {
    let (_folder, store) = empty().await;
    let (name, absent) = (repository(0), digest("absent"));
    let references = [Reference::Digest(absent), Reference::Tag("v1".parse().expect("a tag"))];
    for reference in &references {
        assert!(store.manifest(&name, reference).await.expect("answered").is_none());
    }
    assert!(store.blob(&name, &absent).await.expect("answered").is_none());
    assert!(store.tags(&name, "", 10).await.expect("answered").is_none());
    assert!(store.repositories("", 10).await.expect("answered").is_empty());
    assert!(!store.has_repository(&name).await.expect("answered"));
    for (artifact_type, last) in [(None, None), (Some("text/plain"), Some(&absent))] {
        let (found, more) = store.referrers(&name, &absent, artifact_type, last, 10, 1000).await.expect("answered");
        assert!(found.is_empty() && !more);
    }

    assert!(store.observed_tags(&(0, String::new()), 10).await.expect("answered").is_empty());
    assert!(store.head().await.expect("answered").is_none());
    assert!(store.batch(1).await.expect("answered").is_none());
    assert!(store.batches(0, 10).await.expect("answered").is_empty());
    assert!(store.entry(0).await.expect("answered").is_none());
    assert!(store.entry_by_id(&[0; 32]).await.expect("answered").is_none());
    assert!(store.entries(0, 10).await.expect("answered").is_empty());
    assert!(store.leaves(0, 10).await.expect("answered").is_empty());
    assert!(store.entries_of_type("text/plain", "https://a.example", 0, 10).await.expect("answered").is_empty());
    for keys in [0, 1, 2, 8, 9, 64, 65, 256, 257] {
        let numbers: Vec<u64> = (0..keys).collect();
        let ids: Vec<[u8; 32]> = numbers.iter().map(|n| [u8::try_from(n % 256).expect("small"); 32]).collect();
        assert!(store.batch_times(&numbers).await.expect("answered").is_empty());
        assert!(store.placements(&numbers).await.expect("answered").is_empty());
        assert!(store.known_entries(&ids).await.expect("answered").is_empty());
    }
    for filter in filters(Some(EntrySubject::Artifact(absent)), "https://wabbit.example", "text/plain") {
        assert!(store.claims(&filter, 0, 10, 10).await.expect("answered").is_empty());
    }

    assert!(store.cosignatures().await.expect("answered").is_empty());
    assert!(store.stored_blobs(0, 10).await.expect("answered").is_empty());
    assert!(store.held_manifests((0, 0), 10).await.expect("answered").is_empty());
    assert!(store.dangling_tags(10).await.expect("answered").is_empty());
    assert!(store.dangling_manifests(10).await.expect("answered").is_empty());
    assert!(store.dangling_links(10).await.expect("answered").is_empty());
    assert!(store.first_entry_from(0).await.expect("answered").is_none());
    assert!(store.meta("absent").await.expect("answered").is_none());
    assert!(store.read_tile("tile/0/000").await.expect("answered").is_none());
    store.close().await;
}

#[tokio::test]
async fn an_empty_store_has_nothing_to_delete_or_mount() {
    let (_folder, store) = empty().await;
    let absent = digest("absent");
    assert!(!store.delete_blob(repository(0), absent).await.expect("answered"));
    let (repo, fixed, tag) = (repository(0), FixedTags::none(), "v1".parse().expect("a tag"));
    for change in [
        RegistryChange::DeleteManifest { repository: repo.clone(), digest: absent, fixed: fixed.clone() },
        RegistryChange::DeleteTag { repository: repo, tag, fixed },
    ] {
        assert_eq!(store.change(change).await.expect("answered"), ChangeOutcome::NotFound);
    }
    assert!(!store.mount_blob(repository(0), repository(1), absent, 7).await.expect("answered"));
    assert!(store.repositories("", 10).await.expect("answered").is_empty());
    store.close().await;
}

#[tokio::test]
async fn one_batch_writes_rows_of_every_table_in_every_size() {
    let (_folder, store) = empty().await;
    assert_eq!(store.append(batch()).await.expect("answered"), AppendOutcome::Committed(Vec::new()));

    assert_eq!(store.entries(0, ROWS).await.expect("read").len() as u64, ROWS);
    let of_type = store.entries_of_type("text/plain", "https://i3.example", 0, 10).await.expect("read");
    let kept: Vec<_> =
        of_type.iter().map(|row| (row.index, row.issuer_entry, row.policy_entry, row.decided_at)).collect();
    assert_eq!(kept, [(3, 3, 1, 7)]);
    assert!(store.entries_of_type("text/plain", "https://i3.example", 4, 10).await.expect("read").is_empty());
    let indexes: Vec<u64> = (0..ROWS).collect();
    let placements = store.placements(&indexes).await.expect("read");
    assert_eq!(placements.iter().map(|placement| placement.index).collect::<Vec<_>>(), indexes);
    for n in 0..ROWS {
        let (name, text) = (repository(n), format!("statement {n}"));
        let row = store.manifest(&name, &Reference::Digest(digest(&text))).await.expect("read").expect("it stands");
        assert_eq!(row.bytes, text.as_bytes());
        let (found, _) = store.referrers(&name, &digest("subject"), None, None, 10, 1000).await.expect("read");
        assert_eq!(found.len(), 1);
        let claimed = ClaimFilter { issuer: Some(format!("https://i{n}.example")), ..ClaimFilter::default() };
        let claims = store.claims(&claimed, 0, ROWS, 10).await.expect("read");
        assert_eq!(claims.iter().map(|claim| claim.index).collect::<Vec<_>>(), [n]);
    }
    // The same placements again, as after a lost answer, change nothing.
    for placement in batch().placements.into_iter().take(3) {
        assert_eq!(store.place(placement).await.expect("answered"), AppendOutcome::Committed(Vec::new()));
    }
    assert_eq!(store.placements(&indexes).await.expect("read"), placements);
    store.close().await;
}

/// Every combination of questions.
fn filters(subject: Option<EntrySubject>, issuer: &str, claim_type: &str) -> Vec<ClaimFilter> {
    let mut filters = Vec::new();
    for subject in [None, subject] {
        for issuer in [None, Some(issuer.to_owned())] {
            for claim_type in [None, Some(claim_type.to_owned())] {
                filters.push(ClaimFilter { subject, issuer: issuer.clone(), claim_type, except_type: None });
            }
        }
    }
    filters
}

fn batch() -> Append {
    let id = |n: u64| *digest(&format!("entry {n}")).hash().first_chunk().expect("32 bytes");
    Append {
        expected: None,
        head: HeadRow { size: ROWS, root: [1; 32], frontier: vec![1] },
        batch: BatchRow { tree_size: ROWS, root: [1; 32], logged_at: 7, protected: vec![1], signature: vec![1] },
        entries: (0..ROWS)
            .map(|n| NewEntry {
                entry_id: id(n),
                bytes: vec![1],
                leaf: id(n),
                path: Vec::new(),
                issuer_entry: n,
                policy_entry: n / 2,
                decided_at: 7,
                collateral: None,
                issuer: format!("https://i{n}.example"),
                claim_type: "text/plain".to_owned(),
                subject: EntrySubject::Artifact(digest("subject")),
            })
            .collect(),
        placements: (0..ROWS).map(placement).collect(),
        changes: Vec::new(),
        observations: (0..ROWS).map(|n| ObservationRow { index: n, repository: repository(n), tag: None }).collect(),
        observed: (0..ROWS)
            .map(|n| ObservedRow { repository: repository(n), day: 1, count: n, is_suspended: false })
            .collect(),
    }
}

fn placement(n: u64) -> NewPlacement {
    let text = format!("statement {n}");
    NewPlacement {
        index: n,
        repository: repository(n),
        statement: NewManifest {
            digest: digest(&text),
            bytes: text.clone().into(),
            media_type: "text/plain".to_owned(),
            referrer: Some(NewReferrer {
                subject: digest("subject"),
                artifact_type: Some("text/plain".to_owned()),
                descriptor: text,
            }),
            references: vec![digest(&format!("layer {n}"))],
        },
        evidence: None,
        evidence_manifest: None,
        blobs: vec![NewBlob { digest: digest(&format!("layer {n}")), size: 1, body: BlobBody::StatementOf(n) }],
        linked_at: 7,
        required_blobs: Vec::new(),
        required_manifests: Vec::new(),
    }
}

#[tokio::test]
async fn observed_tags_come_in_pages_each_once_with_its_newest_observation() {
    let (_folder, store) = empty().await;
    let tag = |n: u64| format!("t{}", n % 3).parse().expect("a tag");
    let row = |index: u64, tag| ObservationRow { index, repository: repository(index / 3 % 2), tag };
    let tagged = (0..12).map(|index| row(index, Some(tag(index))));
    let append = Append { observations: tagged.chain([row(4, None), row(15, None)]).collect(), ..batch() };
    store.append(append).await.expect("appended");
    let (mut after, mut found) = ((0, String::new()), Vec::new());
    loop {
        let page = store.observed_tags(&after, 2).await.expect("answered");
        let Some(last) = page.last() else { break };
        after = last.position.clone();
        found.extend(page.into_iter().map(|it| (it.repository, it.tag, it.newest, it.switched, it.digest)));
    }
    let expected = (6..12).map(|n| (repository(n / 3 % 2), format!("t{}", n % 3), n, (n >= 9).then_some(15), None));
    assert_eq!(found, expected.collect::<Vec<_>>());
    store.close().await;
}

#[tokio::test]
async fn of_a_witness_the_newest_word_is_kept_and_that_of_one_size() {
    let (_folder, store) = empty().await;
    let row = |witness: &str, tree_size, line: &str| CosignatureRow {
        witness: witness.to_owned(),
        tree_size,
        line: line.to_owned(),
    };
    for (size, keep_size) in [(1, 0), (2, 1), (3, 1), (5, 3), (7, 3)] {
        store.cosign(row("a", size, "line"), keep_size).await.expect("kept");
    }
    store.cosign(row("b", 3, "first"), 3).await.expect("kept");
    store.cosign(row("b", 3, "second"), 3).await.expect("kept");
    let kept = store.cosignatures().await.expect("answered");
    assert_eq!(kept, [row("a", 7, "line"), row("a", 3, "line"), row("b", 3, "second")]);
    store.close().await;
}
