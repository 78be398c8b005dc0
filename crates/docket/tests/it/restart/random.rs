//! kill -9 at random moments, many times on one folder, with writers of every kind at work.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::{BoxFuture, FutureExt as _, join, join_all};

use super::answered::{Answered, Writer, prepared};
use super::random;
use crate::harness::Server;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_at_random_moments_lose_nothing_that_was_answered() {
    let (site, issuer, artifact) = prepared().await;
    let key = site.receipt_key();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos();
    let mut all = Answered::default();
    for round in 0..ROUNDS {
        let server = Server::start(&site);
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| Writer {
                server: &server,
                issuer: &issuer,
                key: &key,
                artifact: &artifact,
                number: round * WRITERS + number,
            })
            .collect();
        let work = writers.iter().map(|writer| -> BoxFuture<'_, Answered> {
            if writer.number % 2 == 0 { writer.push_until_gone().boxed() } else { writer.claim_until_gone().boxed() }
        });
        let moment = Duration::from_millis(LIFE_MS_MIN + random(seed, round) % LIFE_MS_RANGE);
        let kill = async {
            tokio::time::sleep_until((Instant::now() + moment).into()).await;
            server.kill();
        };
        let (parts, ()) = join(join_all(work), kill).await;
        server.kill9().await;

        let mut told = Answered::together(parts);
        let server = Server::start(&site);
        told.retry(&server, &key).await;
        told.check(&server, &key).await;
        all.add(told);
        if round % 10 == 9 {
            server.stop().await;
            site.fsck_clean();
        } else {
            // What recovery and the check itself were answered must hold as well.
            server.kill9().await;
        }
    }
    assert!(all.count() as u64 > ROUNDS, "{} answers are too few to show anything (seed {seed})", all.count());
    let server = Server::start(&site);
    all.check(&server, &key).await;
    server.stop().await;
    let report = site.fsck_clean();
    // Genesis, the issuer, and every statement once.
    assert_eq!(report.entries, 2 + all.receipts() as u64);
}

const ROUNDS: u64 = 50;
const WRITERS: u64 = 6;
const LIFE_MS_MIN: u64 = 10;
const LIFE_MS_RANGE: u64 = 80;
