//! Query strings: read strictly, written so that every reader agrees.

use crate::request::CallError;

/// The parameters of one query, percent-decoded, in the order they stood.
///
/// A plus stays a plus: no value of this API holds a space, and media types such as `application/spdx+json` arrive
/// from clients that do not escape it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark.
    pub fn parse(text: &str) -> Result<Self, CallError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(CallError::QueryTooLong { bytes: text.len() });
        }
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, CallError>>()?))
    }

    /// The value of a parameter that may stand once or not at all.
    pub fn one(&self, parameter: &'static str) -> Result<Option<&str>, CallError> {
        let mut values = self.all(parameter);
        let first = values.next();
        if values.next().is_some() { Err(CallError::Repeated { parameter }) } else { Ok(first) }
    }

    /// All values of a parameter that may stand several times.
    pub fn all<'a>(&'a self, parameter: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.iter().filter(move |(key, _)| key == parameter).map(|(_, value)| value.as_str())
    }

    /// All parameters, in the order they stood.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of all parameters, in the order they stood: for calls that refuse those they do not know.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs().map(|(name, _)| name)
    }
}

/// Escapes a value so that it can stand in a query: all but the unreserved characters of RFC 3986.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push_str(&hex::encode_upper([byte]));
        }
    }
    escaped
}

/// The longest query that is read.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;

fn decode(text: &str) -> Result<String, CallError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let digits = after.get(..2).ok_or(CallError::Escape)?;
            bytes.extend(hex::decode(digits).map_err(|_| CallError::Escape)?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| CallError::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_a_plus_stays() {
        let query = Query::parse("a=b%2Fc&d=x+y&&e&a=2").expect("well formed");
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["b/c", "2"]);
        assert_eq!(query.names().collect::<Vec<_>>(), ["a", "d", "e", "a"]);
        assert_eq!(query.one("d"), Ok(Some("x+y")));
        assert_eq!(query.one("e"), Ok(Some("")));
        assert_eq!(query.one("f"), Ok(None));
        assert_eq!(query.one("a"), Err(CallError::Repeated { parameter: "a" }));
    }

    #[test]
    fn broken_escapes_are_refused() {
        for text in ["a=%", "a=%2", "a=%zz", "a=%ff", "%=1"] {
            assert_eq!(Query::parse(text), Err(CallError::Escape), "{text}");
        }
    }

    #[test]
    fn one_byte_over_the_limit_is_refused() {
        assert!(Query::parse(&"a".repeat(QUERY_BYTES_MAX)).is_ok());
        let long = Query::parse(&"a".repeat(QUERY_BYTES_MAX + 1));
        assert_eq!(long, Err(CallError::QueryTooLong { bytes: QUERY_BYTES_MAX + 1 }));
    }

    #[test]
    fn escaped_values_read_back() {
        let value = "application/spdx+json; a=\"ä\"&b";
        let query = Query::parse(&format!("v={}", escape(value))).expect("escaped");
        assert_eq!(query.one("v"), Ok(Some(value)));
    }
}
