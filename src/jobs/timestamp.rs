//! Points in time, as the API writes them.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::schema;

/// A point in time in whole milliseconds, written as RFC 3339 in UTC with `Z`
/// (`2026-03-01T09:00:00.000Z`), so that texts sort as the times do.
///
/// Read from any RFC 3339 text of the years 1970 to 9999; another offset is
/// converted, finer fractions are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// From milliseconds since 1970, if they are within the years that have four digits.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        const YEAR_10000_MILLIS: i64 = 253_402_300_800_000;
        if !(0..YEAR_10000_MILLIS).contains(&millis) {
            return None;
        }
        DateTime::from_timestamp_millis(millis).map(Self)
    }

    /// The milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// The system clock's time, cut to milliseconds.
    #[must_use]
    pub fn now() -> Self {
        Self::from_millis(Utc::now().timestamp_millis()).unwrap_or(Self(DateTime::UNIX_EPOCH))
    }

    /// Reads RFC 3339; see the type for what is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Self::from_millis(time.timestamp_millis())
    }

    /// This time moved by a signed number of milliseconds, kept within the years that can be written.
    #[must_use]
    pub fn saturating_add_millis(self, millis: i64) -> Self {
        let moved = self.millis().saturating_add(millis);
        let first = Self(DateTime::UNIX_EPOCH);
        if moved < 0 {
            return first;
        }
        Self::from_millis(moved).unwrap_or(Self::from_millis(253_402_300_799_999).unwrap_or(first))
    }

    /// The same time as chrono's type, for calendars and zones.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("'{text}' is not an RFC 3339 time")))
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        schema::timestamp().into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Timestamp".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_time_is_written_in_utc_with_milliseconds() {
        for text in
            ["2026-03-01T09:00:00Z", "2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00.0004Z"]
        {
            let time = Timestamp::parse(text).map(|t| t.to_string());
            assert_eq!(time.as_deref(), Some("2026-03-01T09:00:00.000Z"), "{text}");
        }
    }

    #[test]
    fn times_that_cannot_be_written_back_are_not_read() {
        for text in ["", "2026-03-01", "1969-12-31T23:59:59Z", "tomorrow", "+10000-01-01T00:00:00Z"]
        {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
