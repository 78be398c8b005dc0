//! A disk that loses what was not synced. Built from a trace, it knows for every file and folder what a process sees
//! now, what is durable, and the edits in between.
//!
//! It is as mean as POSIX allows: a file's own sync does not make its name durable, only a sync of its folder does; a
//! sync covers what had come back when it began, and only once it has come back itself; a rename is two edits of which
//! one may be lost; of the edits that were not synced any may survive, in part too.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Component, Path, PathBuf};

use super::trace::{Call, Step, Trace};

/// Whether the disk carries out a sync of the file or folder of this name. Leaving some out shows that the tests notice.
pub(super) type Obeys = fn(name: &str, is_folder: bool) -> bool;

/// All files and folders below one folder.
pub(super) struct Disk {
    top: PathBuf,
    obeys: Obeys,
    nodes: Vec<Node>,
    /// Open descriptors of the process.
    open: HashMap<u64, Open>,
    /// Syncs that have begun, by call: what they cover.
    syncing: HashMap<usize, (usize, u64)>,
}

/// A file or folder, whatever its names.
struct Node {
    durable: Content,
    now: Content,
    /// Edits that are not durable, oldest first, and the number of the oldest.
    edits: VecDeque<Edit>,
    edits_done: u64,
    name: String,
}

#[derive(Clone)]
enum Content {
    File(Vec<u8>),
    Folder(BTreeMap<String, usize>),
}

#[derive(Clone)]
enum Edit {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
    Name(String, Option<usize>),
}

#[derive(Clone, Copy)]
struct Open {
    node: usize,
    /// Where the next plain write goes.
    at: usize,
}

impl Disk {
    /// An empty disk below a folder.
    pub(super) fn new(top: &Path, obeys: Obeys) -> Self {
        let root = Node::new("", Content::Folder(BTreeMap::new()));
        Self { top: top.to_owned(), obeys, nodes: vec![root], open: HashMap::new(), syncing: HashMap::new() }
    }

    /// Follows a process to its end: its descriptors are closed then, what it wrote stays.
    pub(super) fn follow(&mut self, trace: &Trace) {
        trace.steps.iter().for_each(|step| self.take(*step, trace));
        self.open.clear();
        self.syncing.clear();
    }

    /// Follows the process by one step.
    pub(super) fn take(&mut self, step: Step, trace: &Trace) {
        match step {
            Step::Begins(number) => self.begins(number, &trace.calls[number]),
            Step::Ends(number) => self.ends(number, &trace.calls[number]),
        }
    }

    fn begins(&mut self, number: usize, call: &Call) {
        match call.name.as_str() {
            "close" => drop(self.open.remove(&call.number(0))),
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    let node = &self.nodes[open.node];
                    self.syncing.insert(number, (open.node, node.edits_done + node.edits.len() as u64));
                }
            }
            _ => {}
        }
    }

    fn ends(&mut self, number: usize, call: &Call) {
        let Some(result) = call.result else { return };
        match call.name.as_str() {
            "openat" => self.opened(call, result),
            "fcntl" if call.arguments[1].starts_with("F_DUPFD") => {
                let open = self.open.get(&call.number(0)).copied();
                open.map(|open| self.open.insert(result, open));
            }
            "pwrite64" => {
                let (at, bytes) = (call.number(3), call.bytes(1));
                self.write(call.number(0), Some(at), bytes, result);
            }
            "write" => self.write(call.number(0), None, call.bytes(1), result),
            "ftruncate" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    let length = usize::try_from(call.number(1)).expect("a small file");
                    self.nodes[open.node].edit(Edit::Length(length));
                }
            }
            "mkdir" => {
                let Some((folder, name)) = self.place(None, &call.bytes(0)) else { return };
                self.make(folder, name, Content::Folder(BTreeMap::new()));
            }
            "rename" => {
                let from = self.place(None, &call.bytes(0));
                let to = self.place(None, &call.bytes(1));
                let (Some((from, old)), Some((to, new))) = (from, to) else { return };
                let node = self.child(from, &old).unwrap_or_else(|| panic!("{old} is renamed and was never made"));
                self.nodes[node].name.clone_from(&new);
                self.nodes[to].edit(Edit::Name(new, Some(node)));
                self.nodes[from].edit(Edit::Name(old, None));
            }
            "unlink" | "rmdir" => self.remove(None, &call.bytes(0)),
            "unlinkat" => self.remove(self.open.get(&folder_of(call)).map(|open| open.node), &call.bytes(1)),
            "fsync" | "fdatasync" => {
                let Some((node, covered)) = self.syncing.remove(&number) else { return };
                let is_folder = matches!(self.nodes[node].now, Content::Folder(_));
                if (self.obeys)(&self.nodes[node].name, is_folder) {
                    self.nodes[node].sync(covered);
                }
            }
            // SQLite keeps the index of its log in shared memory and makes it anew after a crash.
            "mmap" => {
                let shared = call.arguments[3].contains("MAP_SHARED") && call.arguments[2].contains("PROT_WRITE");
                let open = call.arguments[4].parse().ok().and_then(|file| self.open.get(&file));
                if let Some(open) = open.filter(|_| shared) {
                    let name = &self.nodes[open.node].name;
                    assert!(name.ends_with("-shm"), "{name} is written through memory, which no trace shows");
                }
            }
            "close" | "fcntl" | "lseek" | "execve" | "sendto" | "sendmsg" | "ioctl" => {}
            // Into a socket.
            "sendfile" | "writev" => assert!(!self.open.contains_key(&call.number(0)), "{call:?} is not modelled"),
            _ => panic!("{call:?} is not modelled"),
        }
    }

    /// How many edits of a file were made, durable or not.
    pub(super) fn edits(&self, path: &Path) -> u64 {
        let place = self.place(Some(0), path.as_os_str().as_encoded_bytes());
        let node = place.and_then(|(folder, name)| self.child(folder, &name));
        node.map_or(0, |node| self.nodes[node].edits_done + self.nodes[node].edits.len() as u64)
    }

    /// Writes what survives a power loss into an empty folder. `kept` is asked for every edit that was not synced how
    /// much of it survives, in percent.
    pub(super) fn survivors(&self, into: &Path, kept: &mut dyn FnMut() -> usize) {
        self.survivor(0, into, kept);
    }

    fn survivor(&self, node: usize, path: &Path, kept: &mut dyn FnMut() -> usize) {
        let node = &self.nodes[node];
        let mut content = node.durable.clone();
        for edit in &node.edits {
            content.apply(edit, kept());
        }
        match content {
            Content::File(bytes) => std::fs::write(path, bytes).expect("the copy is written"),
            Content::Folder(names) => {
                std::fs::create_dir_all(path).expect("the copy is made");
                for (name, node) in names {
                    self.survivor(node, &path.join(name), kept);
                }
            }
        }
    }

    fn opened(&mut self, call: &Call, descriptor: u64) {
        let folder = self.open.get(&folder_of(call)).map(|open| open.node);
        let Some((folder, name)) = self.place(folder, &call.bytes(1)) else {
            self.open.remove(&descriptor);
            return;
        };
        let flags = &call.arguments[2];
        let node = match self.child(folder, &name) {
            Some(node) => node,
            None if flags.contains("O_CREAT") => self.make(folder, name, Content::File(Vec::new())),
            None => panic!("{name} is opened and was never made"),
        };
        if flags.contains("O_TRUNC") {
            self.nodes[node].edit(Edit::Length(0));
        }
        assert!(!flags.contains("O_APPEND"), "{call:?} is not modelled");
        self.open.insert(descriptor, Open { node, at: 0 });
    }

    fn write(&mut self, descriptor: u64, at: Option<u64>, mut bytes: Vec<u8>, written: u64) {
        let Some(open) = self.open.get_mut(&descriptor) else { return };
        let written = usize::try_from(written).expect("a small write");
        bytes.truncate(written);
        let at = at.map_or(open.at, |at| usize::try_from(at).expect("a small file"));
        open.at = at + written;
        let node = open.node;
        self.nodes[node].edit(Edit::Write { at, bytes });
    }

    fn make(&mut self, folder: usize, name: String, content: Content) -> usize {
        self.nodes.push(Node::new(&name, content));
        let node = self.nodes.len() - 1;
        self.nodes[folder].edit(Edit::Name(name, Some(node)));
        node
    }

    fn remove(&mut self, folder: Option<usize>, path: &[u8]) {
        if let Some((folder, name)) = self.place(folder, path)
            && self.child(folder, &name).is_some()
        {
            // Sockets were never known.
            self.nodes[folder].edit(Edit::Name(name, None));
        }
    }

    /// The folder and the name in it that a path means; `None` for what lies elsewhere. The top itself is the name "".
    fn place(&self, folder: Option<usize>, path: &[u8]) -> Option<(usize, String)> {
        let path = Path::new(std::str::from_utf8(path).expect("a plain path"));
        let (mut folder, rest) = match path.strip_prefix(&self.top) {
            Ok(rest) => (0, rest),
            Err(_) if path.is_relative() => (folder?, path),
            Err(_) => return None,
        };
        let mut names: Vec<_> = rest
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str().expect("a plain name").to_owned(),
                other => panic!("{other:?} in {}", path.display()),
            })
            .collect();
        let last = names.pop().unwrap_or_default();
        for name in names {
            folder = self.child(folder, &name).unwrap_or_else(|| panic!("{name} in {} was never made", path.display()));
        }
        Some((folder, last))
    }

    fn child(&self, folder: usize, name: &str) -> Option<usize> {
        match &self.nodes[folder].now {
            Content::Folder(_) if name.is_empty() => Some(folder),
            Content::Folder(names) => names.get(name).copied(),
            Content::File(_) => panic!("{name} in a file"),
        }
    }
}

impl Node {
    fn new(name: &str, content: Content) -> Self {
        let (durable, now) = (content.clone(), content);
        Self { durable, now, edits: VecDeque::new(), edits_done: 0, name: name.to_owned() }
    }

    fn edit(&mut self, edit: Edit) {
        self.now.apply(&edit, WHOLE);
        self.edits.push_back(edit);
    }

    /// Makes the edits with numbers below this durable.
    fn sync(&mut self, covered: u64) {
        while self.edits_done < covered
            && let Some(edit) = self.edits.pop_front()
        {
            self.durable.apply(&edit, WHOLE);
            self.edits_done += 1;
        }
    }
}

impl Content {
    /// Makes a part of an edit, in percent. Only writes have parts.
    fn apply(&mut self, edit: &Edit, kept: usize) {
        match (self, edit) {
            (_, _) if kept == 0 => {}
            (Self::File(content), Edit::Write { at, bytes }) => {
                let bytes = &bytes[..bytes.len() * kept / WHOLE];
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            (Self::File(content), Edit::Length(length)) => content.resize(*length, 0),
            (Self::Folder(names), Edit::Name(name, Some(node))) => drop(names.insert(name.clone(), *node)),
            (Self::Folder(names), Edit::Name(name, None)) => drop(names.remove(name)),
            (Self::File(_), Edit::Name(..)) | (Self::Folder(_), Edit::Write { .. } | Edit::Length(_)) => {
                panic!("an edit of a file in a folder, or the reverse")
            }
        }
    }
}

fn folder_of(call: &Call) -> u64 {
    call.arguments[0].parse().unwrap_or(u64::MAX)
}

/// All of an edit.
pub(super) const WHOLE: usize = 100;
