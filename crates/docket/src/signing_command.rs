//! A signing command: a program of the operator's that holds a key which this process never sees, in a module or on another
//! machine. `docket keys signer` is one, and the description of what such a program does.
//!
//! The command is run once for each call, its own words first and one more behind them. `public` asks for the public key: a PEM
//! block `PUBLIC KEY` on stdout. `sign` has the bytes to sign on stdin, to their end, and wants the 64 bytes of an ES256 signature
//! on stdout. Anything else on stdout, an exit status other than 0, or no end within `keys.command_deadline` is a failure; stderr
//! is the server's own.

use std::process::Stdio;
use std::time::Duration;

use docket_engine::{SIGNS_WITH, Signer, SignerError, Signing};
use docket_proof::crypto::ES256_SIGNATURE_BYTES;
use docket_proof::key::PublicKey;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// A signing command and the key that it has.
#[derive(Debug)]
pub(crate) struct SigningCommand {
    words: Vec<String>,
    deadline: Duration,
    public: PublicKey,
}

impl SigningCommand {
    /// Asks the command for its key. `words` is not empty.
    pub(crate) async fn ask(words: Vec<String>, deadline: Duration) -> Result<Self, SignerError> {
        let answer = answer(&words, deadline, "public", &[], PUBLIC_BYTES_MAX).await?;
        let key = std::str::from_utf8(&answer).ok().and_then(|pem| PublicKey::from_spki_pem(pem.trim_start()).ok());
        let key = key.filter(|key| key.algorithms() == [SIGNS_WITH]);
        let public = key.ok_or_else(|| failure(&words, "what it gave for `public` is no P-256 public key in PEM"))?;
        Ok(Self { words, deadline, public })
    }
}

impl Signer for SigningCommand {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            let signature = answer(&self.words, self.deadline, "sign", message, ES256_SIGNATURE_BYTES).await?;
            if signature.len() == ES256_SIGNATURE_BYTES {
                return Ok(signature);
            }
            let why =
                format!("it gave {} bytes for `sign`, not the {ES256_SIGNATURE_BYTES} of a signature", signature.len());
            Err(failure(&self.words, &why))
        })
    }
}

/// Runs the command for one call: all that it says, up to a limit.
async fn answer(
    words: &[String],
    deadline: Duration,
    verb: &str,
    input: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, SignerError> {
    let failed = |why: String| failure(words, &format!("{why} for `{verb}`"));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped());
    // A group of its own: what a script has started ends with it.
    let mut child =
        command.process_group(0).spawn().map_err(|failure| failed(format!("it did not start: {failure}")))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, stdout) = stdin.zip(stdout).expect("both were asked for");
    let talk = async {
        let write = async {
            // A command that needs no more of it may leave; what it answers tells whether it was right.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let mut output = Vec::new();
        let mut stdout = stdout.take(bytes_max as u64 + 1);
        let ((), read) = tokio::join!(write, stdout.read_to_end(&mut output));
        read.map_err(|failure| failed(format!("its answer could not be read: {failure}")))?;
        if output.len() > bytes_max {
            return Err(failed(format!("it gave more than {bytes_max} bytes")));
        }
        let status = child.wait().await.map_err(|failure| failed(format!("its end could not be seen: {failure}")))?;
        // The number of a command that has ended may be somebody else's next.
        group.0 = None;
        if status.success() { Ok(output) } else { Err(failed(format!("it ended with {status}"))) }
    };
    match tokio::time::timeout(deadline, talk).await {
        Ok(answered) => answered,
        Err(_) => Err(failed(format!("it gave no answer within {}", humantime::format_duration(deadline)))),
    }
}

/// Ends a command and what it started, whatever became of the call.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn failure(words: &[String], why: &str) -> SignerError {
    SignerError::Command { command: words[0].clone(), why: why.to_owned() }
}

/// Bytes of a public key in PEM, with room for what stands before it.
const PUBLIC_BYTES_MAX: usize = 4096;
