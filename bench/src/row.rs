//! A row of the table: what was measured once at one server; and the table that several runs make together.

use std::fmt::Write as _;

use serde::Serialize;

/// One row of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured, the same in every run.
    pub id: &'static str,
    /// The server that it was measured at.
    pub server: String,
    /// What was done.
    pub title: &'static str,
    /// What was measured.
    #[serde(flatten)]
    pub figure: Figure,
    /// The row that this one is divided by: what, and where.
    pub against: Option<(&'static str, String)>,
    /// What the design asks for.
    pub goal: &'static str,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Median time of one operation, in microseconds.
    pub p50_us: Option<f64>,
    /// The time that 99 of 100 operations stay below, in microseconds.
    pub p99_us: Option<f64>,
    /// CPU time of the server, in `cpu_unit`.
    pub server_cpu: Option<f64>,
    /// CPU time of this generator, in `cpu_unit`.
    pub client_cpu: Option<f64>,
    /// Microseconds an operation, or seconds a GiB.
    pub cpu_unit: CpuUnit,
    /// How much of one core this generator took, from 0 to 1.
    pub client_share: Option<f64>,
    /// The most memory that the server held meanwhile, in MiB.
    pub memory_mib: Option<f64>,
    /// Operations that were not answered as they should be.
    pub failures: usize,
}

/// What CPU time is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum CpuUnit {
    /// Microseconds an operation.
    #[serde(rename = "µs")]
    Operation,
    /// Seconds a GiB.
    #[serde(rename = "s/GiB")]
    Gib,
}

impl Figure {
    /// A figure and nothing else.
    pub(crate) fn new(value: f64, unit: &'static str) -> Self {
        Self {
            value,
            unit,
            p50_us: None,
            p99_us: None,
            server_cpu: None,
            client_cpu: None,
            cpu_unit: CpuUnit::Operation,
            client_share: None,
            memory_mib: None,
            failures: 0,
        }
    }
}

/// One Markdown table of the rows of each run: for each row the median of the runs and their range. Ratios are taken
/// within each run, for whatever slows a run slows its yardstick too.
pub(crate) fn table(runs: &[Vec<Row>]) -> String {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for row in runs.iter().flatten() {
        let key = (row.id, row.server.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut text = String::from(
        "| work | server | figure | p50 | p99 | server CPU | client CPU | memory | ratio | CPU ratio | goal |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for (id, server) in keys {
        let same: Vec<&Row> = runs.iter().filter_map(|rows| find(rows, id, server)).collect();
        let pairs: Vec<(&Row, &Row)> = runs
            .iter()
            .filter_map(|rows| {
                let row = find(rows, id, server)?;
                let (id, server) = row.against.as_ref()?;
                Some((row, find(rows, id, server)?))
            })
            .collect();
        text.push_str(&line(&same, &pairs));
    }
    text
}

/// The line of a row: the same row of every run, and each beside its yardstick.
fn line(same: &[&Row], pairs: &[(&Row, &Row)]) -> String {
    let Some(first) = same.first() else { return String::new() };
    let middle = |pick: fn(&Figure) -> Option<f64>| median(same.iter().filter_map(|row| pick(&row.figure)).collect());
    let ratio = |pick: fn(&Figure) -> Option<f64>| {
        let ratios = pairs.iter().filter_map(|(row, yardstick)| Some(pick(&row.figure)? / pick(&yardstick.figure)?));
        median(ratios.filter(|ratio| ratio.is_finite()).collect()).map(|ratio| format!("{ratio:.2}"))
    };
    let failures: usize = same.iter().map(|row| row.figure.failures).sum();
    let busy = middle(|figure| figure.client_share);
    let values: Vec<f64> = same.iter().map(|row| row.figure.value).collect();
    let mut figure = format!("{} {}", number(median(values.clone()).unwrap_or_default()), first.figure.unit);
    if values.len() > 1 {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let _ = write!(figure, " ({} to {})", number(lowest), number(highest));
    }
    if failures > 0 {
        let _ = write!(figure, " ({failures} FAILED)");
    }
    if busy.is_some_and(|share| share >= CLIENT_BOUND) {
        figure.push_str(" (client-bound)");
    }
    let cpu = |value: f64| match first.figure.cpu_unit {
        CpuUnit::Operation => time(value),
        CpuUnit::Gib => format!("{} s/GiB", number(value)),
    };
    let client = middle(|figure| figure.client_cpu).map(|value| match busy {
        Some(busy) => format!("{} ({:.0} %)", cpu(value), busy * 100.0),
        None => cpu(value),
    });
    let cells = [
        Some(first.title.to_owned()),
        Some(first.server.clone()),
        Some(figure),
        middle(|figure| figure.p50_us).map(time),
        middle(|figure| figure.p99_us).map(time),
        middle(|figure| figure.server_cpu).map(cpu),
        client,
        middle(|figure| figure.memory_mib).map(|mib| format!("{} MiB", number(mib))),
        ratio(|figure| Some(figure.value)),
        ratio(|figure| figure.server_cpu),
        Some(first.goal.to_owned()),
    ];
    format!("| {} |\n", cells.map(Option::unwrap_or_default).join(" | "))
}

fn find<'a>(rows: &'a [Row], id: &str, server: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.id == id && row.server == server)
}

/// The middle value; of an even count the lower one of the two, which is a value that was measured.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => thousands(value),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(us: f64) -> String {
    if us >= 1000.0 { format!("{} ms", number(us / 1000.0)) } else { format!("{} µs", number(us)) }
}

/// From this share of one core on, the generator (one thread) may be what limits the figure.
const CLIENT_BOUND: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &'static str, server: &str, figure: Figure) -> Row {
        Row { id, server: server.to_owned(), title: "reads", figure, against: None, goal: "" }
    }

    #[test]
    fn the_median_is_a_measured_value() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(1.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn rows_of_several_runs_become_one_line_with_its_ratios() {
        let figure = |value, cpu| Figure { server_cpu: Some(cpu), ..Figure::new(value, "/s") };
        let run = |theirs, ours, p50| {
            let measured = row("get", "docket", Figure { p50_us: Some(p50), ..figure(ours, 30.0) });
            let against = Some(("get", "nginx".to_owned()));
            vec![row("get", "nginx", figure(theirs, 20.0)), Row { against, goal: "ratio ≥ 0.25", ..measured }]
        };
        let runs = [run(20_000.0, 5_000.0, 900.0), run(8_000.0, 4_000.0, 2_500.0), run(20_000.0, 6_000.0, 1_000.0)];
        let text = table(&runs);
        assert!(
            text.ends_with(
                "| reads | nginx | 20,000 /s (8,000 to 20,000) |  |  | 20.0 µs |  |  |  |  |  |\n\
                 | reads | docket | 5,000 /s (4,000 to 6,000) | 1.00 ms |  | 30.0 µs |  |  | 0.30 | 1.50 | ratio ≥ 0.25 |\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn failures_and_a_busy_generator_are_shouted() {
        let figure = Figure { failures: 7, client_share: Some(0.95), ..Figure::new(1.0, "/s") };
        assert!(table(&[vec![row("get", "docket", figure)]]).contains("1.00 /s (7 FAILED) (client-bound)"));
    }

    #[test]
    fn cpu_time_of_bytes_is_counted_by_the_gibibyte() {
        let figure = Figure {
            server_cpu: Some(2.5),
            client_cpu: Some(0.5),
            client_share: Some(0.2),
            cpu_unit: CpuUnit::Gib,
            ..Figure::new(300.0, "MB/s")
        };
        assert!(table(&[vec![row("push", "docket", figure)]]).contains("| 2.50 s/GiB | 0.50 s/GiB (20 %) |"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            ["1,234,567", "100", "12.3", "0.12"],
            [1_234_567.4, 99.99 + 0.01, 12.34, 0.123].map(number).as_slice()
        );
    }
}
