//! Claims on the files of blobs, one digest at a time: who pushes shares a claim, who removes has it alone.
//!
//! A push holds its claim from before the file gets its name until the row is committed or refused; a remover from before
//! the row goes until the file is gone. So nobody removes a file that a row is about to name. A push that meets a remover
//! waits for it; a remover that meets a push goes on to something else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docket_oci::digest::Digest;
use tokio::sync::Notify;

use crate::StoreError;

/// The claims on the files of one store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    claims: Mutex<HashMap<Digest, Holders>>,
    /// Wakes those who wait for a remover.
    removed: Notify,
}

#[derive(Debug)]
enum Holders {
    Pushes(usize),
    Remover,
}

/// A claim of a push.
#[derive(Debug)]
pub(crate) struct PushClaim {
    held: Arc<Held>,
    digest: Digest,
}

/// A claim of whoever removes the bytes of a blob, or looks whether they are whole: nobody else has one on this digest.
#[derive(Debug)]
pub struct RemoveClaim {
    held: Arc<Held>,
    digest: Digest,
}

impl Claims {
    /// A push claims a digest, once no remover has it. Cancelling leaves nothing.
    pub(crate) async fn push(&self, digest: &Digest) -> PushClaim {
        loop {
            let mut removed = std::pin::pin!(self.0.removed.notified());
            // Before the look, so that a remover that ends right after it is not missed.
            removed.as_mut().enable();
            if let Some(claim) = self.try_push(digest) {
                return claim;
            }
            removed.await;
        }
    }

    fn try_push(&self, digest: &Digest) -> Option<PushClaim> {
        match self.0.lock().entry(*digest).or_insert(Holders::Pushes(0)) {
            Holders::Pushes(count) => *count += 1,
            Holders::Remover => return None,
        }
        Some(PushClaim { held: Arc::clone(&self.0), digest: *digest })
    }

    /// A remover claims a digest that nobody else has.
    pub(crate) fn try_remove(&self, digest: &Digest) -> Option<RemoveClaim> {
        let mut claims = self.0.lock();
        if claims.contains_key(digest) {
            return None;
        }
        claims.insert(*digest, Holders::Remover);
        Some(RemoveClaim { held: Arc::clone(&self.0), digest: *digest })
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Holders>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PushClaim {
    fn drop(&mut self) {
        let mut claims = self.held.lock();
        match claims.get_mut(&self.digest) {
            Some(Holders::Pushes(count)) if *count > 1 => *count -= 1,
            Some(Holders::Pushes(_) | Holders::Remover) | None => drop(claims.remove(&self.digest)),
        }
    }
}

impl RemoveClaim {
    /// Does something with the bytes in a task of its own, which holds the claim until it is done: whoever waits for it may go
    /// away, the work goes on all the same.
    pub(crate) async fn held_during(
        self,
        work: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        let work = tokio::spawn(async move {
            let done = work.await;
            drop(self);
            done
        });
        work.await.unwrap_or(Err(StoreError::Stopped))
    }
}

impl Drop for RemoveClaim {
    fn drop(&mut self) {
        self.held.lock().remove(&self.digest);
        self.held.removed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use docket_oci::digest::Algorithm;
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn pushes_share_and_a_remover_has_it_alone() {
        let (claims, digest) = (Claims::default(), Digest::of(Algorithm::Sha256, b"a"));
        let (first, second) = (claims.push(&digest).await, claims.push(&digest).await);
        assert!(claims.try_remove(&digest).is_none());
        drop(first);
        assert!(claims.try_remove(&digest).is_none());
        assert!(claims.try_remove(&Digest::of(Algorithm::Sha256, b"b")).is_some());
        drop(second);
        let remover = claims.try_remove(&digest).expect("nobody has it");
        assert!(claims.try_remove(&digest).is_none());
        let mut waiting = std::pin::pin!(claims.push(&digest));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(remover);
        drop(waiting.await);
        assert!(claims.0.lock().is_empty());
    }
}
