//! Following groups from a sequence on: what was missed comes first, then what
//! happens, without a gap and without anything twice.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::groups::store_unavailable;
use super::{CallerOnHub, DispatchHub};
use crate::jobs::Sequence;
use crate::pipeline::{EventFeed, FeedPart, RelayedEvent, Replaying};
use crate::signalr::{HubError, JsonText};
use crate::store::{PAGE_ROWS_MAX, StoreError};

/// What a client wants to follow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscription {
    /// Names of groups: `dispatch/{region}`, `contractor/{contractorId}`.
    #[schema(min_items = 1, max_items = 200)]
    groups: Vec<String>,
    /// The last sequence that the client has; nothing past is missed. Absent: from
    /// here on.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    after: Option<Sequence>,
}

/// The groups that a client is no longer interested in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unsubscription {
    /// Their names.
    groups: Vec<String>,
}

/// How a subscription began.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscribed {
    /// The client has everything up to here; what is past comes live.
    #[schema(value_type = u64)]
    sequence: Sequence,
    /// Events that were sent first.
    replayed: u64,
    /// False when the log no longer reaches back that far: the client must reload.
    complete: bool,
}

/// What a subscriber may be behind when its live events begin to wait for it. More,
/// and it catches up with the past first, so that not too much has to wait.
const BEHIND_MAX: Sequence = PAGE_ROWS_MAX as Sequence;

/// How long a subscription waits for events that are committed and not yet relayed. The
/// connection's next call waits as well, so it is not long.
const RELAY_TIME_MAX: Duration = Duration::from_secs(2);

impl DispatchHub {
    pub(super) async fn subscribe(
        self: Rc<Self>,
        caller: CallerOnHub,
        (subscription,): (Subscription,),
    ) -> Result<Subscribed, HubError> {
        let groups = self.followed(&caller, &subscription.groups).await?;
        let Some(after) = subscription.after else {
            caller.join_all(groups.iter().map(String::as_str))?;
            let (sequence, replayed, complete) = (caller.position(), 0, true);
            return Ok(Subscribed { sequence, replayed, complete });
        };
        let (former, replaying) = (caller.memberships(), self.parts.feed.replay());
        let replay =
            Replay { caller: &caller, feed: &self.parts.feed, groups: &groups, former, replaying };
        let subscribed = replay.run(after).await;
        if subscribed.is_err() {
            for group in groups.iter().filter(|group| !replay.former.contains_key(*group)) {
                caller.leave(group);
            }
        }
        subscribed
    }

    pub(super) async fn unsubscribe(
        self: Rc<Self>,
        caller: CallerOnHub,
        (unsubscription,): (Unsubscription,),
    ) -> Result<(), HubError> {
        for group in &unsubscription.groups {
            caller.leave(group);
        }
        Ok(())
    }

    pub(super) async fn stream_events(
        self: Rc<Self>,
        caller: CallerOnHub,
        (subscription,): (Subscription,),
    ) -> Result<impl Stream<Item = Result<JsonText, HubError>> + use<>, HubError> {
        let renewals = caller.renewals();
        let groups = self.followed(&caller, &subscription.groups).await?;
        let feed = self.parts.feed.clone();
        let after = subscription.after.unwrap_or_else(|| feed.relayed());
        if !feed.reaches_back_to(after).await.map_err(unavailable)? {
            let text = format!("invalid_field: after: the log does not reach back to {after}");
            return Err(HubError::Refused(text));
        }
        let waiting = VecDeque::new();
        let tail = Tail { hub: self, caller, feed, groups, renewals, read_to: after, waiting };
        Ok(stream::try_unfold(tail, Tail::next))
    }
}

/// Brings one subscriber from its last sequence to what is live.
struct Replay<'a> {
    caller: &'a CallerOnHub,
    feed: &'a EventFeed,
    groups: &'a [String],
    /// The groups that the connection was in before, which have been live since.
    former: HashMap<String, u64>,
    replaying: Replaying,
}

impl Replay<'_> {
    async fn run(&self, after: Sequence) -> Result<Subscribed, HubError> {
        let complete = self.feed.reaches_back_to(after).await.map_err(unavailable)?;
        // What is live already must not overtake what is sent first.
        let early_hold = (!self.former.is_empty()).then(|| self.caller.hold());
        let is_ahead = self.reach(self.feed.committed()).await < after;
        if complete && is_ahead {
            // What it has would come live once more.
            let text = "store_unavailable: the latest events are on their way, try again";
            return Err(HubError::Refused(text.to_owned()));
        }
        let (mut read_to, mut replayed) = (after, 0);
        while self.caller.position() > read_to.saturating_add(BEHIND_MAX) {
            read_to = self.send_part(read_to, self.caller.position(), &mut replayed).await?;
        }
        // In one step: all up to this position was committed before, and all past it
        // will be delivered. So nothing can be missing between the two.
        let hold = self.caller.hold();
        let position = self.caller.position();
        self.caller.join_all(self.groups.iter().map(String::as_str))?;
        while read_to < position {
            read_to = self.send_part(read_to, position, &mut replayed).await?;
        }
        drop((hold, early_hold));
        Ok(Subscribed { sequence: position, replayed, complete })
    }

    /// Has what is committed delivered before the subscription begins: a command is
    /// answered before its event is relayed, and a client may know it from there.
    /// Answers up to where it has been.
    async fn reach(&self, committed: Sequence) -> Sequence {
        let delivered = self.caller.delivered(committed);
        // If not, then what is missing comes live.
        let _ = tokio::time::timeout(RELAY_TIME_MAX, delivered).await;
        self.caller.position()
    }

    async fn send_part(
        &self,
        after: Sequence,
        until: Sequence,
        replayed: &mut u64,
    ) -> Result<Sequence, HubError> {
        if self.caller.cancelled().is_cancelled() {
            // Nobody waits for the rest, nor for this text.
            return Err(HubError::Refused("the subscriber is gone".to_owned()));
        }
        let FeedPart { events, read_to } =
            self.feed.read(self.groups, after, until).await.map_err(unavailable)?;
        for event in events.iter().filter(|event| !self.is_known(event)) {
            self.caller.send_shared(&event.publication.message).await;
            self.replaying.sent();
            *replayed += 1;
        }
        Ok(read_to)
    }

    /// Whether the event reached the connection live, by a group that it was in before.
    fn is_known(&self, event: &RelayedEvent) -> bool {
        let mut since = event.event.groups.iter().filter_map(|group| self.former.get(group));
        since.any(|since| event.event.sequence > *since)
    }
}

/// The events of groups from a sequence on, without an end, for as long as the caller may
/// follow all of them.
struct Tail {
    hub: Rc<DispatchHub>,
    caller: CallerOnHub,
    feed: EventFeed,
    groups: Vec<String>,
    /// Those of the caller's credentials by which it may.
    renewals: u64,
    read_to: Sequence,
    waiting: VecDeque<Arc<RelayedEvent>>,
}

impl Tail {
    async fn next(mut self) -> Result<Option<(JsonText, Self)>, HubError> {
        loop {
            self.check().await?;
            if let Some(event) = self.waiting.pop_front() {
                self.feed.streamed();
                return Ok(Some((JsonText(Arc::clone(&event.event.payload)), self)));
            }
            let until = tokio::select! {
                until = self.feed.relayed_past(self.read_to) => until,
                () = self.caller.renewed_since(self.renewals) => continue,
            };
            let part = self.feed.read(&self.groups, self.read_to, until).await;
            let FeedPart { events, read_to } = part.map_err(unavailable)?;
            self.waiting = events.into();
            self.read_to = read_to;
        }
    }

    /// Looks again at what the caller may follow, when its credentials were renewed.
    async fn check(&mut self) -> Result<(), HubError> {
        while self.caller.renewals() != self.renewals {
            let renewals = self.caller.renewals();
            self.hub.followed(&self.caller, &self.groups).await?;
            self.renewals = renewals;
        }
        Ok(())
    }
}

fn unavailable(error: StoreError) -> HubError {
    log::warn!(error:%; "past events cannot be read for now");
    store_unavailable()
}
