//! COSE_Key and COSE_KeySet (RFC 9052 §7), and the thumbprint made of them (RFC 9679).

use super::spki_form::{UNCOMPRESSED, coordinate_bytes, rsa_der, rsa_numbers};
use super::{KeyError, PublicKey, Thumbprint};
use crate::cbor::{Item, Map, lookup};
use crate::crypto::{CheckedKey, KeyKind, sha256};

/// Most keys a key set may hold.
pub const KEY_SET_KEYS_MAX: usize = 64;

/// A COSE_KeySet: the array of the keys' COSE_Key maps, in the order given.
pub fn key_set(keys: &[&PublicKey]) -> Vec<u8> {
    Item::Array(keys.iter().map(|key| key.cose_map()).collect()).encode()
}

/// Reads a COSE_KeySet of up to [`KEY_SET_KEYS_MAX`] keys, each by itself: a key of an unknown kind does not spoil the
/// others, and is not passed over in silence either.
pub fn parse_key_set(bytes: &[u8]) -> Result<Vec<Result<PublicKey, KeyError>>, KeyError> {
    let Item::Array(keys) = Item::decode(bytes)? else {
        return Err(KeyError::NotCoseKey { what: "a key set is an array of keys" });
    };
    if keys.len() > KEY_SET_KEYS_MAX {
        return Err(KeyError::TooManyKeys { found: keys.len() });
    }
    Ok(keys.iter().map(PublicKey::from_cose_item).collect())
}

impl PublicKey {
    /// Reads one COSE_Key map: EC2 and OKP (RFC 9053 §7), RSA (RFC 8230 §4). `kid` and `alg` may be absent; where present
    /// they must be the thumbprint and an algorithm of such keys. Other parameters are not read.
    pub fn from_cose_key(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_cose_item(&Item::decode(bytes)?)
    }

    /// The COSE_Key map: the members that make the key, `kid` (the thumbprint), and `alg` where the key has only one.
    pub fn to_cose_key(&self) -> Vec<u8> {
        self.cose_map().encode()
    }

    fn from_cose_item(item: &Item<'_>) -> Result<Self, KeyError> {
        let entries = item.as_map().ok_or(KeyError::NotCoseKey { what: "it is not a map" })?;
        let key = match number(entries, KTY, "kty", "the key type is missing")? {
            EC2 => {
                let curve = number(entries, CRV, "crv", "the curve is missing")?;
                let kind = EC2_CURVES.iter().find(|(_, number)| *number == curve).map(|(kind, _)| *kind);
                let kind = kind.ok_or_else(|| KeyError::UnsupportedKind { kind: format!("crv {curve}") })?;
                let (x, y) = (coordinate(entries, X, kind)?, coordinate(entries, Y, kind)?);
                Self::from_parts(kind, &[&[UNCOMPRESSED], x, y].concat())?
            }
            OKP => match number(entries, CRV, "crv", "the curve is missing")? {
                ED25519 => Self::from_parts(KeyKind::Ed25519, coordinate(entries, X, KeyKind::Ed25519)?)?,
                other => return Err(KeyError::UnsupportedKind { kind: format!("crv {other}") }),
            },
            RSA => {
                let part = |label| lookup(entries, label).and_then(Item::as_bytes).ok_or(KeyError::RsaForm);
                let der = rsa_der(part(MODULUS)?, part(EXPONENT)?).ok_or(KeyError::RsaForm)?;
                Self::from_parts(KeyKind::Rsa, &der)?
            }
            other => return Err(KeyError::UnsupportedKind { kind: format!("kty {other}") }),
        };
        if lookup(entries, ALG).is_some() {
            let found = number(entries, ALG, "alg", "the algorithm is missing")?;
            if !key.algorithms().iter().any(|own| own.number() == found) {
                return Err(KeyError::UnsupportedKind { kind: format!("alg {found}") });
            }
        }
        if let Some(kid) = lookup(entries, KID) {
            let kid = kid.as_bytes().ok_or(KeyError::NotCoseKey { what: "kid is not a byte string" })?;
            if kid != key.thumbprint().as_bytes() {
                return Err(KeyError::KidDiffers { expected: key.thumbprint().to_string(), found: hex::encode(kid) });
            }
        }
        Ok(key)
    }

    fn cose_map(&self) -> Item<'_> {
        let mut entries = required_members(&self.key);
        entries.push((KID.into(), Item::Bytes(self.thumbprint.as_bytes())));
        if let [only] = self.algorithms() {
            entries.push((ALG.into(), only.number().into()));
        }
        Item::Map(entries)
    }
}

impl Thumbprint {
    /// SHA-256 over the deterministic encoding of the required members (RFC 9679 §3, §4).
    pub(super) fn of(key: &CheckedKey) -> Self {
        Self(sha256(&Item::Map(required_members(key)).encode()))
    }
}

/// The members that make a key what it is (RFC 9679 §4.1 to §4.3).
fn required_members(key: &CheckedKey) -> Map<'_> {
    let bytes = key.bytes();
    match key.kind() {
        kind @ (KeyKind::P256 | KeyKind::P384 | KeyKind::P521) => {
            let curve = EC2_CURVES.iter().find(|(known, _)| *known == kind).map_or(0, |(_, number)| *number);
            let (x, y) = bytes[1..].split_at(coordinate_bytes(kind));
            let (x, y) = (Item::Bytes(x), Item::Bytes(y));
            vec![(KTY.into(), EC2.into()), (CRV.into(), curve.into()), (X.into(), x), (Y.into(), y)]
        }
        KeyKind::Ed25519 => {
            vec![(KTY.into(), OKP.into()), (CRV.into(), ED25519.into()), (X.into(), Item::Bytes(bytes))]
        }
        KeyKind::Rsa => {
            let [modulus, exponent] = rsa_numbers(bytes).expect("a checked RSA key has two numbers");
            let (modulus, exponent) = (Item::Bytes(modulus), Item::Bytes(exponent));
            vec![(KTY.into(), RSA.into()), (MODULUS.into(), modulus), (EXPONENT.into(), exponent)]
        }
    }
}

fn coordinate<'a>(entries: &Map<'a>, label: i64, kind: KeyKind) -> Result<&'a [u8], KeyError> {
    let bytes = lookup(entries, label).and_then(Item::as_bytes);
    bytes.filter(|bytes| bytes.len() == coordinate_bytes(kind)).ok_or(KeyError::PointForm)
}

fn number(entries: &Map<'_>, label: i64, name: &str, missing: &'static str) -> Result<i64, KeyError> {
    match lookup(entries, label) {
        None => Err(KeyError::NotCoseKey { what: missing }),
        Some(value) => {
            let not_small = || KeyError::UnsupportedKind { kind: format!("{name} is not a small integer") };
            value.as_i64().ok_or_else(not_small)
        }
    }
}

// Labels and values of RFC 9052 §7.1, RFC 9053 §7.1 and RFC 8230 §4.
const KTY: i64 = 1;
const KID: i64 = 2;
const ALG: i64 = 3;
const CRV: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;
const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
const ED25519: i64 = 6;
const EC2_CURVES: [(KeyKind, i64); 3] = [(KeyKind::P256, 1), (KeyKind::P384, 2), (KeyKind::P521, 3)];
