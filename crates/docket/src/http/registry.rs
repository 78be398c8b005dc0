//! The registry API (OCI distribution-spec): parse the call, ask the rules, do it, answer.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use docket_engine::{EngineError, OpenUpload, Permit, Right, StoredManifest, Warning, is_statement_manifest};
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::error::Code;
use docket_oci::manifest::{MANIFEST_BYTES_MAX, index_of_written};
use docket_oci::media;
use docket_oci::name::{RepositoryName, Tag};
use docket_oci::query::Query;
use docket_oci::range::{UploadRange, upload_progress};
use docket_oci::request::{Action, Call, CallError, PAGE_ENTRIES_MAX};
use docket_oci::response::{Catalog, Extension as ApiExtension, Extensions, TagList, next_link, warnings};

use crate::http::context::Context;
use crate::http::failure::{API_VERSION, API_VERSION_2, Failure};
use crate::http::scrapi;
use crate::http::transfer::{BodyError, ascii, blob_headers, etag, matches_etag, not_modified, read, receive, send};

/// Answers every call below `/v2`.
pub(super) async fn serve(context: &Context, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (headers, query) = (&parts.headers, parts.uri.query());
    let answer = match Call::parse(parts.method.as_str(), parts.uri.path(), query) {
        Ok(call) => Registry { context, headers, query: query.unwrap_or_default() }.answer(call, body).await,
        Err(failure) => Err(Failure::of_call(&failure)),
    };
    let mut response = answer.unwrap_or_else(|failure| failure.at(parts.uri.path()));
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static(API_VERSION_2));
    response
}

/// Answers what is nowhere.
pub(super) async fn nowhere(request: Request) -> Response<Body> {
    Failure::of_call(&CallError::UnknownPath).at(request.uri().path())
}

/// One call being answered.
struct Registry<'a> {
    context: &'a Context,
    headers: &'a HeaderMap,
    /// As it was sent; the call was read from it.
    query: &'a str,
}

type Answer = Result<Response<Body>, Failure>;

impl Registry<'_> {
    async fn answer(&self, call: Call, body: Body) -> Answer {
        let permit = match call.action() {
            Action::Ping => {
                self.context.welcome()?;
                return Ok(discover_or_ping(&call));
            }
            Action::Catalog => self.context.listing(),
            Action::Pull => self.permit(Right::Pull, &call),
            Action::Push => self.permit(Right::Push, &call),
            Action::Delete => self.permit(Right::Delete, &call),
            Action::Claim => self.permit(Right::Claim, &call),
        }?;
        let instance = &self.context.instance;
        let fail = |failure: EngineError| self.fail(&failure);
        match call {
            Call::Ping | Call::Discover { .. } => Ok(discover_or_ping(&call)),
            Call::Catalog { n, last } => {
                let limit = n.unwrap_or(PAGE_ENTRIES_MAX);
                let last = last.unwrap_or_default();
                let (repositories, more) = instance.repositories(&permit, &last, limit as usize).await.map_err(fail)?;
                let next = repositories.last().filter(|_| more);
                let next =
                    next.map(|last| self.next("/v2/_catalog", &[("n", &limit.to_string()), ("last", last.as_str())]));
                Ok(with_next(json(&Catalog { repositories }), next))
            }
            Call::Tags { repository, n, last } => {
                let limit = n.unwrap_or(PAGE_ENTRIES_MAX);
                let last = last.unwrap_or_default();
                let (tags, more) = instance.tags(&permit, &last, limit as usize).await.map_err(fail)?;
                let path = format!("/v2/{repository}/tags/list");
                let next = tags.last().filter(|_| more);
                let next = next.map(|last| self.next(&path, &[("n", &limit.to_string()), ("last", last.as_str())]));
                Ok(with_next(json(&TagList { name: repository, tags }), next))
            }
            Call::Referrers { repository, digest, artifact_type, last } => {
                let filter = artifact_type.as_deref();
                let page = instance.referrers(&permit, &digest, filter, last.as_ref()).await.map_err(fail)?;
                let body = index_of_written(&page.descriptors);
                let mut response = typed(media::OCI_IMAGE_INDEX, body);
                if filter.is_some() {
                    response.headers_mut().insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
                }
                let path = format!("/v2/{repository}/referrers/{digest}");
                let next = page.next.map(|last| self.next(&path, &[("last", &last.to_string())]));
                Ok(with_next(response, next))
            }
            Call::Manifest { reference, head, .. } => {
                let row = instance.manifest(&permit, &reference).await.map_err(fail)?;
                let etag = etag(&row.digest);
                if matches_etag(self.headers, &etag) {
                    return Ok(not_modified(&etag));
                }
                let length = row.bytes.len();
                let mut response = Response::new(if head { Body::empty() } else { Body::from(row.bytes) });
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, ascii(&row.media_type));
                headers.insert(header::CONTENT_LENGTH, length.into());
                headers.insert(header::ETAG, ascii(&etag));
                headers.insert("docker-content-digest", ascii(&row.digest.to_string()));
                Ok(response)
            }
            Call::PutManifest { repository, reference, tags } => {
                let bytes =
                    read(body, MANIFEST_BYTES_MAX).await.map_err(|failure| self.broken(failure, MANIFEST_BYTES_MAX))?;
                let content_type = self.header(header::CONTENT_TYPE);
                let many = !tags.is_empty();
                let stored = match self.claim(&repository, &bytes, content_type)? {
                    Some(claim) => {
                        let put =
                            instance.put_statement_manifest(&permit, &claim, &reference, content_type, tags, bytes);
                        put.await.map_err(|failure| self.not_registered(&failure))?
                    }
                    None => {
                        instance.put_manifest(&permit, &reference, content_type, tags, bytes).await.map_err(fail)?
                    }
                };
                Ok(manifest_created(&repository, &stored, many))
            }
            Call::DeleteManifest { reference, .. } => {
                let deleted = instance.delete_manifest(&permit, &reference).await;
                deleted.map_err(|failure| self.not_deleted(&failure, "GET, HEAD, PUT"))?;
                Ok(empty(StatusCode::ACCEPTED))
            }
            Call::Blob { digest, head: true, .. } => {
                let size = instance.blob_size(&permit, &digest).await.map_err(fail)?;
                let etag = etag(&digest);
                if matches_etag(self.headers, &etag) {
                    return Ok(not_modified(&etag));
                }
                let mut response = Response::new(Body::empty());
                blob_headers(response.headers_mut(), &digest, size);
                Ok(response)
            }
            Call::Blob { digest, head: false, .. } => {
                let blob = instance.blob(&permit, &digest).await.map_err(fail)?;
                send(blob, &digest, self.headers, self.context.peer.as_deref()).await.map_err(fail)
            }
            Call::DeleteBlob { digest, .. } => {
                let deleted = instance.delete_blob(&permit, &digest).await;
                deleted.map_err(|failure| self.not_deleted(&failure, "GET, HEAD"))?;
                Ok(empty(StatusCode::ACCEPTED))
            }
            Call::StartUpload { repository, digest, mount, from, digest_algorithm } => {
                if let Some(mounted) = self.mount(&permit, &repository, mount.as_deref(), from.as_deref()).await {
                    return Ok(mounted);
                }
                let algorithm = digest_algorithm.or(digest.map(|digest| digest.algorithm()));
                let algorithm = algorithm.unwrap_or(Algorithm::Sha256);
                let Some(digest) = digest else {
                    let id = instance.start_upload(&permit, algorithm).await.map_err(fail)?;
                    return Ok(upload_answer(StatusCode::ACCEPTED, &repository, &id, 0));
                };
                let mut upload = instance.start_single_upload(&permit, algorithm).map_err(fail)?;
                self.receive(body, &mut upload, &repository).await?;
                instance.finish_upload(upload, &digest).await.map_err(fail)?;
                Ok(blob_created(&repository, &digest))
            }
            Call::UploadStatus { repository, session } => {
                let size = instance.upload_size(&permit, &session).map_err(fail)?;
                Ok(upload_answer(StatusCode::NO_CONTENT, &repository, &session, size))
            }
            Call::UploadPatch { repository, session } => {
                let mut upload = self.open_upload(&permit, &repository, &session)?;
                self.receive(body, &mut upload, &repository).await?;
                let size = upload.rest().await.map_err(fail)?;
                Ok(upload_answer(StatusCode::ACCEPTED, &repository, &session, size))
            }
            Call::UploadFinish { repository, session, digest } => {
                let mut upload = self.open_upload(&permit, &repository, &session)?;
                self.receive(body, &mut upload, &repository).await?;
                instance.finish_upload(upload, &digest).await.map_err(fail)?;
                Ok(blob_created(&repository, &digest))
            }
            Call::UploadCancel { repository, session } => {
                let upload = self.open_upload(&permit, &repository, &session)?;
                instance.cancel_upload(upload).await.map_err(fail)?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            Call::ScittRegister { repository } => {
                let base = format!("/v2/{repository}/_scitt/ledger/entries");
                scrapi::register(self.context, self.headers, body, &permit, &base).await
            }
            Call::ScittEntry { repository, entry } => {
                let location = format!("/v2/{repository}/_scitt/ledger/entries/{entry}");
                scrapi::receipt(self.context, &permit, &entry, &location).await
            }
        }
    }

    /// The link to the next page, which keeps the filters and whatever else was asked.
    fn next(&self, path: &str, next: &[(&str, &str)]) -> String {
        next_link(path, &Query::parse(self.query).unwrap_or_default(), next)
    }

    fn permit(&self, right: Right, call: &Call) -> Result<Permit, Failure> {
        self.context.permit(right, call.repository()).map_err(|failure| self.fail(&failure))
    }

    /// The permit to register what a pushed manifest states, if it states something and the caller may. Whoever may only
    /// push has it kept like any artifact.
    fn claim(
        &self,
        repository: &RepositoryName,
        bytes: &[u8],
        content_type: Option<&str>,
    ) -> Result<Option<Permit>, Failure> {
        let permit =
            is_statement_manifest(bytes, content_type).then(|| self.context.permit(Right::Claim, Some(repository)));
        let permit = permit.and_then(Result::ok);
        if permit.is_some() {
            self.context.count_registration()?;
        }
        Ok(permit)
    }

    /// What policy says to a pushed statement, in the words that clients of registries know.
    fn not_registered(&self, failure: &EngineError) -> Failure {
        match failure {
            EngineError::Refused(_) => Failure::new(StatusCode::FORBIDDEN, Code::Denied.as_str(), failure.to_string()),
            other => self.fail(other),
        }
    }

    /// Tries to mount a blob. Whatever stands in the way, the client is to upload it instead: docker-style clients end
    /// the whole push on any error here.
    async fn mount(
        &self,
        permit: &Permit,
        to: &RepositoryName,
        mount: Option<&str>,
        from: Option<&str>,
    ) -> Option<Response<Body>> {
        let (instance, digest) = (&self.context.instance, mount?.parse().ok()?);
        let mounted = match from {
            Some(from) => {
                let source = self.context.permit(Right::Pull, Some(&from.parse().ok()?)).ok()?;
                instance.mount_blob(permit, &source, &digest).await
            }
            None => instance.mount_blob_from_any(permit, &self.context.caller, &digest).await,
        };
        mounted.is_ok_and(|mounted| mounted).then(|| blob_created(to, &digest))
    }

    /// Takes an upload for this request alone.
    fn open_upload(&self, permit: &Permit, repository: &RepositoryName, id: &str) -> Result<OpenUpload, Failure> {
        self.context.instance.open_upload(permit, id).map_err(|failure| match failure {
            EngineError::UploadBusy { size } => self.out_of_range(&failure, repository, id, size),
            other => self.fail(&other),
        })
    }

    /// Streams the body into an upload, if its Content-Range, where there is one, starts where the upload ends and
    /// agrees with the body's length. A body without announced length shows only while it comes that it does not agree;
    /// what came is taken back then, and also if the body breaks off.
    async fn receive(&self, body: Body, upload: &mut OpenUpload, repository: &RepositoryName) -> Result<(), Failure> {
        let start = upload.size();
        let range = self.header(header::CONTENT_RANGE).map(UploadRange::parse);
        if let Some(range) = range {
            let length = self.header(header::CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
            let fits = range
                .is_some_and(|range| range.start() == start && length.is_none_or(|length| length == range.length()));
            if !fits {
                return Err(self.elsewhere(upload, repository));
            }
            upload.begin_chunk().await.map_err(|failure| self.fail(&failure))?;
        }
        let length = range.flatten().map(UploadRange::length);
        let received = receive(body, upload, length.unwrap_or(u64::MAX)).await;
        let received = received.map_err(|failure| self.broken(failure, usize::MAX))?;
        if length.is_none_or(|length| length == received) {
            return Ok(());
        }
        upload.take_back().await.map_err(|failure| self.fail(&failure))?;
        Err(self.elsewhere(upload, repository))
    }

    /// The chunk does not continue the upload.
    fn elsewhere(&self, upload: &OpenUpload, repository: &RepositoryName) -> Failure {
        let size = upload.size();
        self.out_of_range(&EngineError::UploadOffset { size }, repository, upload.id(), size)
    }

    /// The 416 that lets a client go on: where the upload is, and how far it came.
    fn out_of_range(&self, failure: &EngineError, repository: &RepositoryName, id: &str, size: u64) -> Failure {
        let (location, range) = (upload_location(repository, id), upload_progress(size));
        self.fail(failure).with(header::LOCATION, &location).with(header::RANGE, &range)
    }

    /// Where deleting is switched off, the answer says what can be done instead (RFC 9110 §15.5.6).
    fn not_deleted(&self, failure: &EngineError, allowed: &'static str) -> Failure {
        match failure {
            EngineError::DeletesOff => self.fail(failure).with(header::ALLOW, allowed),
            other => self.fail(other),
        }
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn fail(&self, failure: &EngineError) -> Failure {
        Failure::of(failure, self.context)
    }

    fn broken(&self, failure: BodyError, limit: usize) -> Failure {
        match failure {
            BodyError::TooLong => {
                let message = format!("the body is larger than {limit} bytes, the most that is taken here");
                Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
            }
            BodyError::Broken => {
                Failure::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", "the body ended before its announced length")
            }
            BodyError::Slow => Failure::too_slow(),
            BodyError::Engine(failure) => self.fail(&failure),
        }
    }
}

fn discover_or_ping(call: &Call) -> Response<Body> {
    let Call::Discover { repository } = call else {
        return typed("application/json", b"{}".to_vec());
    };
    let endpoints = match repository {
        Some(_) => vec!["_scitt/ledger/entries".to_owned()],
        None => Vec::new(),
    };
    json(&Extensions {
        extensions: vec![ApiExtension {
            name: "_scitt".to_owned(),
            url: None,
            description: Some("registers signed statements about artifacts and places them beside them".to_owned()),
            endpoints,
        }],
    })
}

fn manifest_created(repository: &RepositoryName, stored: &StoredManifest, many: bool) -> Response<Body> {
    let mut response = created(&format!("/v2/{repository}/manifests/{}", stored.digest), &stored.digest);
    let headers = response.headers_mut();
    if let Some(subject) = stored.subject {
        headers.insert("oci-subject", ascii(&subject.to_string()));
    }
    if many {
        let tags: Vec<_> = stored.tags.iter().map(Tag::as_str).collect();
        headers.insert("oci-tag", ascii(&tags.join(", ")));
    }
    for warning in warnings(stored.warnings.iter().map(Warning::to_string)) {
        headers.append(header::WARNING, ascii(&warning));
    }
    response
}

fn blob_created(repository: &RepositoryName, digest: &Digest) -> Response<Body> {
    created(&format!("/v2/{repository}/blobs/{digest}"), digest)
}

fn created(location: &str, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, ascii(location));
    headers.insert("docker-content-digest", ascii(&digest.to_string()));
    response
}

fn upload_answer(status: StatusCode, repository: &RepositoryName, id: &str, size: u64) -> Response<Body> {
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, ascii(&upload_location(repository, id)));
    headers.insert(header::RANGE, ascii(&upload_progress(size)));
    headers.insert("docker-upload-uuid", ascii(id));
    response
}

fn upload_location(repository: &RepositoryName, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

fn with_next(mut response: Response<Body>, next: Option<String>) -> Response<Body> {
    if let Some(next) = next {
        response.headers_mut().insert(header::LINK, ascii(&next));
    }
    response
}

fn json<T: serde::Serialize>(value: &T) -> Response<Body> {
    typed("application/json", serde_json::to_vec(value).expect("strings and lists of them"))
}

/// A 200 with a body.
pub(crate) fn typed(content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}
