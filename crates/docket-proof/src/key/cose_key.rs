//! COSE_Key and COSE_KeySet (RFC 9052 §7), and the thumbprint made of them (RFC 9679).

use super::{KeyError, PublicKey, Thumbprint, UNCOMPRESSED};
use crate::cbor::{Item, Map, lookup};
use crate::cose::ES256;
use crate::crypto::{P256_POINT_BYTES, sha256};

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
    /// Reads one COSE_Key map. `kid` and `alg` may be absent; where present they must be the thumbprint and ES256.
    /// Other parameters are not read.
    pub fn from_cose_key(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_cose_item(&Item::decode(bytes)?)
    }

    /// The COSE_Key map {kty: EC2, kid: thumbprint, alg: ES256, crv: P-256, x, y}.
    pub fn to_cose_key(&self) -> Vec<u8> {
        self.cose_map().encode()
    }

    fn from_cose_item(item: &Item<'_>) -> Result<Self, KeyError> {
        let entries = item.as_map().ok_or(KeyError::NotCoseKey { what: "it is not a map" })?;
        expect(entries, KTY, EC2, "kty", "the key type is missing")?;
        expect(entries, CRV, P256, "crv", "the curve is missing")?;
        if lookup(entries, ALG).is_some() {
            expect(entries, ALG, ES256, "alg", "the algorithm is missing")?;
        }
        let mut point = [UNCOMPRESSED; P256_POINT_BYTES];
        for (label, place) in [(X, 1..33), (Y, 33..65)] {
            let coordinate = lookup(entries, label).and_then(Item::as_bytes).ok_or(KeyError::PointForm)?;
            if coordinate.len() != place.len() {
                return Err(KeyError::PointForm);
            }
            point[place].copy_from_slice(coordinate);
        }
        let key = Self::from_point(point)?;
        if let Some(kid) = lookup(entries, KID) {
            let kid = kid.as_bytes().ok_or(KeyError::NotCoseKey { what: "kid is not a byte string" })?;
            if kid != key.thumbprint().as_bytes() {
                return Err(KeyError::KidDiffers { expected: key.thumbprint().to_string(), found: hex::encode(kid) });
            }
        }
        Ok(key)
    }

    fn cose_map(&self) -> Item<'_> {
        let (x, y) = self.coordinates();
        let mut entries = required_members(x, y);
        entries.push((KID.into(), Item::Bytes(self.thumbprint.as_bytes())));
        entries.push((ALG.into(), ES256.into()));
        Item::Map(entries)
    }
}

impl Thumbprint {
    /// SHA-256 over the deterministic encoding of the required members (RFC 9679 §3, §4.2).
    pub(super) fn of_coordinates(x: &[u8], y: &[u8]) -> Self {
        Self(sha256(&Item::Map(required_members(x, y)).encode()))
    }
}

fn required_members<'a>(x: &'a [u8], y: &'a [u8]) -> Map<'a> {
    vec![(KTY.into(), EC2.into()), (CRV.into(), P256.into()), (X.into(), Item::Bytes(x)), (Y.into(), Item::Bytes(y))]
}

fn expect(entries: &Map<'_>, label: i64, expected: i64, name: &str, missing: &'static str) -> Result<(), KeyError> {
    match lookup(entries, label) {
        None => Err(KeyError::NotCoseKey { what: missing }),
        Some(value) if *value == expected.into() => Ok(()),
        Some(Item::Integer(found)) => Err(KeyError::UnsupportedKind { kind: format!("{name} {found}") }),
        Some(_) => Err(KeyError::UnsupportedKind { kind: format!("{name} is not an integer") }),
    }
}

// Labels and values of RFC 9052 §7.1 and RFC 9053 §7.1.1.
const KTY: i64 = 1;
const KID: i64 = 2;
const ALG: i64 = 3;
const CRV: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const EC2: i64 = 2;
const P256: i64 = 1;
