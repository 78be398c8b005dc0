//! Rotation: a new key of the service comes into force while it runs, by an entry on the ledger.

use std::sync::Arc;

use crate::access::{Permit, Right};
use crate::effect::Effect;
use crate::error::EngineError;
use crate::instance::Instance;
use crate::keys::{KEY_TYPE, KeyRole, KeyView, NewKey};
use crate::ledger::{Candidate, Logged};
use crate::own::{log_subject, own_statement};

impl Instance {
    /// The service's keys, those in force and those before them, oldest first.
    pub fn keys(&self) -> Vec<KeyView> {
        self.ledger.keys().history.views()
    }

    /// Puts a new key in the place of the one in force: that of a signing command which is configured and has another, unless the key is
    /// to be in a file; else one that is made here. What the old key signed stays verifiable; its private half goes. A caller that goes away leaves it to
    /// the ledger: the key comes into force whole, or not at all.
    pub async fn rotate_key(&self, permit: &Permit, role: KeyRole, to_file: bool) -> Result<KeyView, EngineError> {
        permit.scope(Right::Admin)?;
        let turn = Arc::clone(&self.keys_change).try_lock_owned().map_err(|_| EngineError::KeysBusy)?;
        // 1. Make the key and sync it. A crash from here to the commit leaves a file that the next start removes.
        let new =
            self.ledger.keys().make(role, self.store.folder(), self.service(), &self.key_sources, turn, to_file)?;
        // 2. Log its entry; the sequencer gives the key its file and puts it in force.
        let logged = self.log_key(&new).await;
        if let Err(failure) = &logged
            && left_nothing(failure)
        {
            new.discard();
        }
        let entry = logged?;
        let keys = self.keys();
        Ok(keys
            .into_iter()
            .find(|key| key.entry == entry)
            .expect("the entry's key is in the history that it is in force by"))
    }

    async fn log_key(&self, new: &NewKey) -> Result<u64, EngineError> {
        for _ in 0..ATTEMPTS_MAX {
            let (policy, keys) = (self.ledger.policy(), self.ledger.keys());
            let identity = self.ledger.identity();
            let payload = new.payload(&identity.log, &keys.history).await?;
            let now = self.clock.now();
            let statement = own_statement(identity, &keys, log_subject(identity)?, KEY_TYPE, &payload, now).await?;
            let new_key = Some(new.clone());
            let candidate = Candidate { effect: Effect::ReplaceKey, new_key, ..Candidate::own(statement, now) };
            match self.ledger.log(candidate, policy.entry).await? {
                Logged::Done { index, .. } => return Ok(index),
                Logged::DecideAgain => {}
            }
        }
        Err(EngineError::PoolFull)
    }
}

/// Whether a key entry is certain not to be in the ledger; where that is not known, the next start looks.
fn left_nothing(failure: &EngineError) -> bool {
    use EngineError::{NotLogged, NotSigned, PoolFull, Statement, Unreadable};
    matches!(failure, NotSigned(_) | NotLogged(_) | PoolFull | Statement(_) | Unreadable)
}

const ATTEMPTS_MAX: usize = 4;
