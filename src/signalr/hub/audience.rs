//! Who is meant by a message.

use super::error::HubError;

/// Who is meant by a message. Names of groups and users are case-sensitive; those
/// that nobody has mean nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every connection.
    All,
    /// Every connection but these.
    AllExcept(Vec<String>),
    /// These connections, each once.
    Connections(Vec<String>),
    /// Every connection that is in at least one of these groups; each gets it once.
    AnyOf(Vec<String>),
    /// The members of each of these groups: one that is in two of them gets it twice,
    /// as from the reference server.
    Groups(Vec<String>),
    /// The members of a group, but not these connections.
    GroupExcept(String, Vec<String>),
    /// Every connection of these users, each once.
    Users(Vec<String>),
}

impl Audience {
    /// Several groups have to have names, as with the reference server.
    pub(super) fn check(&self) -> Result<(), HubError> {
        match self {
            Self::Groups(names) if names.iter().any(String::is_empty) => {
                Err(HubError::Exception("a group among several has no name".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// One connection.
    pub fn connection(id: impl Into<String>) -> Self {
        Self::Connections(vec![id.into()])
    }

    /// The members of one group.
    pub fn group(name: impl Into<String>) -> Self {
        Self::AnyOf(vec![name.into()])
    }

    /// Every connection of one user.
    pub fn user(id: impl Into<String>) -> Self {
        Self::Users(vec![id.into()])
    }
}
