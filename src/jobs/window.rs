//! Service windows.

use super::{FieldError, Refusal, Timestamp};

/// A window may not be longer than this.
pub const WINDOW_DAYS_MAX: i64 = 31;

/// The time in which a job is carried out: from `start` up to, and without, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

impl Window {
    /// The window's longest duration in milliseconds.
    pub const MILLIS_MAX: i64 = WINDOW_DAYS_MAX * 24 * 60 * 60 * 1000;

    /// A window that ends after it starts and is at most [`WINDOW_DAYS_MAX`] days long;
    /// else `invalid_time_window`.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, Refusal> {
        if end <= start {
            return Err(Refusal::InvalidTimeWindow(format!(
                "the window ends at {end}, not after its start at {start}"
            )));
        }
        if end.millis() - start.millis() > Self::MILLIS_MAX {
            return Err(Refusal::InvalidTimeWindow(format!(
                "the window from {start} to {end} is longer than {WINDOW_DAYS_MAX} days"
            )));
        }
        Ok(Self { start, end })
    }

    /// The same from the two texts of a request; a text that is no time is `invalid_field`.
    pub fn parse(start_utc: &str, end_utc: &str) -> Result<Self, Refusal> {
        let start = Timestamp::parse(start_utc);
        let end = Timestamp::parse(end_utc);
        let errors: Vec<FieldError> = [("startUtc", start, start_utc), ("endUtc", end, end_utc)]
            .into_iter()
            .filter(|(_, time, _)| time.is_none())
            .map(|(field, _, text)| {
                let shown: String = text.chars().take(40).collect();
                FieldError::new(field, format!("'{shown}' is not an RFC 3339 time"))
            })
            .collect();
        match (start, end) {
            (Some(start), Some(end)) => Self::new(start, end),
            _ => Err(Refusal::InvalidField(errors)),
        }
    }

    /// The first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// The moment after the last.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// Whether the two share a moment. Windows that only touch do not.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: &str, end: &str) -> Window {
        Window::parse(&format!("2026-03-01T{start}:00Z"), &format!("2026-03-01T{end}:00Z"))
            .expect("the test's window is well formed")
    }

    #[test]
    fn touching_windows_do_not_overlap() {
        assert!(!window("09:00", "10:00").overlaps(window("10:00", "11:00")));
        assert!(!window("10:00", "11:00").overlaps(window("09:00", "10:00")));
    }

    #[test]
    fn windows_that_share_a_moment_overlap_whichever_is_asked() {
        let long = window("09:00", "12:00");
        for other in [window("10:00", "11:00"), window("11:59", "13:00"), long] {
            assert!(long.overlaps(other) && other.overlaps(long));
        }
    }

    #[test]
    fn a_window_that_is_empty_reversed_or_too_long_is_refused() {
        for (start, end) in [
            ("2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z"),
            ("2026-03-01T09:00:00Z", "2026-03-01T08:00:00Z"),
            ("2026-03-01T09:00:00Z", "2026-04-01T09:00:00.001Z"),
        ] {
            let refusal = Window::parse(start, end).expect_err("not a window");
            assert_eq!(refusal.code(), "invalid_time_window");
        }
        assert!(Window::parse("2026-03-01T09:00:00Z", "2026-04-01T09:00:00Z").is_ok());
    }
}
