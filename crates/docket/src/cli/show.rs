//! `docket show`: an artifact with its tags, evidence, claims and receipts, as one tree.

use docket_client::{Collected, Registry, Source, Transport};
use docket_judge::verify::{ClaimMaterial, Found, Material};
use docket_oci::media::SCITT_STATEMENT;
use docket_oci::{Digest, Reference, RepositoryName, Tag};
use docket_proof::receipt::Receipt;
use docket_proof::statement::SignedStatement;
use serde_json::{Value, json};

use crate::cli::output::{self, Exit, Format, data, say};
use crate::cli::remote::{RemoteArgs, gather, title};
use crate::cli::verify::kind;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// host/name[:tag|@digest], oci:DIR[:NAME] or oci-archive:FILE[:NAME]
    reference: Transport,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let opened = args.remote.open(&args.reference).await?;
    let (collected, material) = gather(&opened).await?;
    material.gaps.iter().for_each(|gap| say(&format!("docket: not everything was seen: {gap}")));
    let tags = match &opened.source {
        Source::Registry { registry, repository } => tags_on(registry, repository, &collected.artifact.digest).await?,
        Source::Layout(_) => opened.name.iter().filter_map(|name| name.parse().ok()).collect(),
    };
    let tree = Tree { collected: &collected, material: &material };
    let nodes = tree.below(&collected.artifact.digest, 0);
    match args.output {
        Format::Json => output::json(&json!({
            "artifact": collected.artifact.digest,
            "media_type": collected.artifact.media_type,
            "tags": tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
            "referrers": nodes.iter().map(|node| node.json.clone()).collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            data(&title(&opened, &collected.artifact.digest));
            let tags: Vec<_> = tags.iter().map(Tag::as_str).collect();
            let named = if tags.is_empty() { String::new() } else { format!("  tags {}", tags.join(", ")) };
            data(&format!("{}{named}", collected.artifact.media_type));
            print(&nodes, "");
            if nodes.is_empty() {
                data("└─ nothing refers to it");
            }
        }
    }
    Ok(Exit::Allowed)
}

/// The tags that point to an artifact. A registry with very many tags is asked about the first ones only.
pub(crate) async fn tags_on(
    registry: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
) -> anyhow::Result<Vec<Tag>> {
    let mut tags = Vec::new();
    for tag in registry.tags(repository).await?.into_iter().take(TAGS_ASKED_MAX) {
        let head = registry.head_manifest(repository, &Reference::Tag(tag.clone())).await?;
        if head.is_some_and(|head| head.digest == *digest) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// What was found, being turned into a tree.
struct Tree<'a> {
    collected: &'a Collected,
    material: &'a Material,
}

/// One line of the tree and what hangs below it.
struct Node {
    line: String,
    json: Value,
    below: Vec<Self>,
}

impl Tree<'_> {
    fn below(&self, subject: &Digest, depth: usize) -> Vec<Node> {
        if depth > docket_client::evidence::EVIDENCE_DEPTH_MAX {
            return Vec::new();
        }
        self.collected.referrers_of(subject).map(|referrer| self.node(&referrer.fetched, depth)).collect()
    }

    fn node(&self, manifest: &docket_client::FetchedManifest, depth: usize) -> Node {
        let artifact_type =
            manifest.manifest.referrer_artifact_type().unwrap_or("unknown type").escape_debug().to_string();
        let claim = self.material.claims.iter().find(|claim| claim.manifest.expected == manifest.digest);
        let mut below = self.below(&manifest.digest, depth + 1);
        let (line, mut json) = match claim {
            Some(claim) if artifact_type == SCITT_STATEMENT => {
                below.extend(claim.statement.as_ref().map(receipts).into_iter().flatten());
                statement(claim)
            }
            _ => {
                let size: u64 = manifest.manifest.layers.iter().map(|layer| layer.size).sum();
                let line = format!("{}  {artifact_type}  {}  {size} bytes", kind(&artifact_type), manifest.digest);
                (line, json!({ "kind": "evidence", "type": artifact_type, "size": size }))
            }
        };
        json["manifest"] = json!(manifest.digest);
        json["below"] = below.iter().map(|node| node.json.clone()).collect();
        Node { line, json, below }
    }
}

fn statement(claim: &ClaimMaterial) -> (String, Value) {
    let decoded = claim.statement.as_ref().map(|found| SignedStatement::decode(&found.bytes));
    match decoded {
        Some(Ok(statement)) => {
            let (issuer, entry) = (statement.issuer().to_string(), statement.entry_id().to_string());
            let claim_type = statement.claim_type();
            // Where there is a document, its type stands above.
            let line = match claim.evidence {
                Some(_) => format!("claim  by {issuer}  entry {entry}"),
                None => format!("claim  {claim_type}  by {issuer}  entry {entry}"),
            };
            (line, json!({ "kind": "claim", "issuer": issuer, "entry": entry, "type": claim_type }))
        }
        Some(Err(failure)) => {
            (format!("claim  unreadable: {failure}"), json!({ "kind": "claim", "problem": failure.to_string() }))
        }
        None => ("claim  its statement is absent".to_owned(), json!({ "kind": "claim", "problem": "absent" })),
    }
}

fn receipts(found: &Found) -> Vec<Node> {
    let Ok(statement) = SignedStatement::decode(&found.bytes) else { return Vec::new() };
    let node = |bytes: &Vec<u8>| match Receipt::decode(bytes) {
        Ok(receipt) => {
            let (service, index, size) = (receipt.issuer().to_string(), receipt.index(), receipt.tree_size());
            Node {
                line: format!("receipt  {service}  #{index} of {size}"),
                json: json!({ "kind": "receipt", "service": service, "index": index, "tree_size": size }),
                below: Vec::new(),
            }
        }
        Err(failure) => Node {
            line: format!("receipt  unreadable: {failure}"),
            json: json!({ "kind": "receipt", "problem": failure.to_string() }),
            below: Vec::new(),
        },
    };
    statement.receipts().iter().map(node).collect()
}

fn print(nodes: &[Node], indent: &str) {
    for (at, node) in nodes.iter().enumerate() {
        let last = at + 1 == nodes.len();
        data(&format!("{indent}{} {}", if last { "└─" } else { "├─" }, node.line));
        print(&node.below, &format!("{indent}{}  ", if last { " " } else { "│" }));
    }
}

/// Tags that are compared with the artifact.
const TAGS_ASKED_MAX: usize = 200;
