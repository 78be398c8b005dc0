//! Many clients at once: small answers while large ones are under way, and clients that stop reading.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::load::Measured;
use crate::read::{Read, What};
use crate::row::Figure;
use crate::server::Server;
use crate::usage;

/// Asks for a manifest's head while other connections download a gigabyte each, again and again. They run on a thread of
/// their own, so that the heads do not wait for this generator.
pub(crate) async fn heads_beside_downloads(
    server: &Server,
    downloads: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let read = Read::prepare(server, "HEAD", What::ManifestByTag).await?;
    let large = Read::prepare(server, "GET", What::Blob(1 << 30)).await?;
    let (target, (stop, stopped)) = (server.target.clone(), tokio::sync::oneshot::channel::<()>());
    let crowd = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..downloads {
                let (mut connection, request) = (target.connect().await?, large.request.clone());
                tasks.spawn(async move {
                    loop {
                        connection.exchange(&request).await?;
                    }
                });
            }
            tokio::select! {
                // Whoever measures is done, or gone.
                _ = stopped => Ok(()),
                Some(failed) = tasks.join_next() => failed?,
            }
        })
    });
    let measured = read.measure(server, HEAD_CONNECTIONS, time).await;
    drop(stop);
    let crowd: anyhow::Result<()> = crowd.join().ok().context("the downloads panicked")?;
    crowd.context("a download failed")?;
    measured
}

/// What the server holds for each client that asks for a gigabyte and then reads nothing.
pub(crate) async fn memory_of_slow_readers(server: &Server, readers: usize) -> anyhow::Result<Option<Figure>> {
    let Some(process) = server.process else { return Ok(None) };
    let large = Read::prepare(server, "GET", What::Blob(1 << 30)).await?;
    let before = usage::resident_bytes(process)?;
    let mut connections = Vec::with_capacity(readers);
    for _ in 0..readers {
        let mut connection = server.target.connect().await?;
        connection.begin(&large.request).await?;
        connections.push(connection);
    }
    // The server fills what it fills ahead.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let more = usage::resident_bytes(process)?.saturating_sub(before);
    ensure!(connections.len() == readers, "connections were lost");
    Ok(Some(Figure::new(more as f64 / 1024.0 / readers as f64, "KiB")))
}

/// Connections that ask for the head of a manifest.
pub(crate) const HEAD_CONNECTIONS: usize = 4;
