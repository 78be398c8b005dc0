//! The receipts of one entry: which of them prove it, and whether that is as many as the reader demands.

use docket_proof::receipt::{AnyReceipt, Format, Position, ReceiptError, ServiceName};
use docket_proof::trust::{Need, Requirement, Trust};
use serde::{Serialize, Serializer};

use super::Problem;

/// What became of one receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptVerdict {
    /// The service that it names, if it names one that can be read.
    pub service: Option<ServiceName>,
    /// Its form, if it is a known one.
    pub format: Option<Format>,
    /// Where the entry stands, as far as that is proven; only of receipts that hold.
    pub position: Option<Position>,
    /// When the service signed it, in seconds since 1970, by its own word.
    pub signed_at: Option<i64>,
    /// Whether it proves the entry.
    #[serde(flatten)]
    pub result: ReceiptResult,
}

/// Whether a receipt proves its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "detail", rename_all = "kebab-case")]
pub enum ReceiptResult {
    /// A service that is believed signed a tree with the entry in it.
    Ok,
    /// Its service is not believed; nothing about it was checked.
    NotListed,
    /// It is in a form that is not known, which says nothing for or against the entry.
    UnknownFormat(Detail),
    /// It names a service that is believed, and does not hold.
    Broken(Detail),
}

/// Why a receipt does not count, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(String);

/// All that the receipts of one entry come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipts {
    /// Those that hold first; at most [`RECEIPTS_SHOWN_MAX`].
    pub(super) verdicts: Vec<ReceiptVerdict>,
    /// Why they are not enough, if they are not.
    pub(super) problem: Option<Problem>,
}

impl Receipts {
    /// When the first service whose receipt holds saw the statement, in seconds since 1970.
    pub(super) fn seen_at(&self) -> Option<i64> {
        let proven = self.verdicts.iter().filter(|verdict| verdict.result == ReceiptResult::Ok);
        proven.filter_map(|verdict| verdict.signed_at).min()
    }
}

/// Most receipts of one entry that a verdict tells of.
pub const RECEIPTS_SHOWN_MAX: usize = 32;

/// Judges the receipts of an entry; `unknown` is how many things stood among them that are no receipts.
pub(super) fn judge(entry: &[u8], receipts: &[&[u8]], unknown: usize, trust: &Trust) -> Receipts {
    let mut broken = None;
    let mut verdicts: Vec<_> = receipts.iter().map(|bytes| judge_one(bytes, entry, trust, &mut broken)).collect();
    let not_read = || ReceiptVerdict {
        service: None,
        format: None,
        position: None,
        signed_at: None,
        result: ReceiptResult::UnknownFormat(Detail("it is not a byte string, as RFC 9943 has it".to_owned())),
    };
    verdicts.extend((0..unknown).map(|_| not_read()));
    let holds = |verdict: &&ReceiptVerdict| verdict.result == ReceiptResult::Ok;
    let mut proven: Vec<_> = verdicts.iter().filter(holds).filter_map(|verdict| verdict.service.clone()).collect();
    proven.sort();
    proven.dedup();
    let problem = match missing(trust, &proven) {
        None => None,
        Some((needed, of)) if !proven.is_empty() => Some(Problem::TooFewReceipts { needed, of, proven }),
        Some(_) => broken.or_else(|| {
            let mut found: Vec<_> = verdicts.iter().filter_map(|verdict| verdict.service.clone()).collect();
            found.sort();
            found.dedup();
            let unknown = verdicts.iter().filter(|verdict| verdict.service.is_none()).count();
            Some(Problem::NoTrustedReceipt { found, unknown })
        }),
    };
    // What holds comes first, and a place that is proven before one that is not.
    verdicts.sort_by_key(|verdict| match (&verdict.result, &verdict.position) {
        (ReceiptResult::Ok, Some(Position::Index { .. })) => 0,
        (ReceiptResult::Ok, _) => 1,
        (ReceiptResult::Broken(_), _) => 2,
        (ReceiptResult::UnknownFormat(_) | ReceiptResult::NotListed, _) => 3,
    });
    verdicts.truncate(RECEIPTS_SHOWN_MAX);
    Receipts { verdicts, problem }
}

/// How many receipts are needed and of how many services, where those that were proven are too few.
fn missing(trust: &Trust, proven: &[ServiceName]) -> Option<(usize, usize)> {
    let Requirement { need, services } = trust.requirement();
    let counts = |name: &&ServiceName| services.is_empty() || services.contains(name);
    let of = if services.is_empty() { trust.services().len() } else { services.len() };
    let needed = match need {
        Need::Any => 1,
        Need::All => of,
        Need::AtLeast(count) => *count,
    };
    (proven.iter().filter(counts).count() < needed).then_some((needed, of))
}

fn judge_one(bytes: &[u8], entry: &[u8], trust: &Trust, broken: &mut Option<Problem>) -> ReceiptVerdict {
    let claimed = AnyReceipt::claimed_service(bytes);
    let listed = claimed.as_ref().and_then(|service| trust.service(service));
    let receipt = AnyReceipt::decode(bytes);
    let read = receipt.as_ref().ok();
    let mut verdict = ReceiptVerdict {
        service: claimed,
        format: read.map(AnyReceipt::format),
        position: None,
        signed_at: read.and_then(AnyReceipt::signed_at),
        result: ReceiptResult::NotListed,
    };
    let proven = match (receipt, listed) {
        (Err(failure), _) if is_unknown_format(&failure) => {
            verdict.result = ReceiptResult::UnknownFormat(Detail(failure.to_string()));
            Err(failure)
        }
        (Err(failure), Some(_)) => Err(failure),
        (Ok(receipt), Some(service)) => receipt.verify(entry, &service.keys, service.profile),
        (Ok(_) | Err(_), None) => return verdict,
    };
    match proven {
        Ok(position) => {
            verdict.position = Some(position);
            verdict.result = ReceiptResult::Ok;
        }
        Err(reason) => {
            let Some(service) = listed else { return verdict };
            if verdict.result == ReceiptResult::NotListed {
                verdict.result = ReceiptResult::Broken(Detail(reason.to_string()));
            }
            broken.get_or_insert(Problem::Receipt { service: service.issuer.clone(), reason });
        }
    }
    verdict
}

/// Whether bytes are something else than a receipt that is known here, rather than a bad one.
fn is_unknown_format(failure: &ReceiptError) -> bool {
    matches!(failure, ReceiptError::VdsUnknown { .. } | ReceiptError::VdsMissing | ReceiptError::Cose(_))
}

impl ReceiptVerdict {
    /// Why it does not count, if there is more to say than that its service is not listed.
    pub fn reason(&self) -> Option<&str> {
        match &self.result {
            ReceiptResult::Ok | ReceiptResult::NotListed => None,
            ReceiptResult::UnknownFormat(Detail(reason)) | ReceiptResult::Broken(Detail(reason)) => Some(reason),
        }
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
