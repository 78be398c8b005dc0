//! From a chain to a root that somebody configured.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use super::{Certificate, Chain, ChainError, Facts, Fingerprint, pem_blocks};
use crate::key::PublicKey;

/// Most roots of one issuer.
pub const ROOTS_MAX: usize = 16;

/// Most bytes of a file of certificates.
pub const ROOTS_BYTES_MAX: usize = 1 << 20;

/// The certificates that an issuer's chains must lead to. What a root says of its own dates is not judged: it is
/// trusted from when it is configured until it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots(Vec<Certificate>);

/// A chain that leads to a root. [`Chain::validate`] is the only way to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidChain<'a> {
    chain: &'a Chain,
    root: &'a Certificate,
    key: &'a PublicKey,
}

impl Roots {
    /// Takes certificates in DER. Each must be a certificate authority by its own word.
    pub fn new(certificates: &[&[u8]]) -> Result<Self, ChainError> {
        if certificates.is_empty() || certificates.len() > ROOTS_MAX {
            return Err(ChainError::RootCount { found: certificates.len() });
        }
        let mut roots: Vec<Certificate> = Vec::new();
        for (position, der) in certificates.iter().enumerate() {
            let root = Certificate::read(position, der)?;
            if !root.is_ca || root.usage.is_some_and(|usage| !usage.certifies) {
                return Err(ChainError::RootNotCa { position });
            }
            if roots.contains(&root) {
                return Err(ChainError::RootTwice { position });
            }
            anchor(&CertificateDer::from(*der))
                .map_err(|failure| ChainError::Certificate { position, reason: failure.to_string() })?;
            roots.push(root);
        }
        Ok(Self(roots))
    }

    /// Reads PEM blocks labelled `CERTIFICATE`; text between them is ignored.
    pub fn from_pem(text: &str) -> Result<Self, ChainError> {
        if text.len() > ROOTS_BYTES_MAX {
            return Err(ChainError::TooLarge { bytes: text.len() });
        }
        let certificates = pem_blocks(text)?;
        Self::new(&certificates.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// PEM blocks, each with a final newline.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(|root| super::certificate_pem(root.der())).collect()
    }

    /// The roots.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }
}

impl Chain {
    /// Follows the chain to one of `roots`, all of it valid at `at` (seconds since 1970) and made to sign. With `purpose`, the
    /// leaf must have this extended key usage (an OID), and so must each authority below the root that is limited to any.
    ///
    /// The chain must be the path itself, in order; the root may stand at its end or be left out (RFC 9360 §2).
    pub fn validate<'a>(
        &'a self,
        roots: &'a Roots,
        at: i64,
        purpose: Option<&str>,
    ) -> Result<ValidChain<'a>, ChainError> {
        let own_root = self.certificates().last().filter(|last| roots.0.contains(last));
        let path = &self.certificates()[..self.certificates().len() - usize::from(own_root.is_some())];
        let Some((leaf, authorities)) = path.split_first() else {
            // The leaf alone, and it is a root: an authority does not sign statements.
            return Err(ChainError::NotThePath);
        };
        for (position, certificate) in path.iter().enumerate() {
            check_dates(position, certificate.facts(), at)?;
            check_usage(position, certificate, purpose)?;
        }
        let root = follow(leaf, authorities, roots, at)?;
        // Two roots may share name and key; the one that came along is meant, and it must be the path's end.
        let root = match own_root.and_then(|own| roots.0.iter().find(|known| *known == own)) {
            None => root,
            Some(own) if own == root || own.is_same_anchor(root) => own,
            Some(_) => return Err(ChainError::NotThePath),
        };
        let key = leaf.key.as_ref().map_err(|reason| ChainError::LeafKey(reason.clone()))?;
        Ok(ValidChain { chain: self, root, key })
    }
}

impl ValidChain<'_> {
    /// The key of the leaf.
    pub fn key(&self) -> &PublicKey {
        self.key
    }

    /// What the leaf says about its holder, and the authorities vouch for.
    pub fn facts(&self) -> &Facts {
        self.chain.leaf().facts()
    }

    /// The leaf's SHA-256.
    pub fn leaf(&self) -> Fingerprint {
        self.chain.leaf().fingerprint()
    }

    /// The SHA-256 of the root that the chain leads to.
    pub fn root(&self) -> Fingerprint {
        self.root.fingerprint()
    }

    /// Whether a certificate of the chain other than the leaf has this fingerprint.
    pub fn passes(&self, fingerprint: &Fingerprint) -> bool {
        self.chain.certificates()[1..].iter().any(|certificate| fingerprint.names(certificate.der()))
    }
}

fn check_dates(position: usize, facts: &Facts, at: i64) -> Result<(), ChainError> {
    if at < facts.not_before {
        return Err(ChainError::NotYetValid { position, not_before: facts.not_before, at });
    }
    if at > facts.not_after {
        return Err(ChainError::Expired { position, not_after: facts.not_after, at });
    }
    Ok(())
}

fn check_usage(position: usize, certificate: &Certificate, purpose: Option<&str>) -> Result<(), ChainError> {
    let is_leaf = position == 0;
    if let Some(usage) = certificate.usage {
        let (allowed, needed) =
            if is_leaf { (usage.signs, "sign statements") } else { (usage.certifies, "sign certificates") };
        if !allowed {
            return Err(ChainError::KeyUsage { position, needed });
        }
    }
    let Some(purpose) = purpose else { return Ok(()) };
    let has_it = match &certificate.facts().extended_key_usage {
        Some(purposes) => purposes.iter().any(|own| own == purpose),
        None => !is_leaf,
    };
    if has_it { Ok(()) } else { Err(ChainError::ExtendedKeyUsage { position, oid: purpose.to_owned() }) }
}

/// Has the library find the path, and insists that it is the one that was given.
fn follow<'a>(
    leaf: &Certificate,
    authorities: &[Certificate],
    roots: &'a Roots,
    at: i64,
) -> Result<&'a Certificate, ChainError> {
    let no_path = |failure: webpki::Error| ChainError::NoPath { reason: failure.to_string() };
    let ders: Vec<_> = roots.0.iter().map(|root| CertificateDer::from(root.der())).collect();
    let anchors: Vec<TrustAnchor<'_>> = ders.iter().map(anchor).collect::<Result<_, _>>().map_err(no_path)?;
    let intermediates: Vec<_> = authorities.iter().map(|authority| CertificateDer::from(authority.der())).collect();
    let der = CertificateDer::from(leaf.der());
    let end = EndEntityCert::try_from(&der).map_err(no_path)?;
    let at = u64::try_from(at).map_or(UnixTime::since_unix_epoch(Duration::ZERO), |seconds| {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    });
    let path = end
        .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediates, at, AnyPurpose, None, None)
        .map_err(no_path)?;
    let used = path.intermediate_certificates().map(webpki::Cert::der);
    if !used.eq(intermediates.iter().cloned()) {
        return Err(ChainError::NotThePath);
    }
    let place = anchors.iter().position(|anchor| anchor == path.anchor());
    Ok(&roots.0[place.expect("the path ends at one of the anchors it was given")])
}

fn anchor<'a>(der: &'a CertificateDer<'_>) -> Result<TrustAnchor<'a>, webpki::Error> {
    webpki::anchor_from_trusted_cert(der)
}

/// Extended key usage is judged in `check_usage`, which knows the issuer's demand.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        purposes.try_for_each(|purpose| purpose.map(drop))
    }
}
