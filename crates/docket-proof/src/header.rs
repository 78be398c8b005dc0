//! What the protected headers of statements and receipts have in common: algorithm, crit, kid and CWT claims.

use crate::cbor::{Item, Map, lookup};
use crate::cose::label;
use crate::crypto::SignatureAlgorithm;
use crate::key::{Issuer, IssuerError, Thumbprint};

/// The common part of a protected header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: SignatureAlgorithm,
    /// For whoever needs one: a statement with a certificate does not.
    pub(crate) kid: Result<Thumbprint, HeaderError>,
    pub(crate) issuer: Issuer,
    pub(crate) subject: &'a str,
    /// Seconds since 1970.
    pub(crate) issued_at: Option<i64>,
}

/// Why a protected header cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No algorithm, or one that is not an integer.
    #[error("protected header names no signature algorithm (label 1)")]
    AlgorithmMissing,
    /// An algorithm that is not supported.
    #[error(
        "unsupported signature algorithm {found}; supported are ES256, ES384, ES512, PS256, PS384, PS512 and EdDSA"
    )]
    Algorithm {
        /// The number that was found (IANA COSE algorithms).
        found: i128,
    },
    /// `crit` is not a non-empty array of labels, or stands in the unprotected header.
    #[error("crit (label 2) must be a non-empty array of labels in the protected header")]
    CritMalformed,
    /// `crit` demands a label that is not understood here.
    #[error("crit demands header {label}, which is not understood here")]
    CritUnknown {
        /// The label, as a number or in quotes.
        label: String,
    },
    /// `crit` names a label that the protected header does not hold.
    #[error("crit names header {label}, which the protected header does not hold")]
    CritAbsent {
        /// The label, as a number or in quotes.
        label: String,
    },
    /// One label in both headers.
    #[error("header {label} stands in the protected and in the unprotected header")]
    InBothHeaders {
        /// The label, as a number or in quotes.
        label: String,
    },
    /// No key identifier.
    #[error(
        "protected header holds neither kid (label 4) nor, for a statement, a certificate (x5chain, label 33, or x5t, label 34)"
    )]
    KidMissing,
    /// A key identifier that is no RFC 9679 thumbprint.
    #[error("kid (label 4) must be the 32 bytes of the key's RFC 9679 thumbprint")]
    KidForm,
    /// No CWT claims map.
    #[error("protected header holds no CWT claims (label 15)")]
    ClaimsMissing,
    /// No issuer, or one that is not text.
    #[error("CWT claims hold no iss (claim 1) as text")]
    IssuerMissing,
    /// The issuer is not a URI.
    #[error("iss (CWT claim 1): {0}")]
    Issuer(#[from] IssuerError),
    /// No subject, or one that is not text.
    #[error("CWT claims hold no sub (claim 2) as text")]
    SubjectMissing,
    /// A time that is not an integer.
    #[error("iat (CWT claim 6) must be whole seconds since 1970")]
    IssuedAtForm,
}

impl<'a> Header<'a> {
    /// Checks and reads the common part. `understood` are the labels that `crit` may demand.
    pub(crate) fn read(
        protected: &Map<'a>,
        unprotected: &Map<'a>,
        understood: &[Item<'_>],
    ) -> Result<Self, HeaderError> {
        check_twice(protected, unprotected)?;
        let algorithm = algorithm(protected)?;
        check_crit(protected, unprotected, understood)?;
        let kid = match lookup(protected, label::KID).map(|kid| kid.as_bytes().and_then(|kid| kid.try_into().ok())) {
            Some(Some(kid)) => Ok(Thumbprint::from_bytes(kid)),
            Some(None) => Err(HeaderError::KidForm),
            None => Err(HeaderError::KidMissing),
        };
        let claims = lookup(protected, label::CWT_CLAIMS).and_then(Item::as_map).ok_or(HeaderError::ClaimsMissing)?;
        let issuer = lookup(claims, label::ISS).and_then(Item::as_text).ok_or(HeaderError::IssuerMissing)?;
        let subject = lookup(claims, label::SUB).and_then(Item::as_text).ok_or(HeaderError::SubjectMissing)?;
        let issued_at = lookup(claims, label::IAT).map(seconds).transpose()?;
        Ok(Self { algorithm, kid, issuer: issuer.parse()?, subject, issued_at })
    }
}

/// A protected header with `alg` and CWT claims, and `kid` if there is one, to which `more` is added.
pub(crate) fn encode(
    algorithm: SignatureAlgorithm,
    kid: Option<Thumbprint>,
    issuer: &Issuer,
    subject: &str,
    issued_at: Option<i64>,
    more: Map<'_>,
) -> Vec<u8> {
    let mut claims: Map<'_> =
        vec![(label::ISS.into(), Item::Text(issuer.as_str())), (label::SUB.into(), Item::Text(subject))];
    claims.extend(issued_at.map(|seconds| (label::IAT.into(), seconds.into())));
    let mut entries: Map<'_> =
        vec![(label::ALG.into(), algorithm.number().into()), (label::CWT_CLAIMS.into(), Item::Map(claims))];
    entries.extend(kid.as_ref().map(|kid| (label::KID.into(), Item::Bytes(kid.as_bytes()))));
    entries.extend(more);
    Item::Map(entries).encode()
}

/// The algorithm of the signature.
pub(crate) fn algorithm(protected: &Map<'_>) -> Result<SignatureAlgorithm, HeaderError> {
    let Some(Item::Integer(found)) = lookup(protected, label::ALG) else {
        return Err(HeaderError::AlgorithmMissing);
    };
    SignatureAlgorithm::of_number(*found).ok_or(HeaderError::Algorithm { found: *found })
}

/// Refuses a label that stands in both headers.
pub(crate) fn check_twice(protected: &Map<'_>, unprotected: &Map<'_>) -> Result<(), HeaderError> {
    match unprotected.iter().find(|(label, _)| holds(protected, label)) {
        Some((twice, _)) => Err(HeaderError::InBothHeaders { label: name(twice) }),
        None => Ok(()),
    }
}

/// Whole seconds, bare (RFC 8392) or under tag 1 as some issuers write them.
pub(crate) fn seconds(item: &Item<'_>) -> Result<i64, HeaderError> {
    let bare = match item {
        Item::Tag(EPOCH_TIME, content) => content,
        other => other,
    };
    bare.as_i64().ok_or(HeaderError::IssuedAtForm)
}

/// Refuses a `crit` that is malformed or demands what is not `understood`.
pub(crate) fn check_crit(
    protected: &Map<'_>,
    unprotected: &Map<'_>,
    understood: &[Item<'_>],
) -> Result<(), HeaderError> {
    if lookup(unprotected, label::CRIT).is_some() {
        return Err(HeaderError::CritMalformed);
    }
    let Some(crit) = lookup(protected, label::CRIT) else {
        return Ok(());
    };
    let demanded = crit.as_array().filter(|labels| !labels.is_empty()).ok_or(HeaderError::CritMalformed)?;
    for label in demanded {
        if !matches!(label, Item::Integer(_) | Item::Text(_)) {
            return Err(HeaderError::CritMalformed);
        }
        if !understood.contains(label) {
            return Err(HeaderError::CritUnknown { label: name(label) });
        }
        if !holds(protected, label) {
            return Err(HeaderError::CritAbsent { label: name(label) });
        }
    }
    Ok(())
}

fn holds(map: &Map<'_>, label: &Item<'_>) -> bool {
    map.iter().any(|(candidate, _)| candidate == label)
}

fn name(label: &Item<'_>) -> String {
    match label {
        Item::Integer(number) => number.to_string(),
        Item::Text(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    }
}

/// The tag of a time in seconds since 1970 (RFC 8949 §3.4.2).
const EPOCH_TIME: u64 = 1;
