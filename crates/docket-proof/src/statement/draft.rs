//! From what an issuer wants to say to the signed bytes.

use super::decode::{SHA384, check_media_type, hash_number};
use super::{Content, MAX_ENTRY_BYTES, SignedStatement, StatementError, VerifiedStatement};
use crate::cbor::{Item, Map};
use crate::cose::{Sign1, label, to_be_signed};
use crate::crypto::SignatureAlgorithm;
use crate::header;
use crate::key::{Issuer, SigningKey, Thumbprint};
use crate::subject::Subject;
use crate::x509::Chain;

/// A statement about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who says it.
    pub issuer: Issuer,
    /// About what.
    pub subject: Subject,
    /// When, in seconds since 1970.
    pub issued_at: Option<i64>,
    /// What.
    pub content: Content,
    /// What kind of statement it says it is (`typ`, RFC 9596), a media type.
    pub typ: Option<String>,
}

/// A statement that waits for its signature, wherever the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedStatement {
    protected: Vec<u8>,
    payload: Vec<u8>,
}

impl Draft {
    /// The tagged COSE_Sign1 with an empty unprotected header: statement and entry in one, at most [`MAX_ENTRY_BYTES`].
    ///
    /// Everything but the signature is determined by the draft and the key.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, StatementError> {
        let unsigned = self.unsigned(key.algorithm(), key.public().thumbprint())?;
        unsigned.signed(&key.sign(&unsigned.to_be_signed()))
    }

    /// The same for the holder of a certificate: its chain, and the hash of the certificate, in the protected header.
    pub fn sign_by_certificate(&self, key: &SigningKey, chain: &Chain) -> Result<Vec<u8>, StatementError> {
        if chain.leaf().key() != Some(key.public()) {
            return Err(StatementError::ChainOfOtherKey);
        }
        let x5t = chain.leaf().fingerprint();
        let labels = vec![(label::X5CHAIN.into(), chain.to_cose()), (label::X5T.into(), x5t.as_cose())];
        let unsigned = self.unsigned_with(key.algorithm(), None, labels)?;
        unsigned.signed(&key.sign(&unsigned.to_be_signed()))
    }

    /// The same as [`sign`](Self::sign), as a statement whose signature needs no check because it was made here.
    pub fn sign_verified(&self, key: &SigningKey) -> Result<VerifiedStatement, StatementError> {
        SignedStatement::decode(&self.sign(key)?).map(VerifiedStatement)
    }

    /// What [`sign`](Self::sign) signs, for a key that is known by its name alone.
    pub fn unsigned(
        &self,
        algorithm: SignatureAlgorithm,
        key: Thumbprint,
    ) -> Result<UnsignedStatement, StatementError> {
        self.unsigned_with(algorithm, Some(key), Map::new())
    }

    fn unsigned_with<'a>(
        &'a self,
        algorithm: SignatureAlgorithm,
        kid: Option<Thumbprint>,
        labels: Map<'a>,
    ) -> Result<UnsignedStatement, StatementError> {
        check_media_type(self.content.media_type())?;
        self.typ.as_deref().map_or(Ok(()), check_media_type)?;
        let (mut content_labels, payload): (Map<'a>, &[u8]) = match &self.content {
            Content::HashEnvelope { digest, media_type } => (
                vec![
                    (label::PAYLOAD_HASH_ALG.into(), hash_number(digest.algorithm()).into()),
                    (label::PREIMAGE_CONTENT_TYPE.into(), Item::Text(media_type)),
                ],
                digest.hash(),
            ),
            Content::Sha384Envelope { hash, media_type } => (
                vec![
                    (label::PAYLOAD_HASH_ALG.into(), SHA384.into()),
                    (label::PREIMAGE_CONTENT_TYPE.into(), Item::Text(media_type)),
                ],
                hash,
            ),
            Content::Payload { media_type, bytes } => {
                (vec![(label::CONTENT_TYPE.into(), Item::Text(media_type))], bytes)
            }
        };
        content_labels.extend(self.typ.as_deref().map(|typ| (label::TYP.into(), Item::Text(typ))));
        // Refused before the payload is copied; the entry with its header is measured below.
        if payload.len() > MAX_ENTRY_BYTES {
            return Err(StatementError::EntryTooLarge { bytes: payload.len() });
        }
        content_labels.extend(labels);
        let (subject, issued_at) = (self.subject.as_str(), self.issued_at);
        let protected = header::encode(algorithm, kid, &self.issuer, subject, issued_at, content_labels);
        Ok(UnsignedStatement { protected, payload: payload.to_vec() })
    }
}

impl UnsignedStatement {
    /// The bytes to sign.
    pub fn to_be_signed(&self) -> Vec<u8> {
        to_be_signed(&self.protected, &self.payload)
    }

    /// The tagged COSE_Sign1, at most [`MAX_ENTRY_BYTES`], with the signature taken as it is: whoever decodes it verifies.
    pub fn signed(&self, signature: &[u8]) -> Result<Vec<u8>, StatementError> {
        let Self { protected, payload } = self;
        let entry = Sign1 { protected, unprotected: Map::new(), payload: Some(payload), signature }.encode();
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(StatementError::EntryTooLarge { bytes: entry.len() });
        }
        Ok(entry)
    }
}
