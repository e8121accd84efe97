//! Who is meant by a message.

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
