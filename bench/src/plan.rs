//! What a run measures: every row with its goal and its yardstick, in the order in which they are measured.

use crate::load::Unit;
use crate::read::What;
use crate::server::Kind::{self, Dist, Docket, Machine, Nginx, Sink};

/// One row of the plan: the same work at each of some servers.
#[derive(Debug)]
pub(crate) struct Plan {
    pub id: &'static str,
    pub title: &'static str,
    /// Where it is measured, the yardstick right before what it measures.
    pub at: &'static [Kind],
    pub against: Against,
    /// What Docket is to reach.
    pub goal: &'static str,
    pub work: Work,
}

/// What a row is divided by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against {
    Nothing,
    /// The same row at another server.
    Server(Kind),
    /// Another row at the same server.
    Row(&'static str),
    /// A row of the machine.
    Machine(&'static str),
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    SignatureChecks,
    Hashing,
    Syncs,
    /// From a start on a fresh folder to the first answer.
    Start,
    /// Memory a second after such a start.
    IdleMemory,
    Read {
        method: &'static str,
        what: What,
        connections: usize,
        unit: Unit,
    },
    Push {
        count: usize,
        bytes: u64,
        connections: usize,
        chunk_bytes: Option<u64>,
    },
    SyncsOfPush,
    PutManifests {
        connections: usize,
    },
    /// To a repository of which Docket observes nothing.
    PutUnobserved {
        connections: usize,
    },
    Mixed {
        connections: usize,
    },
    HeadsBesideDownloads {
        downloads: usize,
    },
    SlowReaders {
        readers: usize,
    },
    /// With that share of the statements of a run.
    Register {
        clients: usize,
        share: usize,
    },
    Place {
        clients: usize,
        share: usize,
    },
    Refresh {
        connections: usize,
        share: usize,
    },
    VerifyArchive,
    VerifyStatement,
    Decide,
    VerifyBare,
    Verify,
    /// Memory now.
    Memory,
    /// From another start on the folder of this run to the first answer.
    Restart,
}

impl Work {
    /// Whether any registry can do it, not only a server that was started here.
    pub(crate) fn is_for_any_registry(self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Push { .. }
            | Self::SyncsOfPush
            | Self::PutManifests { .. }
            | Self::PutUnobserved { .. }
            | Self::Mixed { .. }
            | Self::HeadsBesideDownloads { .. }
            | Self::Memory => true,
            // These are about the machine, a start, or the ledger; and some registries hold megabytes for each slow reader,
            // gigabytes that the machine may not have.
            Self::SlowReaders { .. }
            | Self::SignatureChecks
            | Self::Hashing
            | Self::Syncs
            | Self::Start
            | Self::IdleMemory
            | Self::Register { .. }
            | Self::Place { .. }
            | Self::Refresh { .. }
            | Self::VerifyArchive
            | Self::VerifyStatement
            | Self::Decide
            | Self::VerifyBare
            | Self::Verify
            | Self::Restart => false,
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Every row.
#[rustfmt::skip]
pub(crate) const PLAN: &[Plan] = &[
    // What the machine gives, on one core.
    Plan { id: "p256", title: "P-256 signature checks, one core", at: &[Machine], against: Against::Nothing, goal: "",
        work: Work::SignatureChecks },
    Plan { id: "sha256", title: "SHA-256 of 1 MiB, one core", at: &[Machine], against: Against::Nothing, goal: "",
        work: Work::Hashing },
    Plan { id: "sync", title: "append 4 KiB + fdatasync", at: &[Machine], against: Against::Nothing, goal: "",
        work: Work::Syncs },

    // Processes.
    Plan { id: "start", title: "start to first 200, empty", at: &[Nginx, Dist, Docket], against: Against::Server(Nginx),
        goal: "≤ 10 ms", work: Work::Start },
    Plan { id: "idle", title: "memory, idle", at: &[Nginx, Dist, Docket], against: Against::Server(Nginx),
        goal: "≤ 15 MiB", work: Work::IdleMemory },

    // Reads, beside nginx with the same bytes as static files.
    Plan { id: "manifest-get-tag", title: "manifest GET by tag, 64 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.8, ≤ 20 µs",
        work: Work::Read { method: "GET", what: What::ManifestByTag, connections: 64, unit: Unit::Operations } },
    Plan { id: "manifest-get-digest", title: "manifest GET by digest, 64 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.8, ≤ 20 µs",
        work: Work::Read { method: "GET", what: What::ManifestByDigest, connections: 64, unit: Unit::Operations } },
    Plan { id: "manifest-head-tag", title: "manifest HEAD by tag, 64 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.8, ≤ 20 µs",
        work: Work::Read { method: "HEAD", what: What::ManifestByTag, connections: 64, unit: Unit::Operations } },
    Plan { id: "manifest-head-digest", title: "manifest HEAD by digest, 64 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.8, ≤ 20 µs",
        work: Work::Read { method: "HEAD", what: What::ManifestByDigest, connections: 64, unit: Unit::Operations } },
    Plan { id: "blob-head", title: "blob HEAD, 64 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.8, ≤ 20 µs",
        work: Work::Read { method: "HEAD", what: What::Blob(2 * KIB), connections: 64, unit: Unit::Operations } },
    Plan { id: "blob-2k", title: "blob GET 2 KiB, 64 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.6",
        work: Work::Read { method: "GET", what: What::Blob(2 * KIB), connections: 64, unit: Unit::Operations } },
    Plan { id: "blob-1m", title: "blob GET 1 MiB, 8 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.9, CPU ratio ≤ 1.2",
        work: Work::Read { method: "GET", what: What::Blob(MIB), connections: 8, unit: Unit::Bytes } },
    Plan { id: "blob-16m", title: "blob GET 16 MiB, 8 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 0.9, CPU ratio ≤ 1.2",
        work: Work::Read { method: "GET", what: What::Blob(16 * MIB), connections: 8, unit: Unit::Bytes } },
    Plan { id: "blob-1g", title: "blob GET 1 GiB, 1 connection", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "ratio ≥ 1.5, ≤ 25 MiB",
        work: Work::Read { method: "GET", what: What::Blob(GIB), connections: 1, unit: Unit::Bytes } },
    Plan { id: "head-idle", title: "p99 of manifest HEAD, 4 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "",
        work: Work::Read { method: "HEAD", what: What::ManifestByTag, connections: 4, unit: Unit::P99 } },
    Plan { id: "head-busy", title: "the same beside 16 downloads of 1 GiB", at: &[Nginx, Docket],
        against: Against::Row("head-idle"), goal: "ratio ≤ 10",
        work: Work::HeadsBesideDownloads { downloads: 16 } },
    Plan { id: "slow-readers", title: "memory for each of 2,000 clients that stop reading 1 GiB", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "≤ 64 KiB", work: Work::SlowReaders { readers: 2000 } },

    // Pushes, beside a bare server that hashes, writes and syncs, and beside distribution.
    Plan { id: "push-1m", title: "blob push 1 MiB × 200, 4 connections", at: &[Sink, Dist, Docket],
        against: Against::Server(Dist), goal: "ratio ≥ 2, CPU ratio ≤ 0.5",
        work: Work::Push { count: 200, bytes: MIB, connections: 4, chunk_bytes: None } },
    Plan { id: "push-syncs", title: "syncs for each blob of such a push", at: &[Sink, Dist, Docket],
        against: Against::Server(Dist), goal: "≤ 2", work: Work::SyncsOfPush },
    Plan { id: "push-1g", title: "blob push 1 GiB, whole", at: &[Sink, Dist, Docket],
        against: Against::Server(Sink), goal: "ratio ≥ 0.95",
        work: Work::Push { count: 1, bytes: GIB, connections: 1, chunk_bytes: None } },
    Plan { id: "push-1g-chunks", title: "blob push 1 GiB, in 5 MiB chunks", at: &[Dist, Docket],
        against: Against::Row("push-1g"), goal: "ratio ≥ 0.9",
        work: Work::Push { count: 1, bytes: GIB, connections: 1, chunk_bytes: Some(5 * MIB) } },
    Plan { id: "put-4", title: "manifest PUT by a new tag, 4 connections", at: &[Dist, Docket],
        against: Against::Server(Dist), goal: "", work: Work::PutManifests { connections: 4 } },
    Plan { id: "put-64", title: "manifest PUT by a new tag, 64 connections", at: &[Dist, Docket],
        against: Against::Server(Dist), goal: "ratio ≥ 5", work: Work::PutManifests { connections: 64 } },
    Plan { id: "put-unobserved", title: "the same where nothing is observed: what an observed push costs", at: &[Docket],
        against: Against::Row("put-64"), goal: "", work: Work::PutUnobserved { connections: 64 } },

    // Listings, and all of it at once.
    Plan { id: "tags", title: "tags?n=100 in the middle of 10,000, 8 connections", at: &[Dist, Docket],
        against: Against::Server(Dist), goal: "≤ 100 µs",
        work: Work::Read { method: "GET", what: What::Tags, connections: 8, unit: Unit::Operations } },
    Plan { id: "referrers", title: "referrers, all 1,000, 8 connections", at: &[Nginx, Docket],
        against: Against::Server(Nginx), goal: "≤ 1 ms",
        work: Work::Read { method: "GET", what: What::Referrers, connections: 8, unit: Unit::Operations } },
    Plan { id: "mixed", title: "90 % pulls and 10 % pushes of whole images, 16 connections", at: &[Dist, Docket],
        against: Against::Server(Dist), goal: "", work: Work::Mixed { connections: 16 } },

    // The ledger.
    Plan { id: "register-1", title: "registration, 1 client", at: &[Docket], against: Against::Machine("p256"),
        goal: "p50 ≤ 3 ms", work: Work::Register { clients: 1, share: 10 } },
    Plan { id: "register-8", title: "registration, 8 clients", at: &[Docket], against: Against::Machine("p256"),
        goal: "", work: Work::Register { clients: 8, share: 2 } },
    Plan { id: "register-64", title: "registration, 64 clients", at: &[Docket], against: Against::Machine("p256"),
        goal: "ratio ≥ 0.25, p99 ≤ 50 ms", work: Work::Register { clients: 64, share: 1 } },
    Plan { id: "register-256", title: "registration, 256 clients", at: &[Docket], against: Against::Machine("p256"),
        goal: "", work: Work::Register { clients: 256, share: 1 } },
    Plan { id: "verify-statement", title: "of that: decode and check a statement, in process", at: &[Docket],
        against: Against::Nothing, goal: "", work: Work::VerifyStatement },
    Plan { id: "place-64", title: "registration and placement, 64 clients", at: &[Docket],
        against: Against::Machine("p256"), goal: "", work: Work::Place { clients: 64, share: 4 } },
    Plan { id: "refresh", title: "fresh receipt, 64 connections", at: &[Docket], against: Against::Nothing,
        goal: "≥ 10,000 /s", work: Work::Refresh { connections: 64, share: 4 } },
    Plan { id: "decide", title: "decision by a policy of 3 modules, in process", at: &[Docket], against: Against::Nothing,
        goal: "≤ 60 µs", work: Work::Decide },
    Plan { id: "verify-bare", title: "two bare P-256 signature checks", at: &[Machine], against: Against::Nothing, goal: "",
        work: Work::VerifyBare },
    Plan { id: "verify", title: "transparent statement, in process", at: &[Docket], against: Against::Machine("verify-bare"),
        goal: "ratio ≤ 1.5", work: Work::Verify },
    Plan { id: "verify-archive", title: "docket verify of an archive (1 MiB, 1 claim), whole process", at: &[Docket],
        against: Against::Nothing, goal: "", work: Work::VerifyArchive },

    // What it all leaves.
    Plan { id: "memory", title: "memory, after all of this", at: &[Dist, Docket], against: Against::Server(Dist), goal: "",
        work: Work::Memory },
    Plan { id: "restart", title: "start to first 200, with what was stored", at: &[Dist, Docket],
        against: Against::Server(Dist), goal: "≤ 10 ms", work: Work::Restart },
];
