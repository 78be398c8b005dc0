//! The error codes and the error body of the distribution spec.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The error codes of the distribution spec ("Error Codes").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// The blob is not in this repository.
    BlobUnknown,
    /// The upload broke a rule.
    BlobUploadInvalid,
    /// There is no such upload session.
    BlobUploadUnknown,
    /// A digest is malformed, or the content has another one.
    DigestInvalid,
    /// A manifest names a blob or manifest that the repository does not hold.
    ManifestBlobUnknown,
    /// The manifest broke a rule.
    ManifestInvalid,
    /// The manifest is not in this repository.
    ManifestUnknown,
    /// The repository name is outside the grammar.
    NameInvalid,
    /// There is no such repository.
    NameUnknown,
    /// A length does not fit the content, or is over a limit.
    SizeInvalid,
    /// Who calls is not known.
    Unauthorized,
    /// Who calls may not do this.
    Denied,
    /// The operation or one of its parameters is not supported.
    Unsupported,
    /// Too much was asked in too little time.
    TooManyRequests,
}

impl Code {
    /// The code as it stands in an error body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of a failed call: `{"errors":[{"code","message","detail"}]}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, the most important first.
    pub errors: Vec<ErrorEntry>,
}

/// One error of an [`ErrorBody`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// One of [`Code`], or a code of another registry's own.
    pub code: String,
    /// What was wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was wrong, for programs; its shape is the registry's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

impl ErrorBody {
    /// A body with one error.
    pub fn new(code: Code, message: impl Into<String>, detail: Option<serde_json::Value>) -> Self {
        let entry = ErrorEntry { code: code.as_str().to_owned(), message: Some(message.into()), detail };
        Self { errors: vec![entry] }
    }

    /// Reads another registry's answer; `None` if it is over [`ERROR_BYTES_MAX`], not of this shape, or names no error.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > ERROR_BYTES_MAX {
            return None;
        }
        let body: Self = serde_json::from_slice(bytes).ok()?;
        (!body.errors.is_empty()).then_some(body)
    }

    /// The JSON bytes of this body.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and JSON values always serialize")
    }
}

/// The longest error body that is read.
pub const ERROR_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_what_was_written() {
        let body = ErrorBody::new(Code::NameInvalid, "no", Some(serde_json::json!({"name": "A"})));
        assert_eq!(ErrorBody::parse(&body.to_bytes()), Some(body.clone()));
        assert!(String::from_utf8_lossy(&body.to_bytes()).contains(r#""code":"NAME_INVALID""#));
    }

    #[test]
    fn foreign_codes_are_kept_and_other_shapes_are_not_errors() {
        let body = ErrorBody::parse(br#"{"errors":[{"code":"TAG_INVALID","detail":null}]}"#);
        assert_eq!(body.map(|body| body.errors[0].code.clone()).as_deref(), Some("TAG_INVALID"));
        assert_eq!(ErrorBody::parse(b"<html>"), None);
        assert_eq!(ErrorBody::parse(br#"{"errors":[]}"#), None);
        assert_eq!(ErrorBody::parse(&vec![b' '; ERROR_BYTES_MAX + 1]), None);
    }
}
