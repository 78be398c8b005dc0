//! Key files: a PEM block, before it an optional line naming the issuer.
//!
//! ```text
//! issuer: https://wabbit.example
//! -----BEGIN PUBLIC KEY-----
//! …
//! -----END PUBLIC KEY-----
//! ```
//! Text before the block is explanatory to other readers (RFC 7468 §2); openssl skips it.

use pem_rfc7468::decode_vec;
use zeroize::Zeroizing;

use super::{ENCRYPTED_LABEL, Issuer, KeyError, PRIVATE_LABEL, PUBLIC_LABEL, PublicKey, SigningKey, encode_pem};

/// Most bytes a key file may have.
pub const KEY_FILE_BYTES_MAX: usize = 65_536;

/// A `.key` file: a private key (PKCS#8) and the issuer it signs as. One under a passphrase is opened with [`unseal`](super::unseal)
/// first.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// Who signs with the key; `None` for a key without another name than its thumbprint.
    pub issuer: Option<Issuer>,
    /// The private key.
    pub key: SigningKey,
}

/// A `.pub` file: a public key (SubjectPublicKeyInfo) and the issuer it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyFile {
    /// Whose key it is; `None` for a key without another name than its thumbprint.
    pub issuer: Option<Issuer>,
    /// The public key.
    pub key: PublicKey,
}

impl KeyFile {
    /// Reads the text of a `.key` file. Preamble lines other than `issuer:` are ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (issuer, pem) = split(PRIVATE_LABEL, text)?;
        Ok(Self { issuer, key: SigningKey::from_pkcs8_pem(pem)? })
    }

    /// The text of the file. It is a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(preamble(self.issuer.as_ref()) + &self.key.to_pkcs8_pem())
    }

    /// The `.pub` file that belongs to this one.
    pub fn to_public(&self) -> PublicKeyFile {
        PublicKeyFile { issuer: self.issuer.clone(), key: self.key.public().clone() }
    }
}

impl PublicKeyFile {
    /// Reads the text of a `.pub` file. Preamble lines other than `issuer:` are ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (issuer, pem) = split(PUBLIC_LABEL, text)?;
        Ok(Self { issuer, key: PublicKey::from_spki_pem(pem)? })
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        preamble(self.issuer.as_ref()) + &self.key.to_spki_pem()
    }
}

/// The issuer that the preamble of a private key file names, and the PKCS#8 DER in its block.
pub(crate) fn split_private(text: &str) -> Result<(Option<Issuer>, Zeroizing<Vec<u8>>), KeyError> {
    let (issuer, pem) = split(PRIVATE_LABEL, text)?;
    Ok((issuer, Zeroizing::new(decode_pem(PRIVATE_LABEL, pem)?)))
}

/// The text of a private key file. It is a secret.
pub(crate) fn to_private_pem(issuer: Option<&Issuer>, der: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(preamble(issuer) + &encode_pem(PRIVATE_LABEL, der))
}

/// The content of the one PEM block with `label`, which must start the text and end it.
pub(super) fn decode_pem(label: &'static str, pem: &str) -> Result<Vec<u8>, KeyError> {
    if pem.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyError::FileTooLarge { bytes: pem.len() });
    }
    if !pem.starts_with(BEGIN) {
        return Err(KeyError::NoPem { label });
    }
    let block = one_block(pem)?;
    let (found, der) = decode_vec(block.as_bytes()).map_err(|reason| KeyError::BadPem { reason })?;
    if label == PRIVATE_LABEL && found == ENCRYPTED_LABEL {
        return Err(KeyError::Sealed);
    }
    if found != label {
        return Err(KeyError::WrongLabel { expected: label, found: found.to_owned() });
    }
    Ok(der)
}

/// The block up to and including its END line; only white space may follow.
fn one_block(pem: &str) -> Result<&str, KeyError> {
    let Some(end) = pem.find("-----END ") else {
        return Ok(pem);
    };
    let line_end = pem[end..].find('\n').map_or(pem.len(), |newline| end + newline + 1);
    let (block, after) = pem.split_at(line_end);
    if after.trim().is_empty() { Ok(block) } else { Err(KeyError::TextAfterPem) }
}

/// The issuer that the preamble names, and the text from the PEM block on.
fn split<'a>(label: &'static str, text: &'a str) -> Result<(Option<Issuer>, &'a str), KeyError> {
    let (before, pem) = parts(label, text)?;
    let mut issuer = None;
    for uri in before.lines().filter_map(|line| line.strip_prefix(ISSUER_PREFIX)) {
        if issuer.replace(uri.trim().parse()?).is_some() {
            return Err(KeyError::IssuerTwice);
        }
    }
    Ok((issuer, pem))
}

/// The text before the PEM block, and the text from it on.
pub(super) fn parts<'a>(label: &'static str, text: &'a str) -> Result<(&'a str, &'a str), KeyError> {
    if text.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyError::FileTooLarge { bytes: text.len() });
    }
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(BEGIN) {
            return Ok(text.split_at(offset));
        }
        offset += line.len();
    }
    Err(KeyError::NoPem { label })
}

fn preamble(issuer: Option<&Issuer>) -> String {
    issuer.map_or_else(String::new, |issuer| format!("{ISSUER_PREFIX} {issuer}\n"))
}

const BEGIN: &str = "-----BEGIN ";
const ISSUER_PREFIX: &str = "issuer:";
