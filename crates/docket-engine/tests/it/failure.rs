//! A database that refuses a batch: nobody gets a receipt, nothing is logged, and the ledger goes on once it can.

use docket_engine::{EngineError, EntryState};
use docket_store::StoreError;
use futures_util::future::join_all;

use crate::rows::Rows;
use crate::signer::entry_id;
use crate::site::{HOME, Site};

const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'refused by a test'); END";

/// The code of a full disk, without filling one.
const FULL: &str = "CREATE TABLE full (id INTEGER PRIMARY KEY AUTOINCREMENT); \
    INSERT INTO full (id) VALUES (9223372036854775807); \
    CREATE TRIGGER refuse BEFORE INSERT ON entry BEGIN INSERT INTO full (id) VALUES (NULL); END";

const MEND: &str = "DROP TRIGGER refuse";

#[tokio::test]
async fn a_refused_batch_is_not_logged_and_can_be_sent_again() {
    for (trigger, is_disk_full) in [(REFUSE, false), (FULL, true)] {
        let (site, wabbit) = Site::with_issuer().await;
        let artifact = site.push_artifact(HOME, b"layer").await;
        let state = site.state().await;
        Rows::open(&site.path()).await.run(trigger).await;

        let statements: Vec<_> = (0..10).map(|n| wabbit.note(&artifact, &format!("{n}"))).collect();
        for answer in join_all(statements.iter().map(|statement| site.place(HOME, statement))).await {
            let Err(EngineError::NotLogged(failure)) = answer else { panic!("{answer:?}") };
            assert_eq!(matches!(*failure, StoreError::DiskFull(_)), is_disk_full, "{failure:?}");
        }
        assert_eq!(site.read_only(), None);
        assert_eq!(site.state().await, state);
        let pull = site.permit_everywhere(docket_engine::Right::Pull);
        let state = site.receipt(&pull, &entry_id(&statements[0])).await.expect("answered");
        assert!(matches!(state, EntryState::Absent), "{state:?}");

        Rows::open(&site.path()).await.run(MEND).await;
        for answer in join_all(statements.iter().map(|statement| site.place(HOME, statement))).await {
            assert!(!answer.expect("registered").known);
        }
        assert_eq!(site.tree_size(), 12);
        site.end().await;
    }
}
