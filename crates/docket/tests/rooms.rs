//! Holds the workspace to the rooms of ARCHITECTURE.md: which crate may use which, and what each pure crate must not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Every room with the rooms it may use, as the picture in ARCHITECTURE.md draws them.
const EDGES: [(&str, &[&str]); 7] = [
    ("docket-oci", &[]),
    ("docket-proof", &["docket-oci"]),
    ("docket-judge", &["docket-oci", "docket-proof"]),
    ("docket-store", &["docket-oci"]),
    ("docket-client", &["docket-oci"]),
    ("docket-engine", &["docket-judge", "docket-oci", "docket-proof", "docket-store"]),
    ("docket", &["docket-client", "docket-engine", "docket-judge", "docket-oci", "docket-proof", "docket-store"]),
];

/// Programs beside the rooms: they may use any room, and no room may use them.
const TOOLS: [&str; 2] = ["docket-bench", "docket-fuzz"];

/// The rooms that are functions of their arguments.
const PURE: [&str; 3] = ["docket-oci", "docket-proof", "docket-judge"];

/// What a pure room does not name, and what it would know if it did. Addresses as plain values (`std::net::Ipv6Addr`)
/// are fine.
const IMPURE_PATHS: [(&str, &str); 11] = [
    ("std::fs", "files"),
    ("std::env", "the environment"),
    ("std::process", "processes"),
    ("std::thread", "threads"),
    ("std::os", "the operating system"),
    ("std::net::TcpListener", "sockets"),
    ("std::net::TcpStream", "sockets"),
    ("std::net::UdpSocket", "sockets"),
    ("std::net::ToSocketAddrs", "name lookups"),
    ("std::time::SystemTime", "the clock"),
    ("std::time::Instant", "the clock"),
];

/// Words a pure room does not use, wherever they come from.
const IMPURE_WORDS: [(&str, &str); 9] = [
    ("tokio", "an async runtime"),
    ("async", "an async runtime"),
    ("SystemTime", "the clock"),
    ("Instant", "the clock"),
    ("println!", "the terminal"),
    ("eprintln!", "the terminal"),
    ("print!", "the terminal"),
    ("eprint!", "the terminal"),
    ("dbg!", "the terminal"),
];

/// Crates that bring a runtime, sockets, files or a database along, however far below a pure room they stand.
#[rustfmt::skip]
const IMPURE_CRATES: [&str; 25] = [
    "async-io", "async-std", "axum", "curl", "futures-executor", "h2", "hickory-resolver", "hyper", "hyper-util",
    "isahc", "libsqlite3-sys", "mio", "notify", "object_store", "quinn", "reqwest", "rusqlite", "rustls-native-certs",
    "smol", "socket2", "sqlx", "tempfile", "tokio", "tower", "ureq",
];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let metadata = cargo_metadata(&["--no-deps"]);
    let members: BTreeMap<&str, BTreeSet<&str>> =
        list(&metadata["packages"]).map(|package| (text(&package["name"]), rooms_used_by(package))).collect();
    let drawn: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.into_iter().map(|(room, below)| (room, below.iter().copied().collect())).collect();

    let mut broken = Vec::new();
    for (member, used) in members.iter().filter(|(member, _)| !TOOLS.contains(member)) {
        let Some(allowed) = drawn.get(member) else {
            broken.push(format!("{member} is no room of the picture: draw it there and here first"));
            continue;
        };
        broken.extend(
            used.difference(allowed).map(|other| format!("{member} uses {other}: the picture has no such edge")),
        );
        broken.extend(
            allowed.difference(used).map(|other| format!("the edge {member} -> {other} is drawn but not used")),
        );
    }
    let absent = drawn.keys().filter(|room| !members.contains_key(*room));
    broken.extend(absent.map(|room| format!("{room} is drawn but does not exist")));
    assert_kept("the edges between rooms", &broken);
}

#[test]
fn pure_rooms_name_no_runtime_socket_file_clock_or_environment() {
    let mut broken = Vec::new();
    for source in PURE.into_iter().flat_map(sources_of) {
        let code = Code::read(&source);
        for (line, path) in code.std_paths() {
            if let Some((_, what)) = IMPURE_PATHS.iter().find(|(impure, _)| reaches(&path, impure)) {
                broken.push(format!("{}:{line} names {path}: {what}", source.display()));
            }
        }
        for (word, what) in IMPURE_WORDS {
            let lines = code.lines_with(word);
            broken.extend(lines.map(|line| format!("{}:{line} names `{word}`: {what}", source.display())));
        }
    }
    assert_kept("what the pure rooms do not know", &broken);
}

#[test]
fn pure_rooms_depend_on_no_crate_with_a_runtime_socket_or_file() {
    // The target keeps cargo from asking for crates that only other systems compile, which nobody may have downloaded.
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let metadata = cargo_metadata(&["--filter-platform", &target]);
    let names: BTreeMap<&str, &str> =
        list(&metadata["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let below: BTreeMap<&str, Vec<&str>> =
        list(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), normal_dependencies(node))).collect();

    let mut broken = Vec::new();
    for room in PURE {
        let start = names.iter().find(|(_, name)| **name == room).expect("each pure room is a workspace member").0;
        for path in paths_to_all_below(start, &below) {
            let names: Vec<&str> = path.iter().map(|id| names[id]).collect();
            if names.last().is_some_and(|last| IMPURE_CRATES.contains(last)) {
                broken.push(names.join(" -> "));
            }
        }
    }
    assert_kept("what the pure rooms do not know, their dependencies included", &broken);
}

#[test]
fn one_file_in_each_pure_room_names_the_crypto_library() {
    let mut broken = Vec::new();
    for source in PURE.into_iter().flat_map(sources_of).filter(|source| !source.ends_with("src/crypto.rs")) {
        let code = Code::read(&source);
        let lines = code.lines_with("aws_lc_rs");
        broken.extend(lines.map(|line| format!("{}:{line} names aws_lc_rs", source.display())));
    }
    assert_kept("only `crypto` names the crypto library", &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let root = workspace_root();
    // This file spells the words out, so it is the one that is not searched.
    let this = root.join("crates/docket/tests/rooms.rs");
    let sources = ["crates", "bench", "fuzz"].into_iter().flat_map(|folder| rust_files(&root.join(folder)));

    let mut broken = Vec::new();
    for source in sources.filter(|source| *source != this) {
        let code = Code::read(&source);
        for word in ["todo!", "unimplemented!", "#[ignore"] {
            broken.extend(code.lines_with(word).map(|line| format!("{}:{line} has `{word}`", source.display())));
        }
    }
    assert_kept("no stub, and no test that does not run", &broken);
}

#[test]
fn the_search_sees_through_nested_imports_and_past_comments() {
    let code = Code::new(concat!(
        "// std::fs in a comment\n",
        "use std::{\n    collections::BTreeMap,\n    time::{Duration, Instant},\n};\n",
        "let x = std::env::var(\"A\");\n",
        "use std::net::*;\n",
    ));
    let impure = |path: &String| IMPURE_PATHS.iter().any(|(impure, _)| reaches(path, impure));
    let found: Vec<(usize, String)> = code.std_paths().into_iter().filter(|(_, path)| impure(path)).collect();
    let expected = [(2, "std::time::Instant"), (6, "std::env::var"), (7, "std::net")];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));

    assert!(!reaches("std::net::Ipv6Addr", "std::net::TcpStream"), "an address is a value");
    assert!(!reaches("std::time::Duration", "std::time::Instant"), "a duration is a value");
    assert!(!reaches("std::fsx", "std::fs"), "another module");
}

#[test]
fn the_search_matches_whole_words_only() {
    let code =
        Code::new("asynchronous();\nmy_tokio();\nlet t = tokio::spawn(f);\n//! tokio\n    #[ignore = \"slow\"]\n");
    assert_eq!(code.lines_with("async").count(), 0);
    assert_eq!(code.lines_with("tokio").collect::<Vec<_>>(), [3]);
    assert_eq!(code.lines_with("#[ignore").collect::<Vec<_>>(), [5]);
}

/// Rust source with its comment lines blanked, so that prose may name what code must not.
struct Code(String);

impl Code {
    fn read(source: &Path) -> Self {
        Self::new(&fs::read_to_string(source).expect("the source was just listed"))
    }

    fn new(source: &str) -> Self {
        let lines = source.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
        Self(lines.collect::<Vec<_>>().join("\n"))
    }

    /// The numbers of the lines where `word` stands as a word of its own.
    fn lines_with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let open_end = word.ends_with(in_identifier);
        let alone = move |line: &str, start: usize| {
            let (before, after) = (&line[..start], &line[start + word.len()..]);
            !(before.ends_with(in_identifier) || open_end && after.starts_with(in_identifier))
        };
        let has = move |line: &str| line.match_indices(word).any(|(start, _)| alone(line, start));
        self.0.lines().enumerate().filter(move |(_, line)| has(line)).map(|(index, _)| index + 1)
    }

    /// Every path below `std` that the code names, import groups written out, with the line where `std` stands.
    fn std_paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (start, root) in self.0.match_indices("std::") {
            let (before, after) = (&self.0[..start], &self.0[start + root.len()..]);
            if before.ends_with(in_identifier) {
                continue;
            }
            let line = before.matches('\n').count() + 1;
            let mut paths = Vec::new();
            expand("std", after, &mut paths);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
        found
    }
}

/// Writes out the use tree at the start of `code` below `parent` (`b` and `a::{c, d}` alike) and returns what follows
/// it. `self` and `*` stand for the module itself.
fn expand<'a>(parent: &str, code: &'a str, paths: &mut Vec<String>) -> &'a str {
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if rest.is_empty() || rest.starts_with('}') {
                return rest.strip_prefix('}').unwrap_or(rest);
            }
            let after = expand(parent, rest, paths);
            // Whatever else stands there, such as `as name`, is stepped over up to the next item.
            rest = after.find([',', '}']).map_or("", |end| &after[end..]);
        }
    }
    let (segment, rest) = code.split_at(code.find(|c| !in_identifier(c)).unwrap_or(code.len()));
    let path = if segment.is_empty() || segment == "self" { parent.to_owned() } else { format!("{parent}::{segment}") };
    if let Some(below) = rest.strip_prefix("::") {
        return expand(&path, below, paths);
    }
    paths.push(path);
    rest
}

/// Whether naming `path` gives access to `target`: it is the same, lies below it, or is a module that holds it.
fn reaches(path: &str, target: &str) -> bool {
    let holds = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    holds(target, path) || holds(path, target)
}

fn in_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn assert_kept(rule: &str, broken: &[String]) {
    let root = format!("{}/", workspace_root().display());
    assert!(broken.is_empty(), "ARCHITECTURE.md, rooms: {rule}\n  {}", broken.join("\n  ").replace(&root, ""));
}

fn workspace_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate stands at crates/docket");
    root.to_owned()
}

fn sources_of(room: &str) -> Vec<PathBuf> {
    let sources = rust_files(&workspace_root().join("crates").join(room).join("src"));
    assert!(!sources.is_empty(), "{room} has no sources where this test looks");
    sources
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the workspace is readable") {
        let path = entry.expect("the workspace is readable").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn cargo_metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(arguments)
        .current_dir(workspace_root())
        .output()
        .expect("cargo runs this test, so cargo can be run");
    assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// The rooms and tools that `package` compiles in or builds with; what only its tests use does not count.
fn rooms_used_by(package: &Value) -> BTreeSet<&str> {
    let ours = |name: &&str| TOOLS.contains(name) || EDGES.iter().any(|(room, _)| room == name);
    let built = list(&package["dependencies"]).filter(|dependency| dependency["kind"] != "dev");
    built.map(|dependency| text(&dependency["name"])).filter(ours).collect()
}

fn normal_dependencies(node: &Value) -> Vec<&str> {
    let normal = |dependency: &&Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
    list(&node["deps"]).filter(normal).map(|dependency| text(&dependency["pkg"])).collect()
}

/// One shortest path from `start` to each package below it, so that a failure shows who brings the package in.
fn paths_to_all_below<'a>(start: &'a str, below: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    let mut seen = BTreeSet::from([start]);
    let mut paths = vec![vec![start]];
    let mut next = 0;
    while next < paths.len() {
        let path = paths[next].clone();
        for id in below.get(path[path.len() - 1]).into_iter().flatten().filter(|id| seen.insert(**id)) {
            paths.push([path.as_slice(), &[*id]].concat());
        }
        next += 1;
    }
    paths
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("cargo metadata has a list here").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a string here")
}
