//! The keys of notes: a name, a kind of signature, and an Ed25519 key.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{NoteError, NoteSignature};
use crate::crypto::{ED25519_KEY_BYTES, Ed25519KeyPair, Ed25519Point, sha256_of_parts};
use crate::key::{Issuer, KeyError, split_private, to_private_pem};

/// Who signs: not empty, without spaces, control characters and plus signs. A log or witness is named by a URL without
/// its scheme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoteKeyKind {
    /// The text as it stands (type 0x01): what a log does.
    Ed25519,
    /// The time, then the text (type 0x04, cosignature/v1): what a witness does.
    Cosignature,
}

/// A key that signatures of notes are verified with, known by its name and a short id.
#[derive(Clone)]
pub struct NoteKey {
    name: KeyName,
    kind: NoteKeyKind,
    pub(super) id: [u8; 4],
    point: Ed25519Point,
}

/// A private key of notes. `Debug` shows the public half only.
#[derive(Clone)]
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    public: NoteKey,
}

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(name: &str) -> Result<Self, NoteError> {
        let is_refused = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(is_refused) {
            return Err(NoteError::BadName(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NoteKeyKind {
    /// The signature type's byte, as it stands in key ids.
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

impl NoteKey {
    fn new(name: KeyName, kind: NoteKeyKind, point: Ed25519Point) -> Self {
        let hash = sha256_of_parts(&[name.0.as_bytes(), b"\n", &[kind.byte()], point.bytes()]);
        Self { name, kind, id: [hash[0], hash[1], hash[2], hash[3]], point }
    }

    /// Who signs with it.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// How it signs.
    pub fn kind(&self) -> NoteKeyKind {
        self.kind
    }

    /// The Ed25519 key itself: two keys of different names may hold the same one.
    pub fn key_bytes(&self) -> &[u8; ED25519_KEY_BYTES] {
        self.point.bytes()
    }

    /// Whether a line claims to be this key's.
    pub(super) fn is_named_by(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.id == self.id
    }

    /// The time that a good signature states, if it is of a kind that does; `None` if it is not good.
    #[expect(clippy::option_option, reason = "the inner one is part of the answer")]
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let (time, signature) = match self.kind {
            NoteKeyKind::Ed25519 => (None, signature),
            NoteKeyKind::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                // C2SP tlog-cosignature: no time beyond 2^63 - 1.
                i64::try_from(time).ok()?;
                (Some(time), signature)
            }
        };
        self.point.verifies(&message(time, text), signature).then_some(time)
    }
}

/// The text form: name, key id in hex, and base64 of kind and key, with plus signs between.
impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[self.kind.byte()], &self.point.bytes()[..]].concat());
        write!(f, "{}+{}+{key}", self.name, hex::encode(self.id))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::NotAKey);
        };
        let name: KeyName = name.parse()?;
        let key = STANDARD.decode(key).map_err(|_| NoteError::NotAKey)?;
        let (&kind, bytes) = key.split_first().ok_or(NoteError::NotAKey)?;
        let kind = [NoteKeyKind::Ed25519, NoteKeyKind::Cosignature].into_iter().find(|known| known.byte() == kind);
        let kind = kind.ok_or_else(|| NoteError::UnsupportedKind { name: name.to_string(), kind: key[0] })?;
        let bytes = bytes.try_into().map_err(|_| NoteError::NotAKey)?;
        let key = Self::new(name, kind, Ed25519Point::new(bytes).map_err(|_| NoteError::NotAKey)?);
        if id != hex::encode(key.id) {
            return Err(NoteError::KeyIdDiffers { name: key.name.0 });
        }
        Ok(key)
    }
}

impl PartialEq for NoteKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.point.bytes() == other.point.bytes()
    }
}

impl Eq for NoteKey {}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteKey({self})")
    }
}

impl NoteSigner {
    /// A new key. The randomness comes from the cryptographic library.
    pub fn generate(name: KeyName, kind: NoteKeyKind) -> Self {
        Self::holding(name, kind, Ed25519KeyPair::generate())
    }

    /// Reads the text of a key file: an unencrypted PKCS#8 PEM block, perhaps with lines before it.
    pub fn parse(name: KeyName, kind: NoteKeyKind, text: &str) -> Result<Self, KeyError> {
        let (_, der) = split_private(text)?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| KeyError::NotEd25519)?;
        Ok(Self::holding(name, kind, pair))
    }

    /// The text of the key's file, which names whose it is. It is a secret.
    pub fn to_text(&self, issuer: &Issuer) -> Zeroizing<String> {
        self.pair.with_pkcs8(|der| to_private_pem(Some(issuer), der))
    }

    /// The public half.
    pub fn public(&self) -> &NoteKey {
        &self.public
    }

    /// Signs a text; a cosignature states `time`, in Unix seconds.
    pub fn sign(&self, text: &str, time: u64) -> NoteSignature {
        let NoteKey { name, kind, id, .. } = self.public.clone();
        let bytes = match kind {
            NoteKeyKind::Ed25519 => self.pair.sign(&message(None, text)),
            NoteKeyKind::Cosignature => [&time.to_be_bytes()[..], &self.pair.sign(&message(Some(time), text))].concat(),
        };
        NoteSignature { name, id, bytes }
    }

    fn holding(name: KeyName, kind: NoteKeyKind, pair: Ed25519KeyPair) -> Self {
        let public = NoteKey::new(name, kind, pair.point());
        Self { pair, public }
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner(secret of {})", self.public)
    }
}

/// What is signed: the text, and before it for a cosignature what it is and when it was made.
fn message(time: Option<u64>, text: &str) -> Vec<u8> {
    time.map_or_else(|| text.to_owned(), |time| format!("cosignature/v1\ntime {time}\n{text}")).into_bytes()
}
