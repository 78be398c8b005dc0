//! A row of the table: what was measured once; and the table that several runs make together.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One figure of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The same in every run.
    pub id: String,
    /// What was done.
    pub title: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Median time of one operation, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// The time that 99 of 100 operations stay below, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// CPU time of the server for one operation, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_us: Option<f64>,
    /// CPU time of this generator for one operation, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_us: Option<f64>,
    /// Operations that were not answered as they should be.
    #[serde(default)]
    pub failures: usize,
    /// The row that this one is divided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// What the design asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
}

/// How a row is named and what it is compared with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RowArgs {
    /// Name of the row, the same in every run
    #[arg(long, value_name = "ID")]
    pub row: String,
    /// What the table says was done
    #[arg(long, value_name = "TEXT")]
    pub title: String,
    /// The row that this one is divided by
    #[arg(long, value_name = "ID")]
    pub against: Option<String>,
    /// What the design asks for, for the table
    #[arg(long, value_name = "TEXT")]
    pub goal: Option<String>,
}

impl RowArgs {
    /// A row with a figure and nothing else.
    pub(crate) fn figure(&self, value: f64, unit: &str) -> Row {
        Row { against: self.against.clone(), goal: self.goal.clone(), ..Row::new(&self.row, &self.title, value, unit) }
    }
}

impl Row {
    /// A row with a figure, compared with nothing.
    pub(crate) fn new(id: &str, title: &str, value: f64, unit: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            value,
            unit: unit.to_owned(),
            p50_us: None,
            p99_us: None,
            server_us: None,
            client_us: None,
            failures: 0,
            against: None,
            goal: None,
        }
    }
}

/// Reads the rows of each run and writes one Markdown table: for each row the median of the runs, and their range.
pub(crate) fn table(runs: &[PathBuf]) -> anyhow::Result<String> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let rows = text.lines().map(serde_json::from_str).collect::<Result<Vec<Row>, _>>();
        rows.with_context(|| format!("{} holds something else than rows", path.display()))
    };
    let runs = runs.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(render(&runs))
}

fn render(runs: &[Vec<Row>]) -> String {
    let mut ids: Vec<&str> = Vec::new();
    for row in runs.iter().flatten() {
        if !ids.contains(&row.id.as_str()) {
            ids.push(&row.id);
        }
    }
    let mut text = String::from(
        "| work | median | lowest to highest | p50 | p99 | server CPU | client CPU | ratio | goal |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for id in ids {
        let same: Vec<&Row> = runs.iter().filter_map(|rows| find(rows, id)).collect();
        let Some(first) = same.first() else { continue };
        let value = median_of(&same, |row| Some(row.value));
        let cell = |pick: fn(&Row) -> Option<f64>| median_of(&same, pick).map(time).unwrap_or_default();
        // Divided within each run: whatever slows a run slows its yardstick too.
        let ratios = runs.iter().filter_map(|rows| {
            let row = find(rows, id)?;
            Some(row.value / find(rows, row.against.as_ref()?)?.value)
        });
        let ratio = median(ratios.collect()).map(|ratio| format!("{ratio:.2}"));
        let failures: usize = same.iter().map(|row| row.failures).sum();
        let failed = if failures == 0 { String::new() } else { format!(" ({failures} FAILED)") };
        let lowest = same.iter().map(|row| row.value).fold(f64::INFINITY, f64::min);
        let highest = same.iter().map(|row| row.value).fold(f64::NEG_INFINITY, f64::max);
        let _ = writeln!(
            text,
            "| {}{failed} | {} {} | {} to {} | {} | {} | {} | {} | {} | {} |",
            first.title,
            number(value.unwrap_or_default()),
            first.unit,
            number(lowest),
            number(highest),
            cell(|row| row.p50_us),
            cell(|row| row.p99_us),
            cell(|row| row.server_us),
            cell(|row| row.client_us),
            ratio.unwrap_or_default(),
            first.goal.as_deref().unwrap_or_default(),
        );
    }
    text
}

fn find<'a>(rows: &'a [Row], id: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.id == id)
}

fn median_of(rows: &[&Row], pick: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
    median(rows.iter().filter_map(|row| pick(row)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_value() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(1.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn rows_of_several_runs_become_one_line_with_its_ratio() {
        let limit = |value| Row::new("limit", "signature checks", value, "/s");
        let measured = |value, p50| Row {
            p50_us: Some(p50),
            against: Some("limit".to_owned()),
            goal: Some("ratio ≥ 0.25".to_owned()),
            ..Row::new("work", "registrations", value, "/s")
        };
        let runs = [
            vec![limit(20_000.0), measured(5_000.0, 900.0)],
            vec![limit(8_000.0), measured(4_000.0, 2_500.0)],
            vec![limit(20_000.0), measured(6_000.0, 1_000.0)],
        ];
        let text = render(&runs);
        assert!(
            text.ends_with(
                "| signature checks | 20,000 /s | 8,000 to 20,000 |  |  |  |  |  |  |\n\
                 | registrations | 5,000 /s | 4,000 to 6,000 | 1.00 ms |  |  |  | 0.30 | ratio ≥ 0.25 |\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn failures_are_shouted() {
        let row = Row { failures: 7, ..Row::new("work", "reads", 1.0, "/s") };
        assert!(render(&[vec![row]]).contains("reads (7 FAILED)"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            ["1,234,567", "100", "12.3", "0.12"],
            [1_234_567.4, 99.99 + 0.01, 12.34, 0.123].map(number).as_slice()
        );
    }
}
