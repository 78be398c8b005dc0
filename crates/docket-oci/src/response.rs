//! Bodies and headers of listings.

use serde::{Deserialize, Serialize};

use crate::name::{RepositoryName, Tag};
use crate::query::{self, Query};

/// The body of a tag listing (distribution-spec, "Listing Tags").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TagList {
    /// The repository.
    pub name: RepositoryName,
    /// Its tags in byte order; empty, never null. Null is read as empty, because other registries write it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub tags: Vec<Tag>,
}

/// The body of a repository listing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Catalog {
    /// Names in byte order; empty, never null.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub repositories: Vec<RepositoryName>,
}

/// The body of extension discovery (distribution-spec, extensions).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Extensions {
    /// What this registry, or this repository, offers beyond the spec.
    pub extensions: Vec<Extension>,
}

/// One extension of a registry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Extension {
    /// Its name, starting with an underscore.
    pub name: String,
    /// Where it is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it does, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its paths, below `/v2/` or below the repository.
    pub endpoints: Vec<String>,
}

/// The `Link` header to the next page of a listing: relative, escaped, `</path?n=2&last=b>; rel="next"`. It asks what was
/// asked, with the parameters of `next` in the place of those of the same name.
pub fn next_link(path: &str, asked: &Query, next: &[(&str, &str)]) -> String {
    let kept = asked.pairs().filter(|(name, _)| next.iter().all(|(other, _)| name != other));
    let pairs = kept.chain(next.iter().copied());
    let pairs: Vec<_> =
        pairs.map(|(name, value)| format!("{}={}", query::escape(name), query::escape(value))).collect();
    format!("<{path}?{}>; rel=\"next\"", pairs.join("&"))
}

/// The target of a `Link` header whose relation is `next`, as the other registry wrote it: a path or a URL (RFC 8288).
pub fn parse_next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, link)) = rest.split_once('<') {
        let (target, parameters) = link.split_once('>')?;
        let (own, others) = parameters.split_once(',').unwrap_or((parameters, ""));
        let is_next = own.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(key, value)| {
            key.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        if is_next {
            return Some(target);
        }
        rest = others;
    }
    None
}

/// The values of `Warning` headers that say these things to people (distribution-spec, "Warnings"). What would go beyond
/// [`WARNING_BYTES_MAX`] is left unsaid.
pub fn warnings(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut left = WARNING_BYTES_MAX;
    let mut values = Vec::new();
    for text in texts {
        let value = format!("299 - \"{}\"", quotable(&text));
        let Some(rest) = left.checked_sub(value.len()) else { break };
        left = rest;
        values.push(value);
    }
    values
}

/// What can stand between the quotes of a header: visible ASCII and spaces, quotes and backslashes escaped.
fn quotable(text: &str) -> String {
    let mut quotable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => quotable.extend(['\\', character]),
            ' '..='~' => quotable.push(character),
            _ => quotable.push('?'),
        }
    }
    quotable
}

/// The most bytes that the values of all `Warning` headers of an answer have together.
pub const WARNING_BYTES_MAX: usize = 4096;

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_link_is_relative_and_escaped_and_reads_back() {
        let asked = Query::parse("last=a&x%26=y+z&n=5").expect("well formed");
        let link = next_link("/v2/a/tags/list", &asked, &[("n", "2"), ("last", "b&c")]);
        let target = "/v2/a/tags/list?x%26=y%2Bz&n=2&last=b%26c";
        assert_eq!(link, format!("<{target}>; rel=\"next\""));
        assert_eq!(parse_next_link(&link), Some(target));
    }

    #[test]
    fn only_the_next_relation_is_followed() {
        assert_eq!(parse_next_link(r#"</a>; rel="prev", </b>; title=x; REL=next"#), Some("/b"));
        for header in ["", "</a>", r#"</a>; rel="prev""#, "<a", "a; rel=next"] {
            assert_eq!(parse_next_link(header), None, "{header}");
        }
    }

    #[test]
    fn warnings_are_one_line_of_ascii_each_and_never_beyond_their_limit() {
        let said = warnings(["plain".to_owned(), "a \"b\" \\ \r\n\u{7f}ä".to_owned()]);
        assert_eq!(said, [r#"299 - "plain""#, r#"299 - "a \"b\" \\ ????""#]);
        let frame = r#"299 - """#.len();
        let text = |bytes: usize| "x".repeat(bytes - frame);
        assert_eq!(warnings([text(WARNING_BYTES_MAX)]).len(), 1);
        assert_eq!(warnings([text(WARNING_BYTES_MAX + 1)]), [""; 0]);
        assert_eq!(warnings([text(4000), text(96)]).len(), 2);
        assert_eq!(warnings([text(4000), text(97)]).len(), 1);
    }

    #[test]
    fn no_tags_are_an_empty_list_and_null_is_read_as_one() {
        let list: TagList = serde_json::from_str(r#"{"name":"a","tags":null}"#).expect("null is tolerated");
        assert_eq!(serde_json::to_string(&list).expect("serializes"), r#"{"name":"a","tags":[]}"#);
    }
}
