//! From what an issuer wants to say to the signed bytes.

use super::decode::{SHA384, check_media_type, hash_number};
use super::{Content, MAX_ENTRY_BYTES, SignedStatement, StatementError, VerifiedStatement};
use crate::cbor::{Item, Map};
use crate::cose::{Sign1, label, to_be_signed};
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

impl Draft {
    /// The tagged COSE_Sign1 with an empty unprotected header: statement and entry in one, at most [`MAX_ENTRY_BYTES`].
    ///
    /// Everything but the signature is determined by the draft and the key.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, StatementError> {
        self.sign_as(key, Some(key.public().thumbprint()), Map::new())
    }

    /// The same for the holder of a certificate: its chain, and the hash of the certificate, in the protected header.
    pub fn sign_by_certificate(&self, key: &SigningKey, chain: &Chain) -> Result<Vec<u8>, StatementError> {
        if chain.leaf().key() != Some(key.public()) {
            return Err(StatementError::ChainOfOtherKey);
        }
        let x5t = chain.leaf().fingerprint();
        let labels = vec![(label::X5CHAIN.into(), chain.to_cose()), (label::X5T.into(), x5t.as_cose())];
        self.sign_as(key, None, labels)
    }

    fn sign_as<'a>(
        &'a self,
        key: &SigningKey,
        kid: Option<Thumbprint>,
        labels: Map<'a>,
    ) -> Result<Vec<u8>, StatementError> {
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
        let protected =
            header::encode(key.algorithm(), kid, &self.issuer, self.subject.as_str(), self.issued_at, content_labels);
        let signature = key.sign(&to_be_signed(&protected, payload));
        let entry =
            Sign1 { protected: &protected, unprotected: Map::new(), payload: Some(payload), signature: &signature }
                .encode();
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(StatementError::EntryTooLarge { bytes: entry.len() });
        }
        Ok(entry)
    }

    /// The same, as a statement whose signature needs no check because it was made here.
    pub fn sign_verified(&self, key: &SigningKey) -> Result<VerifiedStatement, StatementError> {
        SignedStatement::decode(&self.sign(key)?).map(VerifiedStatement)
    }
}
