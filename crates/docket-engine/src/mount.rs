//! Mounts: a blob of one repository becomes visible in another without being sent.

use docket_oci::digest::Digest;

use crate::access::{Caller, Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

impl Instance {
    /// Makes a blob of another repository visible in this one; false if that one does not hold it.
    pub async fn mount_blob(&self, to: &Permit, from: &Permit, digest: &Digest) -> Result<bool, EngineError> {
        let (to, from) = (to.repository(Right::Push)?.clone(), from.repository(Right::Pull)?.clone());
        Ok(self.store.mount_blob(from, to, *digest, self.clock.now()).await?)
    }

    /// Makes a blob visible in this repository if another one holds it that the caller may read. False says no more than
    /// that the blob must be sent: not that it exists where the caller may not look, for then whoever knows a digest
    /// could read what is private.
    pub async fn mount_blob_from_any(
        &self,
        to: &Permit,
        caller: &Caller,
        digest: &Digest,
    ) -> Result<bool, EngineError> {
        to.repository(Right::Push)?;
        for from in self.store.holders_of_blob(digest, MOUNT_SOURCES_MAX).await? {
            let Ok(from) = self.access.decide(caller, Right::Pull, Some(&from)) else { continue };
            // It may have been deleted there meanwhile.
            if self.mount_blob(to, &from, digest).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Repositories that one mount looks at. A blob that more of them hold may have to be sent once more.
const MOUNT_SOURCES_MAX: usize = 64;
