//! What a server asked of the kernel, as strace wrote it down: each call with its arguments and its result.

use std::collections::HashMap;
use std::path::Path;
use std::thread::JoinHandle;

use crate::harness::{Server, Site};

/// A step of the trace. A call that others overtook has two: they may have happened before, in or after it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The call of this number begins.
    Begins(usize),
    /// It has come back.
    Ends(usize),
}

/// A system call.
#[derive(Debug)]
pub(super) struct Call {
    pub name: String,
    pub arguments: Vec<String>,
    /// What it gave back; `None` for a call that failed or never came back.
    pub result: Option<u64>,
}

/// All calls of one process, in the order in which strace saw them.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub calls: Vec<Call>,
    pub steps: Vec<Step>,
}

/// A trace that is being written.
pub(super) struct Tracing(JoinHandle<Vec<u8>>);

/// A server whose calls are written down.
pub(super) fn traced(site: &Site, options: &[&str]) -> (Server, Tracing) {
    let (command, tracing) = strace(site.folder(), options);
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    (Server::start_under(site, &command), tracing)
}

/// A command that runs another one and writes its calls down, all but those that change nothing on a disk. The tracer
/// is nobody's parent, so that signals and exit codes are the server's own.
pub(super) fn strace(folder: &Path, options: &[&str]) -> (Vec<String>, Tracing) {
    let pipe = folder.join(format!("trace-{}", uuid::Uuid::new_v4()));
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe with a name");
    let mut command: Vec<String> =
        ["strace", "-D", "-f", "-xx", "-s", WRITE_BYTES_MAX, "-o"].into_iter().map(str::to_owned).collect();
    command.push(pipe.to_str().expect("a plain path").to_owned());
    command.extend(["-e".to_owned(), format!("trace={}", CALLS.join(","))]);
    command.extend(options.iter().copied().map(str::to_owned));
    // The other end closes once strace has seen the last thread end.
    let tracing = std::thread::spawn(move || std::fs::read(pipe).expect("the trace is read"));
    (command, Tracing(tracing))
}

impl Tracing {
    /// The whole trace; the process must have ended.
    pub(super) fn finish(self) -> Trace {
        let text = self.0.join().expect("the reader ends with the trace");
        Trace::parse(std::str::from_utf8(&text).expect("strace writes text"))
    }
}

impl Trace {
    fn parse(text: &str) -> Self {
        let mut trace = Self::default();
        // The call that a thread has not come back from, and how it began.
        let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
        for line in text.lines() {
            let (thread, line) = line.split_once(' ').expect("every line begins with its thread");
            let line = line.trim_start();
            if line.starts_with("+++") || line.starts_with("---") {
                continue;
            }
            if let Some(start) = line.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, (trace.calls.len(), start));
                trace.steps.push(Step::Begins(trace.calls.len()));
                trace.calls.push(Call::parse(start));
            } else if let Some(rest) = line.strip_prefix("<... ") {
                let (number, start) = unfinished.remove(thread).expect("what is resumed was begun");
                let (_, rest) = rest.split_once(" resumed>").expect("the word is always there");
                trace.calls[number] = Call::parse(&format!("{start}{rest}"));
                trace.steps.push(Step::Ends(number));
            } else {
                trace.steps.extend([Step::Begins(trace.calls.len()), Step::Ends(trace.calls.len())]);
                trace.calls.push(Call::parse(line));
            }
        }
        trace
    }
}

impl Call {
    /// Reads `name(argument, …) = result`, or the beginning of it.
    fn parse(text: &str) -> Self {
        let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("no call: {text}"));
        let (mut arguments, mut argument) = (Vec::new(), String::new());
        let (mut depth, mut quoted, mut end) = (0_u32, false, rest.len());
        for (at, letter) in rest.bytes().enumerate() {
            match letter {
                b'"' => quoted = !quoted,
                b'[' | b'{' | b'(' if !quoted => depth += 1,
                b')' if !quoted && depth == 0 => {
                    end = at;
                    break;
                }
                b']' | b'}' | b')' if !quoted => depth -= 1,
                b',' if !quoted && depth == 0 => {
                    arguments.push(std::mem::take(&mut argument));
                    continue;
                }
                _ => {}
            }
            if !argument.is_empty() || letter != b' ' {
                argument.push(letter.into());
            }
        }
        arguments.push(argument);
        let result = rest[end..].split_once(" = ").and_then(|(_, result)| result.split(' ').next()?.parse().ok());
        Self { name: name.to_owned(), arguments, result }
    }

    /// Whether it made something durable.
    pub(super) fn is_sync(&self) -> bool {
        self.result.is_some() && ["fsync", "fdatasync"].contains(&self.name.as_str())
    }

    /// An argument that is a number, such as a descriptor or a length.
    pub(super) fn number(&self, at: usize) -> u64 {
        self.arguments[at].parse().unwrap_or_else(|_| panic!("argument {at} of {self:?} is no number"))
    }

    /// The bytes in an argument: a path, what is written, or all parts of it.
    pub(super) fn bytes(&self, at: usize) -> Vec<u8> {
        let argument = &self.arguments[at];
        assert!(!argument.contains("\"..."), "strace cut an argument of {} off", self.name);
        let quoted = argument.split('"').skip(1).step_by(2);
        let hex: String = quoted.flat_map(|text| text.split("\\x")).collect();
        hex::decode(hex).unwrap_or_else(|failure| panic!("{failure} in an argument of {}", self.name))
    }
}

/// An option that lets the server run at full speed between the calls that are written down. It keeps strace from sending signals.
pub(super) const FAST: &str = "--seccomp-bpf";

/// Longer than anything written in one call.
const WRITE_BYTES_MAX: &str = "8388608";

/// Every call that can change what lies on a disk or send an answer, and those that say which file a descriptor is.
const CALLS: [&str; 50] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "lseek",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "sendfile",
    "splice",
    "copy_file_range",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "sync",
    "syncfs",
    "sync_file_range",
    "msync",
    "mmap",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "mknod",
    "mknodat",
    "ioctl",
    "io_uring_setup",
    "io_submit",
    "name_to_handle_at",
    "execve",
];
