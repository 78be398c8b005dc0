//! Policy that changes while statements are on their way.

use std::collections::HashMap;

use docket_engine::{ClaimQuery, EngineError, IssuerView, Registered};
use futures_util::future::join_all;

use crate::signer::Signer;
use crate::site::Site;

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

    let admitted: HashMap<_, _> = site.issuers().into_iter().map(|issuer| (issuer.issuer, issuer.entry)).collect();
    for claim in site.ask(ClaimQuery::default()).await.claims {
        let expected = admitted.get(&claim.issuer).copied().unwrap_or(0);
        assert_eq!(claim.decided_by, expected, "entry {}", claim.index);
        assert!(claim.decided_by < claim.index || claim.index == 0);
    }
    site.end().await;
}

#[tokio::test]
async fn of_two_admissions_of_one_name_at_once_one_is_refused() {
    let site = Site::new().await;
    let (wabbit, other) = (Signer::new("wabbit"), Signer { name: "wabbit".to_owned(), ..Signer::new("acme") });
    let (first, second) = tokio::join!(site.admit(&wabbit), site.admit(&other));
    assert_eq!(first.expect("the first comer").issuer, "https://wabbit.example");
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
