use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

fn credentials(folder: &TempDir, config: &str) -> Credentials {
    let path = folder.path().join("config.json");
    fs::write(&path, config).expect("a temporary folder is writable");
    let credentials = Credentials::load(&[folder.path().join("absent.json"), path]).expect("well formed");
    credentials.with_helper_folder(folder.path().to_owned())
}

fn helper(folder: &TempDir, name: &str, script: &str) {
    let path = folder.path().join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a temporary folder is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is our file");
}

fn basic(username: &str, password: &str) -> Login {
    Login::Basic { username: username.to_owned(), password: password.to_owned() }
}

#[tokio::test]
async fn a_stored_login_is_found_by_host_and_by_url() {
    let folder = TempDir::new().expect("temporary folder");
    let auth = STANDARD.encode("wabbit:s3:cret\0\0");
    let config = format!(
        r#"{{"auths":{{"https://a.example/v1/":{{"auth":"{auth}"}},"b.example:5000":{{"identitytoken":"t"}}}}}}"#
    );
    let credentials = credentials(&folder, &config);
    assert_eq!(credentials.for_host("a.example").await.expect("no helper"), Some(basic("wabbit", "s3:cret")));
    assert_eq!(
        credentials.for_host("b.example:5000").await.expect("no helper"),
        Some(Login::IdentityToken("t".to_owned()))
    );
    assert_eq!(credentials.for_host("b.example").await.expect("no helper"), None);
}

#[tokio::test]
async fn the_login_of_docker_hub_has_its_own_key() {
    let folder = TempDir::new().expect("temporary folder");
    let config = r#"{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}"#;
    let login = credentials(&folder, config).for_host("docker.io").await;
    assert_eq!(login.expect("no helper"), Some(basic("u", "p")));
}

#[tokio::test]
async fn a_helper_is_asked_with_the_host_and_wins_over_the_file() {
    let folder = TempDir::new().expect("temporary folder");
    helper(&folder, "own", r#"read host; echo "{\"Username\":\"$host\",\"Secret\":\"$1\"}""#);
    helper(&folder, "store", r#"echo '{"Username":"<token>","Secret":"refresh"}'"#);
    let auth = STANDARD.encode("file:file");
    let config = format!(
        r#"{{"auths":{{"a.example":{{"auth":"{auth}"}}}},"credHelpers":{{"a.example":"own"}},"credsStore":"store"}}"#
    );
    let credentials = credentials(&folder, &config);
    assert_eq!(credentials.for_host("a.example").await.expect("helper"), Some(basic("a.example", "get")));
    assert_eq!(
        credentials.for_host("b.example").await.expect("helper"),
        Some(Login::IdentityToken("refresh".to_owned()))
    );
}

#[tokio::test]
async fn a_helper_without_a_login_leaves_the_file() {
    let folder = TempDir::new().expect("temporary folder");
    helper(&folder, "none", "echo 'credentials not found in native keychain'; exit 1");
    let auth = STANDARD.encode("file:file");
    let config = format!(r#"{{"auths":{{"a.example":{{"auth":"{auth}"}}}},"credsStore":"none"}}"#);
    let login = credentials(&folder, &config).for_host("a.example").await;
    assert_eq!(login.expect("helper"), Some(basic("file", "file")));
}

#[tokio::test]
async fn a_helper_that_fails_is_named() {
    let folder = TempDir::new().expect("temporary folder");
    helper(&folder, "broken", "exit 3");
    helper(&folder, "html", "echo '<html>'");
    helper(&folder, "loud", "head -c 70000 /dev/zero");
    for name in ["broken", "html", "loud", "absent", "../evil", ""] {
        let credentials = credentials(&folder, &format!(r#"{{"credsStore":"{name}"}}"#));
        let error = credentials.for_host("a.example").await;
        assert!(matches!(&error, Err(ClientError::Helper { helper, .. }) if helper == name), "{name}: {error:?}");
    }
}

#[test]
fn malformed_and_oversized_files_are_refused() {
    let folder = TempDir::new().expect("temporary folder");
    let path = folder.path().join("config.json");
    fs::write(&path, "{").expect("a temporary folder is writable");
    assert!(matches!(Credentials::load(std::slice::from_ref(&path)), Err(ClientError::Config { .. })));
    let size = usize::try_from(CONFIG_BYTES_MAX).expect("fits") + 1;
    let mut text = b"{}".to_vec();
    text.resize(size, b' ');
    fs::write(&path, &text).expect("a temporary folder is writable");
    assert!(matches!(Credentials::load(std::slice::from_ref(&path)), Err(ClientError::TooMuch { .. })));
    fs::write(&path, &text[..size - 1]).expect("a temporary folder is writable");
    assert!(Credentials::load(&[path]).is_ok());
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let shown = format!("{:?} {:?}", Credentials::basic("user", "secret"), Login::IdentityToken("secret".to_owned()));
    assert!(shown.contains("user") && !shown.contains("secret"));
}
