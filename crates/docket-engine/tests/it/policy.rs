//! Policy that changes while statements are on their way.

use std::collections::HashMap;

use docket_engine::{ClaimQuery, DecidedBy, EngineError, IssuerView, Registered, Right};
use docket_judge::policy::Refusal;
use futures_util::future::join_all;

use crate::signer::Signer;
use crate::site::{START, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_names_the_admission_that_decided_it() {
    let (site, wabbit) = Site::with_issuer().await;
    let newcomers: Vec<_> = (0..24).map(|n| Signer::new(&format!("issuer-{n}"))).collect();
    let arrive = async |newcomer: &Signer| {
        // The newcomer is admitted while others register under the policy before.
        let (admitted, _) = tokio::join!(admit(&site, newcomer), many(&site, &wabbit, &newcomer.name));
        let own = many(&site, newcomer, "by the newcomer").await;
        assert!(own.iter().all(|answer| answer.index > admitted.entry), "registered before its admission");
    };
    join_all(newcomers.iter().map(arrive)).await;
    assert_eq!(site.tree_size(), 2 + 24 + 24 * 4 * 2);

    let admitted: HashMap<_, _> =
        site.issuers().into_iter().map(|issuer| (issuer.identities().concat(), issuer.entry)).collect();
    for claim in site.ask(ClaimQuery::default()).await.claims {
        let expected = admitted.get(&claim.issuer).copied().unwrap_or(0);
        let decided_by = DecidedBy { issuer_entry: expected, policy_entry: 0, at: START };
        assert_eq!(claim.decided_by, decided_by, "entry {}", claim.index);
        assert!(expected < claim.index || claim.index == 0);
    }
    site.end().await;
}

#[tokio::test]
async fn of_two_admissions_of_one_name_at_once_one_is_refused() {
    let site = Site::new().await;
    let (wabbit, other) = (Signer::new("wabbit"), Signer { name: "wabbit".to_owned(), ..Signer::new("acme") });
    let (first, second) = tokio::join!(site.admit(&wabbit), site.admit(&other));
    assert_eq!(first.expect("the first comer").identities(), ["https://wabbit.example"]);
    assert!(matches!(second, Err(EngineError::IssuerExists(_))), "{second:?}");
    assert_eq!((site.issuers().len(), site.tree_size()), (1, 2));
    site.end().await;
}

#[tokio::test]
async fn of_two_admissions_of_one_key_at_once_one_is_refused() {
    let site = Site::new().await;
    let zebra = Signer { name: "zebra".to_owned(), ..Signer::new("wabbit") };
    let aardvark = Signer { name: "aardvark".to_owned(), ..zebra.clone() };
    let (first, second) = tokio::join!(site.admit(&zebra), site.admit(&aardvark));
    assert_eq!(first.expect("the first comer").name, "zebra");
    assert!(matches!(second, Err(EngineError::IssuerExists(_))), "{second:?}");
    site.log_only(&zebra.remark("still admitted")).await.expect("registered");
    site.end().await;
}

#[tokio::test]
async fn one_admission_asked_for_many_times_at_once_is_one_entry() {
    let site = Site::new().await;
    let wabbit = Signer::new("wabbit");
    let answers = join_all((0..20).map(|_| site.admit(&wabbit))).await;
    assert!(answers.into_iter().all(|answer| answer.expect("admitted").entry == 1));
    assert_eq!(site.tree_size(), 2);
    site.end().await;
}

#[tokio::test]
async fn an_issuer_that_was_removed_registers_no_more_until_it_is_admitted_again() {
    let (site, wabbit) = Site::with_issuer().await;
    let admin = site.permit_everywhere(Right::Admin);
    let before = wabbit.remark("before");
    site.log_only(&before).await.expect("registered");
    assert_eq!(site.remove_issuer(&admin, "wabbit").await.expect("removed"), 3);
    assert!(site.issuers().is_empty());
    let refused = site.log_only(&wabbit.remark("meanwhile")).await;
    assert!(matches!(refused, Err(EngineError::Refused(Refusal::UnknownIssuer { .. }))), "{refused:?}");

    // What is in force is read from the entries, also by the next process.
    let site = site.close().await.open().await;
    assert!(site.issuers().is_empty());
    assert!(site.log_only(&wabbit.remark("meanwhile")).await.is_err());
    assert_eq!(site.admit(&wabbit).await.expect("admitted again").entry, 4);
    let after = site.log_only(&wabbit.remark("after")).await.expect("registered");
    let claims = site.ask(ClaimQuery { from: after.index, ..ClaimQuery::default() }).await.claims;
    assert_eq!((claims[0].index, claims[0].decided_by.issuer_entry), (5, 4));
    site.end().await;
}

#[tokio::test]
async fn who_is_not_admitted_cannot_be_removed() {
    let (site, _) = Site::with_issuer().await;
    let state = site.state().await;
    let admin = site.permit_everywhere(Right::Admin);
    for name in ["acme", "", "wabbit "] {
        let refused = site.remove_issuer(&admin, name).await;
        assert!(matches!(refused, Err(EngineError::IssuerUnknown(_))), "{refused:?}");
    }
    let (first, second) = tokio::join!(site.remove_issuer(&admin, "wabbit"), site.remove_issuer(&admin, "wabbit"));
    assert_eq!(first.expect("the first comer"), 2);
    assert!(matches!(second, Err(EngineError::IssuerUnknown(_))), "{second:?}");
    assert_ne!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn nobody_is_admitted_who_could_be_taken_for_the_service() {
    let site = Site::new().await;
    let state = site.state().await;
    let key = |name: &str| {
        let text = std::fs::read_to_string(site.path().join("keys").join(name)).expect("a key file");
        docket_proof::key::KeyFile::parse(&text).expect("a key file").key
    };
    let wabbit = Signer::new("wabbit");
    let called_so = Signer { issuer: site.service().clone(), ..wabbit.clone() };
    let by_statement_key = Signer { key: key("statement.key"), ..wabbit.clone() };
    let by_receipt_key = Signer { key: key("receipt.key"), ..wabbit };
    for impostor in [called_so, by_statement_key, by_receipt_key] {
        let refused = site.admit(&impostor).await;
        assert!(matches!(refused, Err(EngineError::IssuerIsService(_))), "{refused:?}");
    }
    assert_eq!(site.state().await, state);
    site.end().await;
}

/// Four registrations at once.
async fn many(site: &Site, signer: &Signer, text: &str) -> Vec<Registered> {
    let register = async |n: usize| {
        let statement = signer.remark(&format!("{text} {n}"));
        persist(async || site.log_only(&statement).await).await
    };
    join_all((0..4).map(register)).await
}

async fn admit(site: &Site, signer: &Signer) -> IssuerView {
    persist(async || site.admit(signer).await).await
}

/// Whoever was sent back too often, because policy kept changing, is asked to come again and does.
async fn persist<T>(call: impl AsyncFn() -> Result<T, EngineError>) -> T {
    const CALLS_MAX: usize = 100;
    for _ in 0..CALLS_MAX {
        match call().await {
            Err(EngineError::PoolFull) => tokio::task::yield_now().await,
            answer => return answer.expect("logged"),
        }
    }
    panic!("sent back {CALLS_MAX} times");
}
