//! The events that were relayed last, for those who are only a little behind.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::jobs::{CommittedEvent, Sequence};
use crate::signalr::{Audience, Payload, Publication, SerializedMessage};

/// Events that are kept: an hour of more than one event a second. An event has at most
/// 2 KiB of JSON, which is there three times while all clients are alike: 10 MiB at the
/// usual 750 bytes.
pub(super) const EVENTS_MAX: usize = 4_096;

/// An event with the message that it becomes, whose frames are encoded once for
/// everybody who gets it, now or later.
#[derive(Debug)]
pub struct RelayedEvent {
    /// The event.
    pub event: Arc<CommittedEvent>,
    /// What its groups get.
    pub publication: Arc<Publication>,
}

impl RelayedEvent {
    /// None when the payload is no JSON, which only a database can hold that somebody
    /// else wrote to.
    #[must_use]
    pub fn new(event: Arc<CommittedEvent>) -> Option<Self> {
        let argument = match Payload::from_json(&event.payload) {
            Ok(argument) => argument,
            Err(error) => {
                log::error!(error:%, sequence = event.sequence; "an event is not sent, it is no JSON");
                return None;
            }
        };
        let publication = Arc::new(Publication {
            position: Some(event.sequence),
            audience: Audience::AnyOf(event.groups.clone()),
            message: SerializedMessage::invocation(event.event_type.as_str(), argument),
        });
        Some(Self { event, publication })
    }

    /// Whether one of these groups is told.
    #[must_use]
    pub fn is_for(&self, groups: &[String]) -> bool {
        self.event.groups.iter().any(|group| groups.contains(group))
    }
}

/// See the module. Written by the registry, read by whoever resumes.
#[derive(Debug, Default)]
pub struct RecentEvents {
    events: Mutex<VecDeque<Arc<RelayedEvent>>>,
}

impl RecentEvents {
    /// Keeps an event; one that does not follow the last one replaces them all.
    pub(super) fn push(&self, event: Arc<RelayedEvent>) {
        let mut events = self.lock();
        let follows =
            events.back().is_none_or(|last| last.event.sequence + 1 == event.event.sequence);
        if !follows {
            events.clear();
        }
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// What these groups were told in `(after, until]`; none when that goes further
    /// back than what is kept.
    pub(super) fn between(
        &self,
        groups: &[String],
        after: Sequence,
        until: Sequence,
    ) -> Option<Vec<Arc<RelayedEvent>>> {
        let events = self.lock();
        let first = events.front()?.event.sequence;
        let last = events.back()?.event.sequence;
        if after + 1 < first || last < until {
            return None;
        }
        let skipped = usize::try_from(after + 1 - first).unwrap_or(usize::MAX);
        let in_range = events.iter().skip(skipped).take_while(|e| e.event.sequence <= until);
        Some(in_range.filter(|event| event.is_for(groups)).map(Arc::clone).collect())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<RelayedEvent>>> {
        // No code that holds the lock panics half way through a change.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
