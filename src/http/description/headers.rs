//! The headers of answers.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::openapi::{self, Ref, ResponseBuilder, Type};

/// A header that answers may have.
#[derive(Clone, Copy)]
pub(super) enum Header {
    ETag,
    EventId,
    EventSequence,
    Location,
    RequestId,
    RetryAfter,
    Challenge,
    Allow,
}

impl Header {
    const ALL: [Self; 8] = [
        Self::ETag,
        Self::EventId,
        Self::EventSequence,
        Self::Location,
        Self::RequestId,
        Self::RetryAfter,
        Self::Challenge,
        Self::Allow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ETag => "ETag",
            Self::EventId => "X-Event-Id",
            Self::EventSequence => "X-Event-Sequence",
            Self::Location => "Location",
            Self::RequestId => "X-Request-Id",
            Self::RetryAfter => "Retry-After",
            Self::Challenge => "WWW-Authenticate",
            Self::Allow => "Allow",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::ETag => "The job's version, for `If-Match`.",
            Self::EventId => "The event that the change made; absent when nothing changed.",
            Self::EventSequence => {
                "The last event that the answer contains; of a change, the event that it made, \
                 and absent when nothing changed."
            }
            Self::Location => "The path of what was made.",
            Self::RequestId => {
                "Names the request, also in the log and on its event: the caller's own \
                 `X-Request-Id` if that is sane, else one of the server's."
            }
            Self::RetryAfter => "Whole seconds after which to try again.",
            Self::Challenge => "What kind of token is asked for.",
            Self::Allow => "The methods that the path has.",
        }
    }

    fn schema(self) -> Object {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        match self {
            Self::ETag => text.pattern(Some(r#"^"[1-9][0-9]*"$"#)).examples(["\"1\""]),
            Self::EventId => {
                text.format(Some(openapi::SchemaFormat::KnownFormat(openapi::KnownFormat::Uuid)))
            }
            Self::EventSequence => number.minimum(Some(0)),
            Self::RequestId => text.pattern(Some("^[A-Za-z0-9_.:/+=@-]{1,64}$")),
            Self::RetryAfter => number.minimum(Some(1)),
            Self::Location | Self::Challenge | Self::Allow => text,
        }
        .build()
    }
}

/// Every header, for references to lead to.
pub(super) fn all() -> impl Iterator<Item = (&'static str, openapi::Header)> {
    Header::ALL.into_iter().map(|header| {
        let built = HeaderBuilder::new()
            .description(Some(header.meaning()))
            .schema(Some(header.schema()))
            .build();
        (header.name(), built)
    })
}

/// The response with these headers, and the one that every answer has.
pub(super) fn with(response: ResponseBuilder, headers: &[Header]) -> ResponseBuilder {
    headers.iter().chain(&[Header::RequestId]).fold(response, |response, header| {
        let reference = Ref::new(format!("#/components/headers/{}", header.name()));
        response.header_ref(header.name(), reference)
    })
}
