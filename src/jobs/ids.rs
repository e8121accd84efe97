//! Ids as types of their own, so that two of them side by side cannot be swapped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh version-7 id: ids made later sort later, to the millisecond.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Takes the hyphenated form only: one spelling per id in URLs and groups.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Uuid::try_parse(text)?;
                if text.len() == 36 {
                    Ok(Self(id))
                } else {
                    // The parser's own error for a form that is not a UUID at all.
                    Uuid::try_parse("").map(Self)
                }
            }
        }
    };
}

uuid_id!(
    /// Names a job.
    JobId
);
uuid_id!(
    /// Names a contractor.
    ContractorId
);
uuid_id!(
    /// Names an event, also across nodes and databases.
    EventId
);

/// How often a job has changed: 1 when created, one more with each event.
pub type Version = u32;

/// An event's place in the one total order of all events: 1, 2, 3 … without gaps,
/// in commit order. 0 stands before the first event.
pub type Sequence = u64;

/// A dispatch area's short name: `[a-z0-9][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", examples("north"))]
pub struct Region(String);

impl Region {
    /// The name, if it has a region's form.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let form = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        let first_is_alphanumeric = bytes.first().is_some_and(|b| form(*b));
        (first_is_alphanumeric && bytes.len() <= 63 && bytes.iter().all(|b| form(*b) || *b == b'-'))
            .then(|| Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("'{name}' is not a region's name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_name_is_short_lower_case_and_starts_with_a_letter_or_digit() {
        for good in ["a", "north", "9-9", &"a".repeat(63)] {
            assert!(Region::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-a", "North", "a_b", "a/b", "é", &"a".repeat(64)] {
            assert!(Region::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_id_has_one_spelling_only() {
        let id = JobId::fresh();
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        assert!(id.0.simple().to_string().parse::<JobId>().is_err());
        assert!(id.0.braced().to_string().parse::<JobId>().is_err());
        assert!("".parse::<JobId>().is_err());
    }
}
