//! From method, path and query to a [`Call`].

use super::{Call, CallError};
use crate::digest::{Algorithm, Digest};
use crate::name::{NameError, Reference, RepositoryName, Tag};
use crate::query::Query;

impl Call {
    /// Reads a request line: the method, the path as it was sent, and what follows the question mark.
    ///
    /// Paths are read from the right, because a repository may be called `a/manifests/b` or `tags/list`. Parameters that a
    /// call does not know are ignored: session locations and mirrors carry their own.
    pub fn parse(method: &str, path: &str, query: Option<&str>) -> Result<Self, CallError> {
        let place = Place::parse(path)?;
        let query = Query::parse(query.unwrap_or_default())?;
        match place {
            Place::Root => match method {
                "GET" | "HEAD" => Ok(Self::Ping),
                _ => Err(READ_ONLY),
            },
            Place::Catalog => match method {
                "GET" | "HEAD" => Ok(Self::Catalog { n: page_size(&query)?, last: owned(query.one("last")?) }),
                _ => Err(READ_ONLY),
            },
            Place::Discover(name) => match method {
                "GET" | "HEAD" => Ok(Self::Discover { repository: name.map(repository).transpose()? }),
                _ => Err(READ_ONLY),
            },
            Place::Blob(name, digest) => {
                let (repository, digest) = (repository(name)?, parse_digest(digest)?);
                match method {
                    "GET" | "HEAD" => Ok(Self::Blob { repository, digest, head: method == "HEAD" }),
                    "DELETE" => Ok(Self::DeleteBlob { repository, digest }),
                    _ => Err(CallError::MethodNotAllowed { allowed: "GET, HEAD, DELETE" }),
                }
            }
            Place::Uploads(name) => match method {
                "POST" => start_upload(repository(name)?, &query),
                _ => Err(CallError::MethodNotAllowed { allowed: "POST" }),
            },
            Place::Upload(name, session) => upload(method, repository(name)?, parse_session(session)?, &query),
            Place::Manifest(name, reference) => manifest(method, repository(name)?, reference, &query),
            Place::Tags(name) => match method {
                "GET" | "HEAD" => {
                    let (n, last) = (page_size(&query)?, owned(query.one("last")?));
                    Ok(Self::Tags { repository: repository(name)?, n, last })
                }
                _ => Err(READ_ONLY),
            },
            Place::Referrers(name, digest) => match method {
                "GET" | "HEAD" => Ok(Self::Referrers {
                    repository: repository(name)?,
                    digest: parse_digest(digest)?,
                    artifact_type: filter(&query)?,
                    last: query.one("last")?.map(parse_digest).transpose()?,
                }),
                _ => Err(READ_ONLY),
            },
            Place::ScittEntries(name) => match method {
                "POST" => Ok(Self::ScittRegister { repository: repository(name)? }),
                _ => Err(CallError::MethodNotAllowed { allowed: "POST" }),
            },
            Place::ScittEntry(name, entry) => match method {
                "GET" => Ok(Self::ScittEntry { repository: repository(name)?, entry: parse_entry(entry)? }),
                _ => Err(CallError::MethodNotAllowed { allowed: "GET" }),
            },
        }
    }
}

/// The most entries of one page of any listing; a larger `n` asks for this many.
pub const PAGE_ENTRIES_MAX: u32 = 10_000;
/// The most `tag` parameters of one manifest push; the spec asks for at least ten.
pub const TAG_PARAMETERS_MAX: usize = 64;
/// The longest upload session id.
pub const SESSION_BYTES_MAX: usize = 64;
/// The longest artifact type to filter by: two names of at most 127 bytes and a slash (RFC 6838 §4.2).
pub const FILTER_BYTES_MAX: usize = 255;

const READ_ONLY: CallError = CallError::MethodNotAllowed { allowed: "GET, HEAD" };

/// Where a path points, its parts not yet checked.
enum Place<'a> {
    Root,
    Catalog,
    Discover(Option<&'a str>),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Manifest(&'a str, &'a str),
    Tags(&'a str),
    Referrers(&'a str, &'a str),
    ScittEntries(&'a str),
    ScittEntry(&'a str, &'a str),
}

impl<'a> Place<'a> {
    fn parse(path: &'a str) -> Result<Self, CallError> {
        if matches!(path, "/v2" | "/v2/") {
            return Ok(Self::Root);
        }
        let rest = path.strip_prefix("/v2/").ok_or(CallError::UnknownPath)?;
        let plain = rest.strip_suffix("/blobs/uploads/").unwrap_or(rest);
        if plain.contains('%') || plain.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(CallError::PathNotPlain);
        }
        if rest == "_catalog" {
            return Ok(Self::Catalog);
        }
        if rest == "_oci/ext/discover" {
            return Ok(Self::Discover(None));
        }
        if let Some(name) = rest.strip_suffix("/_oci/ext/discover") {
            return Ok(Self::Discover(Some(name)));
        }
        if let Some(name) = rest.strip_suffix("/_scitt/ledger/entries") {
            return Ok(Self::ScittEntries(name));
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
            return Ok(Self::Uploads(name));
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags(name));
        }
        let (before, last) = rest.rsplit_once('/').ok_or(CallError::UnknownPath)?;
        if let Some(name) = before.strip_suffix("/_scitt/ledger/entries") {
            Ok(Self::ScittEntry(name, last))
        } else if let Some(name) = before.strip_suffix("/blobs/uploads") {
            Ok(Self::Upload(name, last))
        } else if let Some(name) = before.strip_suffix("/manifests") {
            Ok(Self::Manifest(name, last))
        } else if let Some(name) = before.strip_suffix("/blobs") {
            Ok(Self::Blob(name, last))
        } else if let Some(name) = before.strip_suffix("/referrers") {
            Ok(Self::Referrers(name, last))
        } else {
            Err(CallError::UnknownPath)
        }
    }
}

fn start_upload(repository: RepositoryName, query: &Query) -> Result<Call, CallError> {
    let algorithm = query.one("digest-algorithm")?;
    Ok(Call::StartUpload {
        repository,
        digest: query.one("digest")?.map(parse_digest).transpose()?,
        mount: owned(query.one("mount")?),
        from: owned(query.one("from")?),
        digest_algorithm: algorithm.map(str::parse::<Algorithm>).transpose().map_err(CallError::Digest)?,
    })
}

fn upload(method: &str, repository: RepositoryName, session: String, query: &Query) -> Result<Call, CallError> {
    match method {
        "GET" | "HEAD" => Ok(Call::UploadStatus { repository, session }),
        "PATCH" => Ok(Call::UploadPatch { repository, session }),
        "PUT" => {
            let digest = parse_digest(query.one("digest")?.ok_or(CallError::DigestMissing)?)?;
            Ok(Call::UploadFinish { repository, session, digest })
        }
        "DELETE" => Ok(Call::UploadCancel { repository, session }),
        _ => Err(CallError::MethodNotAllowed { allowed: "GET, HEAD, PATCH, PUT, DELETE" }),
    }
}

fn manifest(method: &str, repository: RepositoryName, reference: &str, query: &Query) -> Result<Call, CallError> {
    let parsed: Result<Reference, NameError> = reference.parse();
    // A tag outside the grammar cannot exist: to a reader it is absent, to a writer it is wrong.
    let existing = |error| match error {
        NameError::Digest(error) => CallError::Digest(error),
        other => CallError::TagUnknown(other),
    };
    match method {
        "GET" | "HEAD" => {
            let reference = parsed.map_err(existing)?;
            Ok(Call::Manifest { repository, reference, head: method == "HEAD" })
        }
        "DELETE" => Ok(Call::DeleteManifest { repository, reference: parsed.map_err(existing)? }),
        "PUT" => {
            let reference = parsed.map_err(|error| match error {
                NameError::Digest(error) => CallError::Digest(error),
                other => CallError::Tag(other),
            })?;
            let tags = further_tags(&reference, query)?;
            Ok(Call::PutManifest { repository, reference, tags })
        }
        _ => Err(CallError::MethodNotAllowed { allowed: "GET, HEAD, PUT, DELETE" }),
    }
}

fn further_tags(reference: &Reference, query: &Query) -> Result<Vec<Tag>, CallError> {
    let mut tags = Vec::new();
    for tag in query.all("tag") {
        if tags.len() == TAG_PARAMETERS_MAX {
            return Err(CallError::TooManyTags);
        }
        tags.push(tag.parse().map_err(CallError::Tag)?);
    }
    match reference {
        Reference::Tag(_) if !tags.is_empty() => Err(CallError::TagsWithoutDigest),
        Reference::Tag(_) | Reference::Digest(_) => Ok(tags),
    }
}

fn repository(name: &str) -> Result<RepositoryName, CallError> {
    name.parse().map_err(CallError::Name)
}

fn parse_digest(text: &str) -> Result<Digest, CallError> {
    text.parse().map_err(CallError::Digest)
}

fn parse_session(text: &str) -> Result<String, CallError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_plain && (1..=SESSION_BYTES_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(CallError::Session)
    }
}

fn parse_entry(text: &str) -> Result<String, CallError> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex && text.len() == 64 { Ok(text.to_owned()) } else { Err(CallError::EntryId) }
}

/// `n` as far as it is one: only digits, and however many of them, never more than a page.
fn page_size(query: &Query) -> Result<Option<u32>, CallError> {
    let Some(text) = query.one("n")? else {
        return Ok(None);
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CallError::Number { parameter: "n" });
    }
    Ok(Some(text.parse().unwrap_or(u32::MAX).min(PAGE_ENTRIES_MAX)))
}

/// A filter that is no media type is refused: taking it for none would answer another question.
fn filter(query: &Query) -> Result<Option<String>, CallError> {
    let Some(text) = query.one("artifactType")? else {
        return Ok(None);
    };
    let is_named = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let is_media_type = text.split_once('/').is_some_and(|(kind, subtype)| is_named(kind) && is_named(subtype));
    if is_media_type && text.len() <= FILTER_BYTES_MAX { Ok(Some(text.to_owned())) } else { Err(CallError::Filter) }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
