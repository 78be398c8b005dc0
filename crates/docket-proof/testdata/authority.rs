//! Certificate authorities for the tests of every crate that meets certificates. Their keys protect nothing.

use docket_proof::key::SigningKey;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Somebody who issues certificates.
pub(crate) struct Authority {
    der: Vec<u8>,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    /// A root with this common name and a new key.
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| ())
    }

    /// The same, changed before it is signed.
    pub(crate) fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (key, mut params) = (KeyPair::generate().expect("a key"), authority(name));
        change(&mut params);
        let der = params.self_signed(&key).expect("a root").der().to_vec();
        Self { der, params, key }
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        self.below_with(name, |_| ())
    }

    /// The same, changed before it is signed.
    pub(crate) fn below_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (key, mut params) = (KeyPair::generate().expect("a key"), authority(name));
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer()).expect("a certificate").der().to_vec();
        Self { der, params, key }
    }

    /// The same key and name under another authority.
    #[allow(dead_code, reason = "not every crate that includes this file needs it")]
    pub(crate) fn crossed(&self, other: &Self) -> Self {
        let key = KeyPair::from_pem(&self.key.serialize_pem()).expect("its own key");
        let der = self.params.signed_by(&key, &other.issuer()).expect("a certificate").der().to_vec();
        Self { der, params: self.params.clone(), key }
    }

    /// A certificate for the holder of a key.
    pub(crate) fn issue(&self, key: &SigningKey, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let key = KeyPair::from_pem(&key.to_pkcs8_pem()).expect("a key that this library knows");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Wabbit Networks");
        params.distinguished_name.push(DnType::CommonName, "net-monitor");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        params.signed_by(&key, &self.issuer()).expect("a certificate").der().to_vec()
    }

    /// Its own certificate.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// The extension by which Fulcio says who vouched for the holder.
#[allow(dead_code, reason = "not every crate that includes this file needs it")]
pub(crate) fn oidc_issuer(url: &str) -> CustomExtension {
    let length = u8::try_from(url.len()).expect("a short URL");
    let der = [&[0x0c, length], url.as_bytes()].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], der)
}

/// Certificates as PEM blocks.
pub(crate) fn pem(certificates: &[&[u8]]) -> String {
    let chain = |der: &&[u8]| docket_proof::x509::certificate_pem(der);
    certificates.iter().map(chain).collect()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A statement that only names its certificate (x5t); the chain stands beside it, where nothing protects it.
#[allow(dead_code, reason = "not every crate that includes this file needs it")]
pub(crate) fn named_statement(key: &SigningKey, issuer: &str, subject: &str, chain: &[&[u8]]) -> Vec<u8> {
    use docket_proof::cbor::Item;
    use docket_proof::cose::{Sign1, label, to_be_signed};
    let print = docket_proof::crypto::sha256(chain[0]);
    let claims = vec![(label::ISS.into(), Item::Text(issuer)), (label::SUB.into(), Item::Text(subject))];
    let protected = vec![
        (label::ALG.into(), key.algorithm().number().into()),
        (label::CONTENT_TYPE.into(), Item::Text("text/plain")),
        (label::X5T.into(), Item::Array(vec![(-16_i64).into(), Item::Bytes(&print)])),
        (label::CWT_CLAIMS.into(), Item::Map(claims)),
    ];
    let protected = Item::Map(protected).encode();
    let chain = Item::Array(chain.iter().map(|der| Item::Bytes(der)).collect());
    let signature = key.sign(&to_be_signed(&protected, b"said by certificate"));
    let unprotected = vec![(label::X5CHAIN.into(), chain)];
    Sign1 { protected: &protected, unprotected, payload: Some(b"said by certificate"), signature: &signature }.encode()
}

/// What a large signing service says in its statements (CoseSignTool's shape): no kid but x5t and a chain, `iat` under tag 1, a
/// claim with a text for a key, and a hash envelope that names a media type and no place.
#[allow(dead_code, reason = "not every crate that includes this file needs it")]
pub(crate) struct SigningService<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    /// The number of the hash that the envelope holds, and the hash.
    pub hash: (i64, &'a [u8]),
    pub chain: &'a [&'a [u8]],
    /// Where the chain stands: signed, or beside what is signed.
    pub signs_chain: bool,
}

#[allow(dead_code, reason = "not every crate that includes this file needs it")]
impl SigningService<'_> {
    pub(crate) fn sign(&self, key: &SigningKey) -> Vec<u8> {
        use docket_proof::cbor::Item;
        use docket_proof::cose::{Sign1, label, to_be_signed};
        let print = docket_proof::crypto::sha256(self.chain[0]);
        let chain = Item::Array(self.chain.iter().map(|der| Item::Bytes(der)).collect());
        let claims = vec![
            (label::ISS.into(), Item::Text(self.issuer)),
            (label::SUB.into(), Item::Text(self.subject)),
            (label::IAT.into(), Item::Tag(1, Box::new(1_700_000_000_i64.into()))),
            (Item::Text("svn"), 3_i64.into()),
        ];
        let mut protected = vec![
            (label::ALG.into(), key.algorithm().number().into()),
            (label::X5T.into(), Item::Array(vec![(-16_i64).into(), Item::Bytes(&print)])),
            (label::CWT_CLAIMS.into(), Item::Map(claims)),
            (label::PAYLOAD_HASH_ALG.into(), self.hash.0.into()),
            (label::PREIMAGE_CONTENT_TYPE.into(), Item::Text("application/spdx+json")),
        ];
        let mut unprotected = Vec::new();
        let place = if self.signs_chain { &mut protected } else { &mut unprotected };
        place.push((label::X5CHAIN.into(), chain));
        let protected = Item::Map(protected).encode();
        let signature = key.sign(&to_be_signed(&protected, self.hash.1));
        Sign1 { protected: &protected, unprotected, payload: Some(self.hash.1), signature: &signature }.encode()
    }
}
