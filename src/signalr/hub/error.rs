//! Why a call failed, and what its caller is told of that.

/// Why a method did not do what it was called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubError {
    /// The caller is told this text, alone.
    Refused(String),
    /// The caller is told this text, behind the protocol's own words, as the
    /// reference server does with its hub exception.
    Exception(String),
    /// For the log; the caller sees it only where details are shown.
    Failed {
        /// What kind of failure, as a name.
        kind: String,
        /// What failed.
        text: String,
    },
}

impl HubError {
    /// A failure of no particular kind.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed { kind: "Exception".to_owned(), text: text.into() }
    }

    /// The text without any of the protocol's words around it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Refused(text) | Self::Exception(text) | Self::Failed { text, .. } => text,
        }
    }

    /// The text that the other side is told: the base, and behind it what may be shown.
    pub(super) fn told(&self, base: &str, detailed_errors: bool) -> String {
        match self {
            Self::Refused(text) => text.clone(),
            Self::Exception(text) => format!("{base} HubException: {text}"),
            Self::Failed { kind, text } if detailed_errors => format!("{base} {kind}: {text}"),
            Self::Failed { .. } => base.to_owned(),
        }
    }
}

/// What became of a call that did not end well.
#[derive(Debug)]
pub(super) enum CallFailure {
    /// The method said so.
    Hub(HubError),
    /// What it answered cannot be written: the connection ends.
    Unserializable(String),
}

impl From<HubError> for CallFailure {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

/// The arguments do not fit the method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BindError {
    #[error("Invocation provides {provided} argument(s) but target expects {expected}.")]
    Count { provided: usize, expected: usize },
    #[error(
        "Error binding arguments. Make sure that the types of the provided values match the \
         types of the hub method being invoked."
    )]
    Type,
}

/// The text of a failed invocation, as the caller sees it.
pub(super) fn invocation_error(method: &str, error: &HubError, detailed_errors: bool) -> String {
    if let HubError::Failed { kind, text } = error {
        log::error!(method, kind, error = text; "a hub method failed");
    }
    let base = format!("An unexpected error occurred invoking '{method}' on the server.");
    error.told(&base, detailed_errors)
}

/// The text of a stream that failed while it ran.
pub(super) fn streaming_error(method: &str, error: &HubError, detailed_errors: bool) -> String {
    if let HubError::Failed { kind, text } = error {
        log::error!(method, kind, error = text; "the stream of a hub method failed");
    }
    error.told("An error occurred on the server while streaming results.", detailed_errors)
}

/// The text of an invocation whose arguments do not fit, as the caller sees it.
pub(super) fn binding_error(method: &str, error: &BindError, detailed_errors: bool) -> String {
    let base = format!("Failed to invoke '{method}' due to an error on the server.");
    if detailed_errors { format!("{base} InvalidDataException: {error}") } else { base }
}

/// The text of an invocation of a method that does not exist, by the name as it was sent.
pub(super) fn unknown_method_error(target: &str) -> String {
    format!(
        "Failed to invoke '{target}' due to an error on the server. HubException: Method does \
         not exist."
    )
}
