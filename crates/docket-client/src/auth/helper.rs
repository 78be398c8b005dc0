//! Asks docker's credential helpers: programs that keep logins in the system's own store.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Login;
use crate::error::ClientError;

/// How long a helper may take; some of them ask a person.
pub const HELPER_TIME_MAX: Duration = Duration::from_mins(1);
/// How much a helper may say.
pub const HELPER_OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Runs `docker-credential-<helper> get` for a server; `None` if the helper says it has no login for it.
///
/// `folder` is where the program lies; without one it is looked for as any other program is.
pub(super) async fn ask(helper: &str, folder: Option<&Path>, server: &str) -> Result<Option<Login>, ClientError> {
    let failed = |problem| ClientError::Helper { helper: helper.to_owned(), problem };
    if helper.is_empty() || !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(failed("has a name that is no program's"));
    }
    let program = format!("docker-credential-{helper}");
    let program = folder.map_or_else(|| program.clone().into(), |folder| folder.join(&program));
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| failed("could not be started, is it installed?"))?;
    let mut input = child.stdin.take().expect("the input was asked for as a pipe");
    let output = child.stdout.take().expect("the output was asked for as a pipe");
    let conversation = async {
        // A helper that ends without reading its input is judged by what it says.
        let _ = input.write_all(server.as_bytes()).await;
        drop(input);
        let mut said = Vec::new();
        let read = output.take(HELPER_OUTPUT_BYTES_MAX + 1).read_to_end(&mut said).await;
        read.map_err(|_| failed("broke off its answer"))?;
        if said.len() as u64 > HELPER_OUTPUT_BYTES_MAX {
            return Err(failed("says more than it may"));
        }
        let status = child.wait().await.map_err(|_| failed("did not end"))?;
        Ok((said, status))
    };
    let (said, status) =
        tokio::time::timeout(HELPER_TIME_MAX, conversation).await.map_err(|_| failed("takes too long"))??;
    if !status.success() {
        // The protocol's only way to say "none" is this sentence on standard output.
        let has_none = String::from_utf8_lossy(&said).contains("credentials not found");
        return if has_none { Ok(None) } else { Err(failed("failed")) };
    }
    let answer: Answer =
        serde_json::from_slice(&said).map_err(|_| failed("answers with something else than a login"))?;
    Ok(Some(match answer.username.as_str() {
        IDENTITY_TOKEN_USER => Login::IdentityToken(answer.secret),
        _ => Login::Basic { username: answer.username, password: answer.secret },
    }))
}

/// The user name by which helpers mark a secret as an identity token.
const IDENTITY_TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}
