//! Why something is not a key that can be used here.

use super::{IssuerError, KEY_FILE_BYTES_MAX, KEY_SET_KEYS_MAX, PASSPHRASE_BYTES_MAX};
use crate::cbor::CborError;

/// Why something is not a key that can be used here: the fault of whoever wrote the file or the key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key file is longer than any key needs.
    #[error("key file has {bytes} bytes, the limit is {KEY_FILE_BYTES_MAX}")]
    FileTooLarge {
        /// Length of the file.
        bytes: usize,
    },
    /// There is no `-----BEGIN` line.
    #[error("no PEM block found: a line -----BEGIN {label}----- is expected")]
    NoPem {
        /// The label that was looked for.
        label: &'static str,
    },
    /// The PEM block is broken.
    #[error("broken PEM block: {reason}")]
    BadPem {
        /// What the PEM reader says.
        reason: pem_rfc7468::Error,
    },
    /// The PEM block holds something else.
    #[error("PEM block is labelled {found}, expected {expected}")]
    WrongLabel {
        /// The label that was looked for.
        expected: &'static str,
        /// The label of the block.
        found: String,
    },
    /// Text follows the PEM block.
    #[error("text follows the PEM block; one key and nothing after it is expected")]
    TextAfterPem,
    /// The preamble names two issuers.
    #[error("key file names its issuer twice")]
    IssuerTwice,
    /// The preamble names an issuer that is none.
    #[error("issuer in key file: {0}")]
    Issuer(#[from] IssuerError),
    /// The private key is encrypted, and there is no passphrase.
    #[error("the private key is encrypted, and no passphrase was given")]
    Sealed,
    /// The passphrase does not open the file, or the file was changed.
    #[error("the passphrase does not open the private key")]
    WrongPassphrase,
    /// Encrypting what is encrypted.
    #[error("the private key is encrypted already; decrypt it first to change its passphrase")]
    SealedAlready,
    /// Not an EncryptedPrivateKeyInfo.
    #[error("not an encrypted PKCS#8 private key")]
    NotSealed,
    /// Encrypted in a way that is not read here.
    #[error(
        "the private key is encrypted in a way that is not read here; encrypt it with PBES2, by scrypt or by PBKDF2 with SHA-2, and AES: \
         openssl pkcs8 -topk8 -scrypt"
    )]
    SealKind,
    /// Opening the file would cost more than a key file may ask for.
    #[error("the private key's encryption asks for more memory or time than is spent on a key file here")]
    SealTooDear,
    /// A passphrase that is none.
    #[error("a passphrase is one line of 1 to {PASSPHRASE_BYTES_MAX} bytes")]
    BadPassphrase,
    /// Not a DER SubjectPublicKeyInfo.
    #[error("not a public key in SubjectPublicKeyInfo form")]
    NotSpki,
    /// Not an unencrypted PKCS#8 key of a kind that is supported.
    #[error("not an unencrypted PKCS#8 private key on {KINDS}")]
    NotPkcs8,
    /// Not an unencrypted PKCS#8 Ed25519 key.
    #[error("not an unencrypted PKCS#8 Ed25519 private key")]
    NotEd25519,
    /// A key of another kind or on another curve.
    #[error("unsupported kind of key ({kind}); supported are {KINDS}")]
    UnsupportedKind {
        /// The object identifier, COSE key type or algorithm that was found.
        kind: String,
    },
    /// A compressed point, or coordinates of another length.
    #[error("public key is not an uncompressed point, each coordinate as long as its curve's")]
    PointForm,
    /// The point is not on the curve.
    #[error("public key is not a point on its curve")]
    NotOnCurve,
    /// Not an RSA key, or one too small, too large or with an even or huge exponent.
    #[error("public key is not an RSA key of 2048 to 8192 bits with a small odd exponent")]
    RsaForm,
    /// Not 64 lower-case hex digits.
    #[error("a key thumbprint is written as 64 lower-case hex digits")]
    BadThumbprint,
    /// A COSE_Key that is not strictly encoded.
    #[error("COSE key: {0}")]
    Cbor(#[from] CborError),
    /// A COSE_Key or COSE_KeySet of another shape.
    #[error("not a COSE key: {what}")]
    NotCoseKey {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// A COSE_Key whose `kid` is not its thumbprint. Only RFC 9679 key identifiers can be looked up here.
    #[error("COSE key names itself {found} but its thumbprint is {expected}")]
    KidDiffers {
        /// The RFC 9679 thumbprint, hex.
        expected: String,
        /// The `kid` that was found, hex.
        found: String,
    },
    /// Too many keys in one set.
    #[error("key set holds {found} keys, the limit is {KEY_SET_KEYS_MAX}")]
    TooManyKeys {
        /// How many keys were found.
        found: usize,
    },
}

const KINDS: &str = "P-256, P-384, P-521, Ed25519 or RSA of 2048 to 8192 bits";
