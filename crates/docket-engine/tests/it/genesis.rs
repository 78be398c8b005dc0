//! A ledger of one entry, and what it takes to prove it.

use docket_engine::{ClaimQuery, DecidedBy, EntryState, GENESIS_TYPE, Instance, Right};
use docket_proof::statement::{EntryId, SignedStatement};

use crate::signer::Signer;
use crate::site::{START, Site};

#[tokio::test]
async fn a_new_ledger_holds_its_genesis_and_nothing_else() {
    let site = Site::created().await;
    let page = site.ask(ClaimQuery::default()).await;
    let [genesis] = page.claims.as_slice() else { panic!("one entry, not {:?}", page.claims) };
    assert_eq!((page.tree_size, genesis.index, genesis.logged_at), (1, 0, START));
    assert_eq!((genesis.issuer.as_str(), genesis.claim_type.as_str()), (site.service().as_str(), GENESIS_TYPE));
    assert_eq!(genesis.decided_by, DecidedBy { issuer_entry: 0, policy_entry: 0, at: START });
    assert_eq!(genesis.subject, "registry.wabbit.example/log");
    assert!(site.issuers().is_empty() && genesis.placements.is_empty());
    site.end().await;
}

#[tokio::test]
async fn the_genesis_is_proved_once_a_second_entry_stands() {
    let site = Site::new().await;
    let genesis: EntryId = site.ask(ClaimQuery::default()).await.claims[0].entry.parse().expect("an entry id");
    let pull = site.permit_everywhere(Right::Pull);
    // A tree of one leaf has an empty path, which RFC 9942 does not allow.
    let alone = site.receipt(&pull, &genesis).await.expect("answered");
    assert!(matches!(alone, EntryState::Pending), "{alone:?}");
    site.admit(&Signer::new("wabbit")).await.expect("admitted");
    let receipt = site.fresh(&genesis).await;

    let closed = site.close().await;
    let entry = crate::rows::Rows::open(&closed.path()).await.bytes("entry", "bytes", "idx = 0").await;
    let site = closed.open().await;
    assert_eq!(SignedStatement::decode(&entry).expect("a statement").entry_id(), genesis);
    let receipt = site.verify(&entry, &receipt);
    assert_eq!((receipt.index(), receipt.tree_size(), receipt.signed_at()), (0, 2, START));
    site.end().await;
}

#[tokio::test]
async fn an_unknown_entry_has_no_receipt() {
    let (site, _) = Site::with_issuer().await;
    let unknown = EntryId::from_bytes([7; 32]);
    let state = site.receipt(&site.permit_everywhere(Right::Pull), &unknown).await.expect("answered");
    assert!(matches!(state, EntryState::Absent), "{state:?}");
    site.end().await;
}

#[tokio::test]
async fn a_ledger_is_never_made_over_another() {
    let site = Site::new().await;
    let state = site.state().await;
    let closed = site.close().await;
    let service = "https://registry.acme.example".parse().expect("a URI");
    let clock = docket_engine::Clock::new(|| START);
    Instance::create(&closed.path(), service, &clock, None).await.expect_err("there is one already");
    let site = closed.open().await;
    assert_eq!(site.state().await, state);
    site.end().await;
}
