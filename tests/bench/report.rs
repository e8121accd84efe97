//! What a bench prints: tables that can be pasted into Markdown as they are.

use std::time::Duration;

use crate::{Failure, process};

/// Says what ran, where and when: a number without these says nothing.
pub fn print_heading(arguments: &[String]) -> Result<(), Failure> {
    let command: Vec<&str> =
        std::iter::once("./scripts/bench").chain(arguments.iter().map(String::as_str)).collect();
    println!("- Command: `{}`", command.join(" "));
    println!("- Machine: {}", process::machine()?);
    println!("- Load before: {}", process::load()?);
    println!("- Ratios: the median of the rounds, and their range");
    println!("- Date: {}", chrono::Utc::now().format("%Y-%m-%d %H:%M UTC"));
    Ok(())
}

/// How many cores others may keep busy, on average, while figures that count are made.
const NEIGHBOUR_CORES_MAX: f64 = 0.1;

/// Says how far the last part's figures can be trusted.
pub fn print_neighbours(neighbours: &process::Neighbours) -> Result<(), Failure> {
    let cores = neighbours.cores()?;
    let advice = if cores > NEIGHBOUR_CORES_MAX { ": too many for figures that count" } else { "" };
    println!("\nOther processes kept {} cores busy meanwhile{advice}.", fixed(cores, 2));
    Ok(())
}

/// A table, its columns as wide as what stands in them.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns, and no row.
    pub fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row: a cell per column.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a cell per column");
        self.rows.push(cells);
    }

    /// Prints the table under a title.
    pub fn print(&self, title: &str) {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        println!("\n### {title}\n");
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            println!("| {} |", cells.join(" | "));
            if number == 0 {
                let rules: Vec<String> =
                    widths.iter().map(|width| format!("{}:", "-".repeat(width - 1))).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}

/// Latencies in microseconds, of which percentiles are wanted.
#[derive(Default)]
pub struct Latencies {
    micros: Vec<u32>,
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        self.micros.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// Adds all of another's.
    pub fn append(&mut self, mut other: Self) {
        self.micros.append(&mut other.micros);
    }

    /// The median and the 99th percentile in milliseconds, as cells.
    pub fn p50_and_p99(&mut self) -> [String; 2] {
        [50, 99].map(|percent| fixed(self.percentile(percent), 2))
    }

    /// A percentile in milliseconds; 100 is the highest of all. Without any it is no number.
    pub fn percentile(&mut self, percent: usize) -> f64 {
        self.micros.sort_unstable();
        let last = self.micros.len().saturating_sub(1);
        let place = (last * percent + 50) / 100;
        self.micros.get(place).map_or(f64::NAN, |&us| f64::from(us) / 1_000.0)
    }
}

/// A number with this many decimals, as a cell.
pub fn fixed(number: f64, decimals: usize) -> String {
    if number.is_finite() { format!("{number:.decimals$}") } else { "-".into() }
}

/// A large number without decimals, in groups of three digits.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle of the rounds' ratios: it bears a round in which something else ran.
pub fn median(ratios: &[f64]) -> f64 {
    let mut sorted = ratios.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let [below, above] = [sorted.len().saturating_sub(1) / 2, sorted.len() / 2];
    match (sorted.get(below), sorted.get(above)) {
        (Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => f64::NAN,
    }
}

/// The lowest and the highest of some ratios, as a cell: how much the rounds differ.
pub fn range(ratios: &[f64]) -> String {
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}–{}", fixed(low, 2), fixed(high, 2))
}

/// What was aimed for, and what came out.
pub struct Goals {
    table: Table,
}

impl Goals {
    pub fn new() -> Self {
        Self { table: Table::new(&["goal", "measured", "met"]) }
    }

    /// A goal that is met when `measured` is no less than `goal`.
    pub fn at_least(&mut self, what: &str, goal: f64, measured: f64, unit: &str) {
        let is_met = measured >= goal;
        self.row(&format!("{what} ≥ {}{unit}", short(goal)), measured, unit, is_met);
    }

    /// A goal that is met when `measured` is no more than `goal`.
    pub fn at_most(&mut self, what: &str, goal: f64, measured: f64, unit: &str) {
        let is_met = measured <= goal;
        self.row(&format!("{what} ≤ {}{unit}", short(goal)), measured, unit, is_met);
    }

    fn row(&mut self, goal: &str, measured: f64, unit: &str, is_met: bool) {
        let met = if is_met { "yes" } else { "no" };
        self.table.row(vec![goal.into(), format!("{}{unit}", short(measured)), met.into()]);
    }

    /// Prints the goals under a title.
    pub fn print(&self, title: &str) {
        self.table.print(title);
    }
}

/// A number as a goal shows it: large ones whole, small ones with two decimals.
fn short(number: f64) -> String {
    if number >= 1_000.0 { grouped(number) } else { fixed(number, 2) }
}
