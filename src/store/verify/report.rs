//! What was checked, and what was found.

use std::fmt;

/// Faults that are shown per check; the rest is counted.
pub const FAULTS_SHOWN_MAX: usize = 20;

/// The outcome of [`verify`](super::verify), written as lines for people: one per
/// check, then the faults, then the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

/// One kind of check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, with numbers.
    pub subject: String,
    /// What is true of it if there is no fault.
    pub claim: &'static str,
    /// What was found.
    pub faults: Faults,
}

/// The faults of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// All.
    pub total: u64,
    /// At most [`FAULTS_SHOWN_MAX`], in the order of their finding.
    pub shown: Vec<String>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: impl FnOnce() -> String) {
        self.total += 1;
        if self.shown.len() < FAULTS_SHOWN_MAX {
            self.shown.push(fault());
        }
    }
}

impl Report {
    /// How many faults there are.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.checks.iter().map(|check| check.faults.total).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { subject, claim, faults } in &self.checks {
            match faults.total {
                0 => writeln!(f, "{subject}: {claim}")?,
                total => writeln!(f, "{subject}: {}", counted(total))?,
            }
        }
        for faults in self.checks.iter().map(|check| &check.faults) {
            for fault in &faults.shown {
                writeln!(f, "fault: {fault}")?;
            }
            let hidden = faults.total.saturating_sub(faults.shown.len() as u64);
            if hidden > 0 {
                writeln!(f, "fault: {hidden} more of this kind")?;
            }
        }
        match self.faults() {
            0 => f.write_str("verified: clean"),
            total => write!(f, "verified: {}", counted(total)),
        }
    }
}

fn counted(faults: u64) -> String {
    if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") }
}
