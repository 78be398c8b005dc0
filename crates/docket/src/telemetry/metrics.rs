//! Every metric, in one table: name, unit, help, and where the number comes from. Written as OpenMetrics text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use docket_engine::{Instance, Stats};
use docket_store::Spread;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::process::Process;
use crate::telemetry::traffic::Traffic;

/// All metrics of this moment, as OpenMetrics text.
pub(crate) async fn scrape(instance: &Instance, traffic: &Arc<Traffic>) -> Result<String, fmt::Error> {
    let facts = Facts { stats: instance.stats().await, traffic: Arc::clone(traffic), process: Process::read() };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(facts));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What a scrape reads from.
#[derive(Debug)]
struct Facts {
    stats: Stats,
    traffic: Arc<Traffic>,
    process: Process,
}

/// One row of the table.
struct Metric {
    /// Without unit and the ending `_total`, which the text form adds.
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    source: Source,
}

/// Where a number comes from. `None` = not known here, and left out.
enum Source {
    /// It only rises.
    Counter(fn(&Facts) -> u64),
    /// Time that only grows.
    Clock(fn(&Facts) -> Option<Duration>),
    /// It rises and falls.
    Gauge(fn(&Facts) -> Option<u64>),
    /// How values spread.
    Histogram(fn(&Facts) -> &Spread),
    /// Entries that each witness cosigned.
    Cosigned,
    /// Requests by their labels.
    Requests,
    /// Times by their label.
    Times,
    /// Always 1; the facts are its labels.
    Build,
}

use Source::{Build, Clock, Cosigned, Counter, Gauge, Histogram, Requests, Times};

static METRICS: [Metric; 33] = [
    row("docket_build", None, "The program that runs.", Build),
    row("docket_http_requests", None, "Requests answered, by what they ask for, method and class of status.", Requests),
    row(
        "docket_http_request_duration",
        Some(Unit::Seconds),
        "Time until an answer begins, bodies of pushes included.",
        Times,
    ),
    row("docket_http_requests_in_flight", None, "Requests not answered yet.", Gauge(|it| Some(it.traffic.in_flight()))),
    row("docket_http_connections", None, "Open connections.", Gauge(|it| Some(it.traffic.connections()))),
    row("docket_http_received", Some(Unit::Bytes), "Read from connections.", Counter(|it| it.traffic.bytes().0)),
    row("docket_http_sent", Some(Unit::Bytes), "Written to connections.", Counter(|it| it.traffic.bytes().1)),
    row("docket_uploads_open", None, "Upload sessions that are open.", Gauge(|it| Some(it.stats.uploads_open))),
    row(
        "docket_store_changes_waiting",
        None,
        "Changes that wait for the writer.",
        Gauge(|it| Some(it.stats.store.changes_waiting)),
    ),
    row(
        "docket_store_group_changes",
        None,
        "Changes committed in one transaction.",
        Histogram(|it| &it.stats.store.group_sizes),
    ),
    row("docket_store_syncs", None, "Syncs of files, folders and the database.", Counter(|it| it.stats.store.syncs)),
    row(
        "docket_store_cache_hits",
        None,
        "Manifests and blobs found in memory.",
        Counter(|it| it.stats.store.cache_hits),
    ),
    row(
        "docket_store_cache_misses",
        None,
        "Manifests and blobs looked for in the database.",
        Counter(|it| it.stats.store.cache_misses),
    ),
    row(
        "docket_store_database",
        Some(Unit::Bytes),
        "Size of the database file.",
        Gauge(|it| Some(it.stats.store.database_bytes)),
    ),
    row(
        "docket_store_database_log",
        Some(Unit::Bytes),
        "Size of the database's write-ahead log.",
        Gauge(|it| Some(it.stats.store.log_bytes)),
    ),
    row(
        "docket_disk_free",
        Some(Unit::Bytes),
        "Room left for this process on the data folder's disk.",
        Gauge(|it| Some(it.stats.disk?.free_bytes)),
    ),
    row(
        "docket_disk_size",
        Some(Unit::Bytes),
        "Size of the data folder's disk.",
        Gauge(|it| Some(it.stats.disk?.total_bytes)),
    ),
    row(
        "docket_gc_at_work",
        None,
        "1 while garbage is collected.",
        Gauge(|it| Some(u64::from(it.stats.collector.at.is_some()))),
    ),
    row("docket_gc_runs", None, "Collections that ended.", Counter(|it| it.stats.collector.runs)),
    row("docket_gc_removed_blobs", None, "Contents collected.", Counter(|it| it.stats.collector.blobs)),
    row("docket_gc_removed", Some(Unit::Bytes), "Bytes collected.", Counter(|it| it.stats.collector.bytes)),
    row(
        "docket_gc_failures",
        None,
        "Contents whose bytes could not be removed.",
        Counter(|it| it.stats.collector.failures),
    ),
    row("docket_ledger_entries", None, "Entries in the ledger.", Gauge(|it| Some(it.stats.ledger_entries))),
    row(
        "docket_log_published_entries",
        None,
        "Entries in the published checkpoint; fewer than in the ledger while witnesses are behind.",
        Gauge(|it| Some(it.stats.published_entries)),
    ),
    row("docket_log_cosigned_entries", None, "Entries that a witness cosigned last.", Cosigned),
    row(
        "docket_ledger_head_age",
        Some(Unit::Seconds),
        "Time since the newest head was signed.",
        Gauge(|it| Some(it.stats.head_age_s)),
    ),
    row(
        "docket_ledger_read_only",
        None,
        "1 while the ledger takes no entries.",
        Gauge(|it| Some(u64::from(it.stats.is_read_only))),
    ),
    row("docket_observed", None, "Entries that say what was observed.", Counter(|it| it.stats.observed.entries)),
    row(
        "docket_unobserved",
        None,
        "Changes that went unobserved because their repository had used up its day.",
        Counter(|it| it.stats.observed.unobserved),
    ),
    row(
        "docket_ledger_registrations_waiting",
        None,
        "Registrations and observed changes that wait for their batch.",
        Gauge(|it| Some(it.stats.registrations_waiting)),
    ),
    row("process_resident_memory", Some(Unit::Bytes), "Memory in use.", Gauge(|it| it.process.resident_bytes)),
    row("process_cpu", Some(Unit::Seconds), "Processor time used, user and system.", Clock(|it| it.process.cpu_time)),
    row("process_open_fds", None, "Open files and sockets.", Gauge(|it| it.process.open_files)),
];

impl Metric {
    /// Writes what the metric is; its values follow.
    fn begin<'s>(
        &'s self,
        encoder: &'s mut DescriptorEncoder<'_>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), kind)
    }
}

const fn row(name: &'static str, unit: Option<Unit>, help: &'static str, source: Source) -> Metric {
    Metric { name, unit, help, source }
}

impl Collector for Facts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        METRICS.iter().try_for_each(|metric| self.write(metric, &mut encoder))
    }
}

impl Facts {
    fn write(&self, metric: &Metric, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        match &metric.source {
            Counter(read) => ConstCounter::new(read(self)).encode(metric.begin(encoder, MetricType::Counter)?),
            Clock(read) => match read(self) {
                Some(time) => ConstCounter::new(time.as_secs_f64()).encode(metric.begin(encoder, MetricType::Counter)?),
                None => Ok(()),
            },
            Gauge(read) => match read(self) {
                Some(value) => ConstGauge::new(value).encode(metric.begin(encoder, MetricType::Gauge)?),
                None => Ok(()),
            },
            Histogram(read) => write_spread(&mut metric.begin(encoder, MetricType::Histogram)?, read(self), 1.0),
            Cosigned => {
                let mut family = metric.begin(encoder, MetricType::Gauge)?;
                self.stats.cosigned_entries.iter().try_for_each(|(witness, entries)| {
                    family.encode_family(&[("witness", witness.as_str())])?.encode_gauge(entries)
                })
            }
            Requests => {
                let mut family = metric.begin(encoder, MetricType::Counter)?;
                self.traffic.requests().try_for_each(|request| {
                    let labels = [("kind", request.kind), ("method", request.method), ("status", request.status)];
                    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&request.count, None)
                })
            }
            Times => {
                let mut family = metric.begin(encoder, MetricType::Histogram)?;
                self.traffic.times().filter(|(_, times)| times.count > 0).try_for_each(|(kind, times)| {
                    write_spread(&mut family.encode_family(&[("kind", kind)])?, &times, MICROSECOND)
                })
            }
            Build => metric.begin(encoder, MetricType::Info)?.encode_info(&[("version", env!("CARGO_PKG_VERSION"))]),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn write_spread(encoder: &mut MetricEncoder<'_>, spread: &Spread, scale: f64) -> fmt::Result {
    let scaled = |value: u64| value as f64 * scale;
    let mut ranges: Vec<_> = spread.ranges.iter().map(|(bound, count)| (scaled(*bound), *count)).collect();
    let above = spread.count - ranges.iter().map(|(_, count)| count).sum::<u64>();
    ranges.push((f64::INFINITY, above));
    encoder.encode_histogram::<NoLabelSet>(scaled(spread.sum), spread.count, &ranges, None)
}

/// One microsecond in seconds.
const MICROSECOND: f64 = 1e-6;
