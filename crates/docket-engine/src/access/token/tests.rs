//! Tokens that are not ours, however much they look like it.

use jsonwebtoken::crypto;
use jsonwebtoken::jwk::Jwk;

use super::*;

const SERVICE: &str = "https://registry.example";
const KEY: [u8; TOKEN_KEY_BYTES] = [7; TOKEN_KEY_BYTES];
const NOW: i64 = 1_700_000_000;

fn tokens() -> Tokens {
    Tokens::new(SERVICE, &KEY)
}

fn genuine() -> String {
    let scope = Scope::parse(["repository:a/b:pull"].into_iter()).expect("a scope");
    tokens().issue(&"alice".parse().expect("an account"), &scope, 60, NOW).token
}

fn claims() -> Claims {
    Claims {
        iss: SERVICE.to_owned(),
        aud: SERVICE.to_owned(),
        sub: "alice".to_owned(),
        jti: "1".to_owned(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 60,
        access: Vec::new(),
    }
}

fn is_refused(token: &str) -> bool {
    tokens().read(token, NOW).is_err()
}

/// Signs any header and body with our own key.
fn signed(header: &str, body: &str) -> String {
    let message = format!("{header}.{body}");
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(&KEY), Algorithm::HS256);
    format!("{message}.{}", signature.expect("signed"))
}

fn body_of(token: &str) -> &str {
    token.split('.').nth(1).expect("a body")
}

#[test]
fn a_token_of_ours_reads_back() {
    let token = tokens().read(&genuine(), NOW + 1000).expect("ours, if old");
    assert_eq!((token.account.to_string().as_str(), token.issued_at, token.expires_at), ("alice", NOW, NOW + 60));
    let pull: Rights = [Right::Pull].into_iter().collect();
    assert_eq!(token.rights(Some(&"a/b".parse().expect("a name"))), pull);
    assert_eq!(token.rights(None), Rights::NONE);
}

#[test]
fn algorithm_none_is_refused() {
    // {"typ":"JWT","alg":"none"}, with and without a signature.
    const NONE: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0";
    let token = genuine();
    assert!(is_refused(&format!("{NONE}.{}.", body_of(&token))));
    assert!(is_refused(&signed(NONE, body_of(&token))));
}

#[test]
fn another_algorithm_is_refused_even_with_our_key() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = encode(&Header::new(algorithm), &claims(), &EncodingKey::from_secret(&KEY)).expect("signed");
        assert!(is_refused(&token), "{algorithm:?}");
    }
    // {"typ":"JWT","alg":"RS256"}: the public key of a signature taken for the secret of a hash, or the reverse.
    assert!(is_refused(&signed("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9", body_of(&genuine()))));
}

#[test]
fn keys_that_a_token_brings_or_names_are_refused() {
    let signs = EncodingKey::from_secret(&[9; TOKEN_KEY_BYTES]);
    let own_key = Jwk::from_encoding_key(&signs, Algorithm::HS256).expect("a key");
    let plain = Header::new(Algorithm::HS256);
    let headers = [
        Header { jwk: Some(own_key), ..plain.clone() },
        Header { jku: Some("https://evil.example/keys".to_owned()), ..plain.clone() },
        Header { kid: Some("../../dev/null".to_owned()), ..plain.clone() },
        Header { x5u: Some("https://evil.example/cert".to_owned()), ..plain.clone() },
        Header { typ: None, ..plain },
    ];
    for header in headers {
        for key in [&signs, &EncodingKey::from_secret(&KEY)] {
            let token = encode(&header, &claims(), key).expect("signed");
            assert!(is_refused(&token), "{header:?}");
        }
    }
}

#[test]
fn what_another_key_signed_or_somebody_changed_is_refused() {
    let other = Tokens::new(SERVICE, &[8; TOKEN_KEY_BYTES]);
    assert!(is_refused(&other.issue(&Account::Anonymous, &Scope::default(), 60, NOW).token));
    let token = genuine();
    let (rest, signature) = token.rsplit_once('.').expect("three parts");
    let more = encode(
        &Header::new(ALGORITHM),
        &Claims { sub: "root".to_owned(), ..claims() },
        &EncodingKey::from_secret(b"?"),
    );
    assert!(is_refused(&format!("{}.{signature}", more.expect("signed").rsplit_once('.').expect("three parts").0)));
    for broken in
        [rest, &format!("{rest}."), &token[1..], &token[..token.len() - 1], &format!("{token}."), "", ".", ".."]
    {
        assert!(is_refused(broken), "{broken}");
    }
    assert!(!is_refused(&token));
}

#[test]
fn a_token_for_another_service_or_another_time_is_refused() {
    let read = |claims: &Claims| {
        tokens().read(&encode(&Header::new(ALGORITHM), claims, &EncodingKey::from_secret(&KEY)).expect("signed"), NOW)
    };
    assert!(read(&claims()).is_ok());
    assert!(read(&Claims { aud: "https://other.example".to_owned(), ..claims() }).is_err());
    assert!(read(&Claims { iss: "https://other.example".to_owned(), ..claims() }).is_err());
    assert!(read(&Claims { nbf: NOW + 1, ..claims() }).is_err());
    assert!(read(&Claims { sub: "not an account".to_owned(), ..claims() }).is_err());
}

#[test]
fn a_token_has_a_longest_length() {
    let names = (0..SCOPES_MAX).map(|number| format!("repository:{}{number:02}:pull,push", "a".repeat(230)));
    let scope = Scope::parse(names.collect::<Vec<_>>().iter().map(String::as_str)).expect("all that fits");
    let largest = tokens().issue(&Account::Anonymous, &scope, 60, NOW).token;
    assert!(largest.len() <= TOKEN_BYTES_MAX, "{}", largest.len());
    assert!(!is_refused(&largest));
    assert!(is_refused(&format!("{}{}", tokens().header, "a".repeat(TOKEN_BYTES_MAX))));
}

#[test]
fn scopes_are_bounded_in_number_and_bytes() {
    let many = |count: usize| Scope::parse(vec!["repository:a:pull"; count].into_iter());
    assert!(many(SCOPES_MAX).is_ok());
    assert_eq!(many(SCOPES_MAX + 1), Err(ScopeTooLarge));
    // Nonsense counts as well.
    assert_eq!(Scope::parse(["x "; SCOPES_MAX + 1].concat().split('#')), Err(ScopeTooLarge));
    let long = |bytes: usize| Scope::parse(["a".repeat(bytes).as_str()].into_iter());
    assert!(long(SCOPE_BYTES_MAX).is_ok());
    assert_eq!(long(SCOPE_BYTES_MAX + 1), Err(ScopeTooLarge));
}

#[test]
fn the_key_is_drawn_once_and_kept_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token.key");
    let first = Tokens::open(&path, SERVICE).expect("drawn");
    assert_eq!(std::fs::metadata(&path).expect("written").permissions().mode() & 0o777, 0o600);
    let token = first.issue(&Account::Anonymous, &Scope::default(), 60, NOW).token;
    assert!(Tokens::open(&path, SERVICE).expect("read").read(&token, NOW).is_ok());
    for broken in ["", "00", &"0".repeat(66), &"g".repeat(64)] {
        std::fs::write(&path, broken).expect("written");
        assert!(Tokens::open(&path, SERVICE).expect_err("refused").to_string().contains("token.key"));
    }
}
