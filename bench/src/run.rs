//! What `bench/run` does: walks the plan, each run on fresh folders, and prints one table.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use globset::{Glob, GlobSet, GlobSetBuilder};
use tempfile::TempDir;

use crate::http::Target;
use crate::ledger::Ledger;
use crate::load::{Measured, Unit, mebibytes};
use crate::plan::{Against, PLAN, Plan, Work};
use crate::read::Read;
use crate::row::{Figure, Row, table};
use crate::server::{Kind, Launch, Server};
use crate::{crowd, decide, limits, mixed, syncs, usage, verify, write};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only rows whose id fits, with their yardsticks (repeat it for more; `*` and `{a,b}` as in a shell; see --list)
    #[arg(long, value_name = "GLOB")]
    only: Vec<Glob>,
    /// Print the rows, their goals and where they are measured, and measure nothing
    #[arg(long)]
    list: bool,
    /// Runs whose median is taken, each on fresh folders
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=99))]
    runs: u8,
    /// Time of each row that is measured for a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Statements of the row with 64 clients; the other rows of the ledger take a part of it
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    registrations: u32,
    /// Statements that the ledger holds before anything of it is measured
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    fill: u32,
    /// Measure the registry there too, whatever it is; it must let us push to repositories below bench/
    #[arg(long, value_name = "http://HOST:PORT")]
    registry: Option<String>,
    /// What the table calls it
    #[arg(long, requires = "registry", value_name = "NAME", default_value = "other")]
    name: String,
    /// Its process, if it runs on this machine, for CPU time and memory
    #[arg(long, requires = "registry", value_name = "PID")]
    server: Option<u32>,
    /// Whom it knows us as, by Basic authentication
    #[arg(long, requires = "registry", value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// The docket to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    docket: Option<PathBuf>,
    /// Folder on the disk to measure; nothing is left in it [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Keep the rows of each run in this folder, as JSON lines
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
}

/// Measures what the options ask for, and prints it.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let plans = chosen(&options.only)?;
    if options.list {
        return tell(&list(&plans));
    }
    let docket = match &options.docket {
        Some(docket) => docket.clone(),
        None => std::env::current_exe()?.with_file_name("docket"),
    };
    ensure!(docket.is_file(), "there is no {}: build it, or name one with --docket", docket.display());
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let (mut runs, mut failed) = (Vec::new(), Vec::new());
    for number in 1..=options.runs {
        say(&format!("run {number} of {}, load before it: {}", options.runs, load_average()));
        let folder = tempfile::Builder::new().prefix("docket-bench.").tempdir_in(&parent);
        let folder = folder.with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        let mut run = Run { options, docket: &docket, servers: BTreeMap::new(), folder };
        if let Some(url) = &options.registry {
            let target = Target::parse(url)?;
            let target = options.user.iter().fold(target, |target, user| target.with_user(user));
            run.servers.insert(Kind::Other, Some(Server::other(&options.name, target, options.server)));
        }
        let rows = run.measure(&plans, &mut failed).await;
        if let Some(folder) = &options.rows {
            keep(folder, number, &rows)?;
        }
        runs.push(rows);
    }
    tell(&format!("{}\n\n{}", machine(&parent), table(&runs)))?;
    ensure!(failed.is_empty(), "not measured, or not all of it: {}", failed.join(", "));
    Ok(())
}

/// One run: its servers, each started when it is first needed, and their folder. Dropping it ends and removes them.
struct Run<'a> {
    options: &'a Options,
    docket: &'a Path,
    /// `None`: not installed.
    servers: BTreeMap<Kind, Option<Server>>,
    // Last, so that the servers have ended before it goes.
    folder: TempDir,
}

impl Run<'_> {
    /// A row that cannot be measured is told and named in `failed`; the others are measured all the same.
    async fn measure(&mut self, plans: &[&'static Plan], failed: &mut Vec<String>) -> Vec<Row> {
        let mut rows = Vec::new();
        for plan in plans {
            let others = self.options.registry.iter().filter(|_| plan.work.is_for_any_registry()).map(|_| Kind::Other);
            for kind in plan.at.iter().copied().chain(others) {
                match self.figure(plan, kind).await {
                    Ok(Some((server, figure))) => {
                        say(&format!("  {} at {server}: {:.2} {}", plan.id, figure.value, figure.unit));
                        if figure.failures > 0 {
                            failed.push(format!("{} at {server} ({} failures)", plan.id, figure.failures));
                        }
                        rows.push(row(plan, server, figure));
                    }
                    Ok(None) => {}
                    // It may lack what only some registries have.
                    Err(error) if kind == Kind::Other => {
                        say(&format!("  {} at {}: {error:#}", plan.id, self.options.name));
                    }
                    Err(error) => {
                        say(&format!("  {} at {}: {error:#}", plan.id, kind.name()));
                        failed.push(format!("{} at {}", plan.id, kind.name()));
                    }
                }
            }
        }
        rows
    }

    /// One figure, with the name of the server. `None` where it cannot be had on this machine.
    async fn figure(&mut self, plan: &Plan, kind: Kind) -> anyhow::Result<Option<(String, Figure)>> {
        let figure = match (kind, plan.work) {
            (_, Work::SignatureChecks) => Some(limits::signature_checks()?),
            (_, Work::Hashing) => Some(limits::hashing()?),
            (_, Work::Syncs) => Some(limits::syncs(self.folder.path())?),
            (_, Work::Decide) => Some(decide::decision()?),
            (_, Work::VerifyBare) => Some(verify::two_bare_checks()?),
            (_, Work::Start) => self.fresh(kind, "start")?.map(|launch| launch.start_times()).transpose()?,
            (_, Work::IdleMemory) => match self.fresh(kind, "idle")? {
                Some(launch) => Some(idle_memory(&launch).await?),
                None => None,
            },
            (kind, work) => {
                let (options, folder) = (self.options, self.folder.path().to_owned());
                let Some(server) = self.server(kind)? else { return Ok(None) };
                let figure = at_server(work, server, options, &folder).await?;
                return Ok(figure.map(|figure| (server.name.clone(), figure)));
            }
        };
        Ok(figure.map(|figure| (kind.name().to_owned(), figure)))
    }

    /// A server that has never run, beside the ones under load.
    fn fresh(&self, kind: Kind, purpose: &str) -> anyhow::Result<Option<Launch>> {
        Launch::prepare(kind, &self.folder.path().join(format!("{}-{purpose}", kind.name())), self.docket)
    }

    /// The server under load, started if it is not.
    fn server(&mut self, kind: Kind) -> anyhow::Result<Option<&mut Server>> {
        if !self.servers.contains_key(&kind) {
            let launch = self.fresh(kind, "load")?;
            if launch.is_none() {
                say(&format!("  {} is not installed, so its rows are left out", kind.name()));
            }
            let server = launch.map(|launch| Server::start(kind, launch)).transpose()?;
            self.servers.insert(kind, server);
        }
        Ok(self.servers.get_mut(&kind).and_then(Option::as_mut))
    }
}

async fn at_server(
    work: Work,
    server: &mut Server,
    options: &Options,
    folder: &Path,
) -> anyhow::Result<Option<Figure>> {
    let time = Duration::from_secs(options.seconds);
    let ledger = async |server| Ledger::open(server, options.fill as usize).await;
    let statements = |share| options.registrations as usize / share;
    let by_operation = |measured: Measured| Some(measured.figure(Unit::Operations));
    Ok(match work {
        Work::Read { method, what, connections, unit } => {
            let read = Read::prepare(server, method, what).await?;
            Some(read.measure(server, connections, time).await?.figure(unit))
        }
        Work::Push { count, bytes, connections, chunk_bytes } => {
            Some(write::push(server, count, bytes, connections, chunk_bytes).await?.figure(Unit::Bytes))
        }
        Work::SyncsOfPush => syncs::measure(server, folder).await?,
        Work::PutManifests { connections } => {
            by_operation(write::put_manifests(server, write::PUSHED, connections, time).await?)
        }
        Work::PutUnobserved { connections } => {
            by_operation(write::put_manifests(server, "unobserved", connections, time).await?)
        }
        Work::Mixed { connections } => Some(mixed::measure(server, connections).await?.figure(Unit::Bytes)),
        Work::HeadsBesideDownloads { downloads } => {
            Some(crowd::heads_beside_downloads(server, downloads, time).await?.figure(Unit::P99))
        }
        Work::SlowReaders { readers } => crowd::memory_of_slow_readers(server, readers).await?,
        Work::Register { clients, share } => {
            by_operation(ledger(server).await?.register(clients, statements(share)).await?)
        }
        Work::Place { clients, share } => by_operation(ledger(server).await?.place(clients, statements(share)).await?),
        Work::VerifyStatement => Some(verify::statement_check(&ledger(server).await?)?),
        Work::Refresh { connections, share } => {
            by_operation(ledger(server).await?.refresh(connections, statements(share), time).await?)
        }
        Work::VerifyArchive => Some(ledger(server).await?.verify_archive().await?),
        Work::Verify => Some(verify::whole_check(&ledger(server).await?).await?),
        Work::Memory => match server.process {
            Some(process) => Some(Figure::new(mebibytes(usage::resident_bytes(process)?), "MiB")),
            None => None,
        },
        Work::Restart => server.restart_times()?,
        Work::SignatureChecks
        | Work::Hashing
        | Work::Syncs
        | Work::Start
        | Work::IdleMemory
        | Work::Decide
        | Work::VerifyBare => {
            bail!("this row needs no server under load")
        }
    })
}

/// Memory of a server that was started a second ago and asked once.
async fn idle_memory(launch: &Launch) -> anyhow::Result<Figure> {
    let process = launch.start()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(Figure::new(mebibytes(usage::resident_bytes(process.id())?), "MiB"))
}

fn row(plan: &'static Plan, server: String, figure: Figure) -> Row {
    let against = match plan.against {
        Against::Nothing => None,
        Against::Server(kind) => Some((plan.id, kind.name().to_owned())),
        Against::Row(id) => Some((id, server.clone())),
        Against::Machine(id) => Some((id, Kind::Machine.name().to_owned())),
    };
    let against = against.filter(|(id, at)| (*id, at) != (plan.id, &server));
    // Goals are Docket's.
    let goal = if server == Kind::Docket.name() { plan.goal } else { "" };
    Row { id: plan.id, server, title: plan.title, figure, against, goal }
}

/// The rows whose id fits, and those they are divided by.
fn chosen(only: &[Glob]) -> anyhow::Result<Vec<&'static Plan>> {
    let globs = only.iter().fold(GlobSetBuilder::new(), |mut globs, glob| {
        globs.add(glob.clone());
        globs
    });
    let globs: GlobSet = globs.build()?;
    let fits = |id: &str| only.is_empty() || globs.is_match(id);
    for glob in only {
        let alone = glob.compile_matcher();
        ensure!(PLAN.iter().any(|plan| alone.is_match(plan.id)), "there is no row {glob}; see --list");
    }
    let is_yardstick = |id: &str| {
        PLAN.iter().filter(|plan| fits(plan.id)).any(|plan| match plan.against {
            Against::Row(other) | Against::Machine(other) => other == id,
            Against::Nothing | Against::Server(_) => false,
        })
    };
    Ok(PLAN.iter().filter(|plan| fits(plan.id) || is_yardstick(plan.id)).collect())
}

fn list(plans: &[&Plan]) -> String {
    let line = |plan: &&Plan| {
        let at = plan.at.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        format!("| {} | {} | {at} | {} |\n", plan.id, plan.title, plan.goal)
    };
    let lines: String = plans.iter().map(line).collect();
    format!("| row | work | measured at | goal of docket |\n|---|---|---|---|\n{lines}")
}

fn keep(folder: &Path, run: u8, rows: &[Row]) -> anyhow::Result<()> {
    let lines = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?.join("\n");
    let path = folder.join(format!("run-{run}.jsonl"));
    write::write_file(&path, std::iter::once(lines.as_bytes()))
}

/// What the figures belong to: processor, cores, kernel, file system.
fn machine(folder: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let disk = std::process::Command::new("df").args(["--output=source,fstype"]).arg(folder).output();
    let disk = disk.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let disk = disk.lines().last().unwrap_or_default().split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{model}, {cores} cores, Linux {}, disk {disk}", read("/proc/sys/kernel/osrelease").trim())
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Results, on stdout.
fn tell(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Progress, on stderr; if nobody can read it, the run goes on.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(only: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let globs = only.iter().map(|glob| Glob::new(glob)).collect::<Result<Vec<_>, _>>()?;
        Ok(chosen(&globs)?.into_iter().map(|plan| plan.id).collect())
    }

    #[test]
    fn a_chosen_row_brings_its_yardstick() {
        assert_eq!(ids(&["push-1g-chunks"]).expect("a row"), ["push-1g", "push-1g-chunks"]);
        assert_eq!(
            ids(&["register-*"]).expect("rows"),
            ["p256", "register-1", "register-8", "register-64", "register-256"]
        );
        assert_eq!(ids(&[]).expect("all").len(), PLAN.len());
    }

    #[test]
    fn a_glob_that_fits_no_row_is_an_error() {
        let error = ids(&["push-1g", "pull-*"]).expect_err("there is no such row");
        assert_eq!(error.to_string(), "there is no row pull-*; see --list");
    }

    #[test]
    fn every_yardstick_is_measured_before_its_row() {
        for (at, plan) in PLAN.iter().enumerate() {
            let before = |id: &str| PLAN[..at].iter().any(|other| other.id == id);
            match plan.against {
                Against::Nothing => {}
                Against::Server(kind) => assert!(plan.at.contains(&kind), "{}", plan.id),
                Against::Row(id) | Against::Machine(id) => assert!(before(id), "{}", plan.id),
            }
            assert_eq!(PLAN.iter().filter(|other| other.id == plan.id).count(), 1, "{}", plan.id);
        }
    }
}
