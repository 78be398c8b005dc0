//! Reads `WWW-Authenticate`: how a registry wants to be asked (RFC 9110 §11.6.1).

/// One way to log in that a registry offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// A name and a password with every request.
    Basic,
    /// A token, to be fetched at the realm.
    Bearer {
        /// The URL that gives tokens out.
        realm: String,
        /// Who the token is for, in the realm's words.
        service: Option<String>,
        /// What the request would have needed.
        scope: Option<String>,
    },
}

/// All challenges of one header that we can answer; unknown schemes and malformed rests are skipped.
pub fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut open: Option<Open> = None;
    for part in split_outside_quotes(header) {
        // A part is `scheme`, `scheme key=value` or `key=value`: a space before any equals sign starts a new challenge.
        let (before_equals, value) =
            part.split_once('=').map_or((part, None), |(key, value)| (key.trim_end(), Some(value)));
        let key = match before_equals.rsplit_once(' ') {
            Some((scheme, key)) => {
                challenges.extend(open.replace(Open::new(scheme.trim())).and_then(Open::close));
                key
            }
            None if value.is_none() => {
                challenges.extend(open.replace(Open::new(before_equals)).and_then(Open::close));
                continue;
            }
            None => before_equals,
        };
        if let (Some(open), Some(value)) = (&mut open, value) {
            open.set(key, unquote(value.trim()));
        }
    }
    challenges.extend(open.and_then(Open::close));
    challenges
}

/// A challenge whose parameters are still being read.
struct Open {
    scheme: String,
    realm: Option<String>,
    service: Option<String>,
    scope: Option<String>,
}

impl Open {
    fn new(scheme: &str) -> Self {
        Self { scheme: scheme.to_ascii_lowercase(), realm: None, service: None, scope: None }
    }

    /// The first value counts; a second one of the same name is ignored.
    fn set(&mut self, key: &str, value: String) {
        let slot = match key.to_ascii_lowercase().as_str() {
            "realm" => &mut self.realm,
            "service" => &mut self.service,
            "scope" => &mut self.scope,
            _ => return,
        };
        slot.get_or_insert(value);
    }

    fn close(self) -> Option<Challenge> {
        match (self.scheme.as_str(), self.realm) {
            ("basic", _) => Some(Challenge::Basic),
            ("bearer", Some(realm)) => Some(Challenge::Bearer { realm, service: self.service, scope: self.scope }),
            _ => None,
        }
    }
}

fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    let mut escaped = false;
    text.split(move |character| {
        let is_separator = character == ',' && !in_quotes;
        match character {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            _ => {}
        }
        is_separator
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').map(|inner| inner.strip_suffix('"').unwrap_or(inner)) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn a_bearer_challenge_keeps_commas_inside_quotes() {
        let header = r#"Bearer realm="https://a.example/token",service="reg",scope="repository:a:pull,push""#;
        assert_eq!(
            parse_challenges(header),
            [bearer("https://a.example/token", Some("reg"), Some("repository:a:pull,push"))]
        );
    }

    #[test]
    fn several_challenges_are_told_apart() {
        let header = r#"Negotiate, Basic realm="x, y", BEARER realm=https://a.example , scope = "s""#;
        assert_eq!(parse_challenges(header), [Challenge::Basic, bearer("https://a.example", None, Some("s"))]);
        assert_eq!(parse_challenges("Basic"), [Challenge::Basic]);
    }

    #[test]
    fn malformed_challenges_are_no_challenges() {
        for header in ["", ",,", "Bearer", "Bearer service=x", "Digest realm=x", "realm=x", "=", "\"", "Bearer \"=\""] {
            assert_eq!(parse_challenges(header), [], "{header}");
        }
    }

    #[test]
    fn escapes_are_undone_and_the_first_value_counts() {
        let header = r#"Bearer realm="a\"b\\c,d",realm="second""#;
        assert_eq!(parse_challenges(header), [bearer(r#"a"b\c,d"#, None, None)]);
    }
}
