//! One claim from its bytes to its verdict.

use std::collections::HashMap;

use docket_oci::{Digest, Manifest, media};
use docket_proof::receipt::Position;
use docket_proof::statement::{Content, EntryId, PresentedStatement, SignedStatement};
use docket_proof::trust::Trust;

use super::receipts::Receipts;
use super::{ClaimMaterial, ClaimVerdict, Document, Evidence, Found, Piece, Problem};

/// Judges one claim about `artifact`. Facts are noted as they are read, so that a refused claim still says what it claims.
pub(super) fn judge(
    found: &ClaimMaterial,
    artifact: &Digest,
    receipts: &HashMap<EntryId, Receipts>,
    trust: &Trust,
) -> ClaimVerdict {
    let mut verdict = ClaimVerdict {
        issuer: None,
        claim_type: None,
        entry_id: None,
        index: None,
        tree_size: None,
        service: None,
        signed_at: None,
        evidence: None,
        manifest: found.manifest.expected,
        receipts: Vec::new(),
        problem: None,
    };
    verdict.problem = check(found, artifact, receipts, trust, &mut verdict).err();
    verdict
}

fn check(
    found: &ClaimMaterial,
    artifact: &Digest,
    receipts: &HashMap<EntryId, Receipts>,
    trust: &Trust,
    verdict: &mut ClaimVerdict,
) -> Result<(), Problem> {
    // 1. Every byte is what its digest says, and each manifest leads where the claim needs it to lead.
    check_digests(found)?;
    check_statement_manifest(found, artifact)?;
    let evidence = found.evidence.as_ref().map(|evidence| read_evidence(evidence, artifact)).transpose()?;

    // 2. What the issuer signed is about this artifact and this document.
    let layer = found.statement.as_ref().ok_or(Problem::StatementMissing)?;
    let presented = PresentedStatement::decode(&layer.bytes)?;
    let statement = SignedStatement::decode(&presented.signed)?;
    verdict.issuer = Some(statement.issuer().clone());
    verdict.claim_type = Some(statement.claim_type().to_owned());
    verdict.entry_id = Some(statement.entry_id());
    if statement.subject().digest() != Some(*artifact) {
        return Err(Problem::OtherSubject { artifact: *artifact, found: statement.subject().to_string() });
    }
    verdict.evidence = check_document(statement.content(), evidence.as_ref(), found.document.as_ref())?;

    // 3. As many services as are demanded prove that they registered exactly this, wherever their receipts were found.
    if let Some(bare) = &found.receipt
        && !presented.receipts.contains(&bare.bytes)
    {
        return Err(Problem::ForeignReceipt);
    }
    let receipts = receipts.get(&statement.entry_id()).ok_or(Problem::StatementMissing)?;
    verdict.receipts.clone_from(&receipts.verdicts);
    if let Some(problem) = &receipts.problem {
        return Err(problem.clone());
    }
    if let Some(first) = receipts.verdicts.first() {
        verdict.service.clone_from(&first.service);
        verdict.signed_at = first.signed_at;
        if let Some(Position::Index { index, tree_size }) = first.position {
            verdict.index = Some(index);
            verdict.tree_size = Some(tree_size);
        }
    }

    // 4. The issuer is believed: by name and key where issuers are listed, else on the service's word.
    if trust.lists_issuers() {
        check_issuer(statement, receipts.seen_at(), trust)?;
    }
    Ok(())
}

/// Checks the issuer's own signature, with a key or by a root that is believed. Certificates are judged at the time of the
/// oldest receipt that holds: that is when a service saw them, and they may have ended since.
pub(super) fn check_issuer(statement: SignedStatement, seen_at: Option<i64>, trust: &Trust) -> Result<(), Problem> {
    let issuer = statement.issuer().clone();
    if let Some(kid) = statement.kid() {
        let key = trust.issuer_key(&issuer, &kid).ok_or(Problem::UntrustedIssuer { issuer, kid })?;
        statement.verify(key)?;
        return Ok(());
    }
    let at = seen_at.ok_or_else(|| Problem::HolderUndated { issuer: issuer.clone() })?;
    // Several may speak for it; the first that proves it decides, and what the last one lacks is said.
    let mut problem = Problem::UntrustedHolder { issuer: issuer.clone() };
    for certified in trust.certified().iter().filter(|certified| certified.covers(&issuer)) {
        match statement.clone().verify_by_certificate(certified.roots(), at, certified.purpose()) {
            Ok(_) => return Ok(()),
            Err(failure) => problem = failure.into(),
        }
    }
    Err(problem)
}

fn check_digests(found: &ClaimMaterial) -> Result<(), Problem> {
    let pieces = [
        (Piece::StatementManifest, Some(&found.manifest)),
        (Piece::EvidenceManifest, found.evidence.as_ref()),
        (Piece::Statement, found.statement.as_ref()),
        (Piece::Receipt, found.receipt.as_ref()),
    ];
    for (piece, found) in pieces {
        let Some(found) = found else { continue };
        let actual = found.digest();
        if actual != found.expected {
            return Err(Problem::Changed { piece, expected: found.expected, actual });
        }
    }
    if let Some(Document { expected, seen: Some(seen) }) = found.document
        && seen.actual != expected
    {
        return Err(Problem::Changed { piece: Piece::Document, expected, actual: seen.actual });
    }
    Ok(())
}

/// The statement manifest names its type, refers to the evidence or the artifact, and lists the layers that were found.
fn check_statement_manifest(found: &ClaimMaterial, artifact: &Digest) -> Result<(), Problem> {
    let piece = Piece::StatementManifest;
    let manifest = read_manifest(piece, &found.manifest)?;
    if manifest.artifact_type.as_deref() != Some(media::SCITT_STATEMENT) {
        return Err(Problem::NotStatementManifest);
    }
    let (statement_layer, receipt_layer) = match manifest.layers.as_slice() {
        [statement] => (statement, None),
        [statement, receipt] if receipt.media_type == media::SCITT_RECEIPT => (statement, Some(receipt)),
        _ => return Err(Problem::NotStatementManifest),
    };
    if statement_layer.media_type != media::SCITT_STATEMENT {
        return Err(Problem::NotStatementManifest);
    }
    let subject = found.evidence.as_ref().map_or(artifact, |evidence| &evidence.expected);
    expect_reference(piece, subject, manifest.subject.as_ref().map(|subject| &subject.digest))?;
    if let Some(statement) = &found.statement {
        expect_reference(piece, &statement.expected, Some(&statement_layer.digest))?;
    }
    match (&found.receipt, receipt_layer) {
        (Some(receipt), layer) => expect_reference(piece, &receipt.expected, layer.map(|layer| &layer.digest)),
        (None, Some(_)) => Err(Problem::ReceiptMissing),
        (None, None) => Ok(()),
    }
}

/// What an evidence manifest says about its document, unsigned.
struct EvidenceManifest {
    document: Digest,
    artifact_type: String,
}

fn read_evidence(found: &Found, artifact: &Digest) -> Result<EvidenceManifest, Problem> {
    let piece = Piece::EvidenceManifest;
    let manifest = read_manifest(piece, found)?;
    expect_reference(piece, artifact, manifest.subject.as_ref().map(|subject| &subject.digest))?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(Problem::DocumentCount { found: manifest.layers.len() });
    };
    Ok(EvidenceManifest { document: layer.digest, artifact_type: manifest.artifact_type.clone().unwrap_or_default() })
}

/// The signed digest and type must be those of the evidence manifest and of the document that was read.
fn check_document(
    content: &Content,
    evidence: Option<&EvidenceManifest>,
    document: Option<&Document>,
) -> Result<Option<Evidence>, Problem> {
    let (signed, media_type) = match content {
        Content::HashEnvelope { digest, media_type } => (*digest, media_type),
        Content::Sha384Envelope { .. } | Content::Payload { .. } if evidence.is_some() || document.is_some() => {
            return Err(Problem::NoEnvelope);
        }
        Content::Sha384Envelope { .. } | Content::Payload { .. } => return Ok(None),
    };
    if let Some(evidence) = evidence {
        if evidence.document != signed {
            let found = evidence.document;
            return Err(Problem::OtherDocument { piece: Piece::EvidenceManifest, signed, found });
        }
        if evidence.artifact_type != *media_type {
            let found = evidence.artifact_type.clone();
            return Err(Problem::OtherType { signed: media_type.clone(), found });
        }
    }
    let Some(document) = document else {
        return Ok(Some(Evidence::Absent { digest: signed }));
    };
    if document.expected != signed {
        return Err(Problem::OtherDocument { piece: Piece::Document, signed, found: document.expected });
    }
    // That what was read is what was expected, step 1 has checked.
    Ok(Some(match document.seen {
        Some(seen) => Evidence::Present { digest: signed, size: seen.size },
        None => Evidence::Absent { digest: signed },
    }))
}

fn read_manifest(piece: Piece, found: &Found) -> Result<Manifest, Problem> {
    Manifest::parse(&found.bytes, None).map_err(|error| Problem::BadManifest { piece, reason: error.to_string() })
}

fn expect_reference(piece: Piece, expected: &Digest, found: Option<&Digest>) -> Result<(), Problem> {
    if found == Some(expected) {
        return Ok(());
    }
    let found = found.map_or_else(|| "nothing".to_owned(), Digest::to_string);
    Err(Problem::RefersElsewhere { piece, expected: *expected, found })
}
