//! Key files under a passphrase: PKCS#8 EncryptedPrivateKeyInfo (RFC 5958 §3) by PBES2 (RFC 8018 §6.2) with scrypt and
//! AES-256-CBC. openssl reads what is written here, and what it writes is read, as far as the limits below go.
//!
//! The text around the block stays, and so does the kind of the key: nothing here looks at it.

use std::fmt;
use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Salt, ScryptParams};
use zeroize::Zeroizing;

use super::file::{decode_pem, parts};
use super::{ENCRYPTED_LABEL, KeyError, PRIVATE_LABEL, encode_pem};
use crate::crypto::random;

/// Most bytes a passphrase may have.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// What key files are opened with: something a person remembers, or random text from a file. It is wiped from memory with its last
/// copy, and `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Arc<Zeroizing<Vec<u8>>>);

impl Passphrase {
    /// Takes the bytes of one line, less the line's end: 1 to [`PASSPHRASE_BYTES_MAX`] of them.
    pub fn from_line(line: &[u8]) -> Result<Self, KeyError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.len() > PASSPHRASE_BYTES_MAX || line.iter().any(|byte| b"\0\r\n".contains(byte)) {
            return Err(KeyError::BadPassphrase);
        }
        Ok(Self(Arc::new(Zeroizing::new(line.to_vec()))))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

/// Whether the text of a key file needs a passphrase.
pub fn is_sealed(text: &str) -> bool {
    parts(ENCRYPTED_LABEL, text).is_ok_and(|(_, pem)| pem.starts_with(ENCRYPTED_BEGIN))
}

/// The text of a key file, encrypted. Salt and vector are drawn anew each time.
pub fn seal(text: &str, passphrase: &Passphrase) -> Result<String, KeyError> {
    let (before, pem) = parts(PRIVATE_LABEL, text)?;
    if pem.starts_with(ENCRYPTED_BEGIN) {
        return Err(KeyError::SealedAlready);
    }
    let der = Zeroizing::new(decode_pem(PRIVATE_LABEL, pem)?);
    let salt = Salt::new(random::<16>()).expect("16 bytes are a salt");
    let kdf = ScryptParams {
        salt,
        cost_parameter: SCRYPT_COST,
        block_size: SCRYPT_BLOCK,
        parallelization: SCRYPT_LANES,
        key_length: None,
    };
    let parameters =
        pbes2::Parameters { kdf: kdf.into(), encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: random() } };
    let encrypted = parameters.encrypt(passphrase.0.as_slice(), &der).expect("these parameters are good for any key");
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: parameters.into(),
        encrypted_data: <&OctetStringRef>::try_from(encrypted.as_slice()).expect("a key is no gigabyte"),
    };
    let der = info.to_der().expect("a structure of known parts is encodable");
    Ok(before.to_owned() + &encode_pem(ENCRYPTED_LABEL, &der))
}

/// The text of a key file as it was before [`seal`]; a file that is not encrypted is given back as it is, whatever the
/// passphrase.
pub fn unseal(text: &str, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
    let (before, pem) = parts(PRIVATE_LABEL, text)?;
    if !pem.starts_with(ENCRYPTED_BEGIN) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let passphrase = passphrase.ok_or(KeyError::Sealed)?;
    let der = decode_pem(ENCRYPTED_LABEL, pem)?;
    let info = EncryptedPrivateKeyInfoRef::from_der(&der).map_err(|_| KeyError::NotSealed)?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(KeyError::SealKind);
    };
    // The file may be anybody's: what it asks for is bounded before it is done.
    match &parameters.kdf {
        Kdf::Scrypt(asked) => {
            let bytes = asked.cost_parameter.saturating_mul(u64::from(asked.block_size)).saturating_mul(128);
            let lanes = u64::from(asked.parallelization);
            if asked.cost_parameter < 2
                || !asked.cost_parameter.is_power_of_two()
                || bytes > SCRYPT_BYTES_MAX
                || bytes.saturating_mul(lanes) > SCRYPT_WORK_MAX
            {
                return Err(KeyError::SealTooDear);
            }
        }
        Kdf::Pbkdf2(asked) if asked.iteration_count > PBKDF2_ROUNDS_MAX => return Err(KeyError::SealTooDear),
        Kdf::Pbkdf2(_) => {}
        // The library's list may grow; what is not measured above is not done.
        _ => return Err(KeyError::SealKind),
    }
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let plain = parameters.decrypt_in_place(passphrase.0.as_slice(), &mut buffer).map_err(|failure| match failure {
        pkcs8::pkcs5::Error::DecryptFailed => KeyError::WrongPassphrase,
        _ => KeyError::SealKind,
    })?;
    // One wrong passphrase in some hundreds leaves a good end of the last block; it never leaves a key.
    if pkcs8::PrivateKeyInfoRef::from_der(plain).is_err() {
        return Err(KeyError::WrongPassphrase);
    }
    let pem = Zeroizing::new(encode_pem(PRIVATE_LABEL, plain));
    Ok(Zeroizing::new(before.to_owned() + &pem))
}

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// 16 MiB and five passes over them: what openssl is willing to spend when it reads the file is 32 MiB.
const SCRYPT_COST: u64 = 1 << 14;
const SCRYPT_BLOCK: u16 = 8;
const SCRYPT_LANES: u16 = 5;

/// Most memory that a key file may ask for, and most memory times passes: some seconds.
const SCRYPT_BYTES_MAX: u64 = 128 << 20;
const SCRYPT_WORK_MAX: u64 = 512 << 20;
/// Most rounds of PBKDF2: some seconds.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyFile;
    use crate::testkeys;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_line(text.as_bytes()).expect("a passphrase")
    }

    fn plain() -> String {
        KeyFile { issuer: Some("https://wabbit.example".parse().expect("a URI")), key: testkeys::issuer() }
            .to_text()
            .to_string()
    }

    #[test]
    fn a_sealed_key_file_opens_with_its_passphrase_alone() {
        let sealed = seal(&plain(), &passphrase("correct horse")).expect("sealed");
        assert!(
            sealed.starts_with("issuer: https://wabbit.example\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
            "{sealed}"
        );
        assert!(is_sealed(&sealed) && !is_sealed(&plain()));
        assert_eq!(*unseal(&sealed, Some(&passphrase("correct horse"))).expect("opened"), plain());
        assert_eq!(unseal(&sealed, Some(&passphrase("correct hors"))), Err(KeyError::WrongPassphrase));
        assert_eq!(unseal(&sealed, None), Err(KeyError::Sealed));
        assert_eq!(seal(&sealed, &passphrase("twice")), Err(KeyError::SealedAlready));
        assert_eq!(KeyFile::parse(&sealed).map(drop), Err(KeyError::Sealed));
        assert_eq!(*unseal(&plain(), None).expect("not sealed at all"), plain());
    }

    /// Made by `openssl pkcs8 -topk8 -scrypt -passout pass:wabbit` and by `-v2 aes-256-cbc -v2prf hmacWithSHA256`.
    #[test]
    fn what_openssl_sealed_opens() {
        for sealed in [
            include_str!("../../testdata/sealed/openssl-scrypt.key"),
            include_str!("../../testdata/sealed/openssl-pbkdf2.key"),
        ] {
            let opened = unseal(sealed, Some(&passphrase("wabbit"))).expect("opened");
            assert_eq!(KeyFile::parse(&opened).expect("a key").key.public(), testkeys::issuer().public());
            assert_eq!(unseal(sealed, Some(&passphrase("rabbit"))), Err(KeyError::WrongPassphrase));
        }
    }

    /// A sealed key whose scrypt parameters somebody chose: N and p as DER integers.
    fn asking(cost: u64, block: u16, lanes: u16) -> String {
        let kdf = ScryptParams {
            salt: Salt::new([7; 16]).expect("16 bytes"),
            cost_parameter: cost,
            block_size: block,
            parallelization: lanes,
            key_length: None,
        };
        let parameters =
            pbes2::Parameters { kdf: kdf.into(), encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: [7; 16] } };
        let info = EncryptedPrivateKeyInfoRef {
            encryption_algorithm: parameters.into(),
            encrypted_data: <&OctetStringRef>::try_from([0; 32].as_slice()).expect("short"),
        };
        encode_pem(ENCRYPTED_LABEL, &info.to_der().expect("encodable"))
    }

    #[test]
    fn a_file_that_asks_for_too_much_work_is_refused_before_any() {
        let wrong = passphrase("x");
        for (cost, block, lanes) in [
            (1 << 40, 8, 1),
            (u64::MAX, u16::MAX, u16::MAX),
            (1 << 18, 8, 1),
            (1 << 17, 8, 5),
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
        ] {
            let refused = unseal(&asking(cost, block, lanes), Some(&wrong));
            assert_eq!(refused, Err(KeyError::SealTooDear), "{cost} {block} {lanes}");
        }
        // The most that is done, and parameters that only the library knows to be wrong.
        assert_eq!(unseal(&asking(1 << 17, 8, 1), Some(&wrong)), Err(KeyError::WrongPassphrase));
        assert_eq!(unseal(&asking(1 << 14, 0, 1), Some(&wrong)), Err(KeyError::SealKind));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_sealed_file_is_an_error() {
        let sealed = asking(2, 1, 1);
        let der = decode_pem(ENCRYPTED_LABEL, &sealed).expect("its own PEM");
        for flipped in testkeys::every_bit_flipped(&der) {
            assert!(unseal(&encode_pem(ENCRYPTED_LABEL, &flipped), Some(&passphrase("x"))).is_err());
        }
        for end in 0..der.len() {
            assert!(unseal(&encode_pem(ENCRYPTED_LABEL, &der[..end]), Some(&passphrase("x"))).is_err());
        }
    }

    #[test]
    fn a_passphrase_is_one_line_of_bounded_length() {
        for line in ["a\n", "a\r\n", "a"] {
            assert_eq!(Passphrase::from_line(line.as_bytes()).expect("one line").0.as_slice(), b"a");
        }
        let longest = "x".repeat(PASSPHRASE_BYTES_MAX);
        assert!(Passphrase::from_line(longest.as_bytes()).is_ok());
        for line in ["", "\n", "a\nb", "a\0b", &(longest + "x")] {
            assert_eq!(Passphrase::from_line(line.as_bytes()).map(drop), Err(KeyError::BadPassphrase));
        }
        assert_eq!(format!("{:?}", passphrase("secret")), "Passphrase(secret)");
    }
}
