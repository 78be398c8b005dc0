//! What every handler knows of a request: the instance, who calls, and the request's id.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use docket_engine::{Account, Caller, EngineError, Instance, Permit, Right};
use docket_oci::name::RepositoryName;
use docket_store::StoreError;

use crate::config::Limits;
use crate::http::auth::KnownAs;
use crate::http::failure::Failure;
use crate::http::listener::Peer;
use crate::http::rate::Rate;
use crate::telemetry::Traffic;

/// Handed to every handler by `enter`.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub instance: Arc<Instance>,
    pub traffic: Arc<Traffic>,
    pub caller: Caller,
    /// Under which URL the caller knows this server, for answers that say where to log in.
    pub known_as: KnownAs,
    pub request_id: RequestId,
    /// The other end, on the public address.
    pub peer: Option<Arc<Peer>>,
    /// The client's network, on the public address.
    pub network: Option<IpAddr>,
    /// How long a caller waits for its receipt.
    pub registration_wait: Duration,
    /// How often callers without an account may register.
    registrations: Arc<Rate>,
    /// Differs at each start, so that ids of two runs are not mistaken for each other.
    run: u32,
}

/// Counts the requests of all listeners, so that no id comes twice.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

impl Context {
    pub(crate) fn new(instance: Arc<Instance>, traffic: Arc<Traffic>, caller: Caller, limits: &Limits) -> Self {
        let run = std::process::id();
        Self {
            instance,
            traffic,
            caller,
            known_as: KnownAs::default(),
            request_id: RequestId { run, number: 0 },
            peer: None,
            network: None,
            registration_wait: limits.registration_wait,
            registrations: Arc::new(Rate::per_minute(limits.anonymous_registrations_per_minute)),
            run,
        }
    }

    /// The context of one request.
    pub(crate) fn enter(&self, peer: Option<Arc<Peer>>, network: Option<IpAddr>) -> Self {
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        Self { request_id: RequestId { run: self.run, number }, peer, network, ..self.clone() }
    }

    /// Counts one more statement that is sent for registration. Accounts are known and can be spoken to; of strangers,
    /// SCRAPI wants them slowed down.
    pub(crate) fn count_registration(&self) -> Result<(), Failure> {
        match (self.caller.account(), self.network) {
            (Account::Anonymous, Some(network)) => self.registrations.take(network).map_err(Failure::too_often),
            (Account::Anonymous | Account::Named(_) | Account::Loopback | Account::Operator, _) => Ok(()),
        }
    }

    /// Asks the rules.
    pub(crate) fn permit(&self, right: Right, repository: Option<&RepositoryName>) -> Result<Permit, EngineError> {
        let permit = self.instance.access().decide(&self.caller, right, repository)?;
        let changes = match right {
            Right::Push | Right::Delete | Right::Tag | Right::Claim => true,
            Right::Pull | Right::Admin => false,
        };
        // The store would refuse as well, but only after a whole upload.
        if changes && self.instance.is_restored() {
            return Err(StoreError::Restored(self.instance.data_folder().to_owned()).into());
        }
        Ok(permit)
    }
}

/// Names a request in answers and in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId {
    run: u32,
    number: u64,
}

impl RequestId {
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("hex digits and a dash")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{:x}", self.run, self.number)
    }
}
