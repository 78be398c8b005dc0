//! A person at a prompt: commands typed in one folder, and what came back.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::site::docket;

/// A folder in which commands are typed.
pub(crate) struct Shell {
    folder: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// What was typed.
    pub line: String,
    /// The exit code.
    pub code: i32,
    /// For programs, and for people who read data.
    pub out: String,
    /// For people.
    pub err: String,
}

impl Shell {
    /// A prompt in a folder, with no docker login and no proxy around.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file in the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap_or_else(|failure| panic!("writing {name}: {failure}"));
    }

    /// Runs `docket` with arguments that are parted by spaces; there is no quoting.
    pub(crate) fn docket(&self, line: &str) -> Said {
        self.docket_with(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `docket` with arguments that may hold spaces.
    pub(crate) fn docket_with(&self, args: &[&str]) -> Said {
        self.docket_among(&[], args)
    }

    /// The same, with settings in its environment.
    pub(crate) fn docket_among(&self, settings: &[(&str, &str)], args: &[&str]) -> Said {
        let mut command = docket();
        command.envs(settings.iter().copied()).stdin(std::process::Stdio::null());
        command.args(args).current_dir(&self.folder).env("HOME", &self.folder).env("COLUMNS", "100");
        for name in SURROUNDINGS {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let output = command.output().expect("the binary starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("docket writes text");
        Said {
            line: format!("docket {}", args.join(" ")),
            code: output.status.code().unwrap_or_else(|| panic!("docket {args:?} was killed")),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Makes a key pair `<name>.key` and `<name>.pub` for `https://<name>.example`.
    pub(crate) fn keys(&self, name: &str) {
        self.docket(&format!("keys generate --out {name}.key --issuer https://{name}.example")).expect(0);
    }
}

impl Said {
    /// Insists on the exit code, and that what failed says so to people and not to programs.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.transcript());
        self
    }

    /// Insists on a failure that people can read: this exit code, nothing on stdout, and these words on stderr.
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        let said = self.expect(code);
        assert_eq!(said.out, "", "{}", said.transcript());
        said.says(words)
    }

    /// Insists on words, wherever they were said.
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let all = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "{word:?} is missing from: {}", self.transcript());
        }
        self
    }

    /// The document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|failure| panic!("{failure} in: {}", self.transcript()))
    }

    /// All of it as a terminal shows it, people's lines marked.
    pub(crate) fn transcript(&self) -> String {
        let mut text = format!("$ {}\n{}", self.line, self.out);
        for line in self.err.lines() {
            let _ = writeln!(text, "{}", format!("! {line}").trim_end());
        }
        if self.code != 0 {
            let _ = writeln!(text, "(exit {})", self.code);
        }
        text
    }
}

/// Compares what people read with what was reviewed. What differs from run to run is replaced by what it is.
pub(crate) fn reviewed(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_filters(vec![
        (r"127\.0\.0\.1:\d{5}", "[registry]"),
        (r"sha256:[0-9a-f]{64}", "sha256:[digest]"),
        (r"\b[0-9a-f]{64}\b", "[64 hex digits]"),
        (r"\b[0-9a-f]{12}…", "[12 hex digits]…"),
        (r"(?m)^[A-Za-z0-9+/]{16,64}={0,2}$", "[base64]"),
        (r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,44}=*", "+[key]"),
        (r"\b1\d{9}\b", "[time]"),
        (r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", "[time]"),
        (r#"/[^ "]*/\.tmp[A-Za-z0-9]+"#, "[folder]"),
    ]);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Variables by which the surroundings of a test could change what a command does.
const SURROUNDINGS: [&str; 7] =
    ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
