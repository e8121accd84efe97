//! Who looks at a region, and who has which job open, told to those who look as well.
//!
//! It has no place in the order of events and nothing waits for it: what people look at
//! is noted under a lock, and a task of its own tells the changes, a few times a second
//! at most. Clients that never call `Look` never hear of it. With a backplane, the people
//! of other nodes are among those told.

mod lookers;

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use utoipa::ToSchema;

pub(super) use self::lookers::RegionPresence;
use self::lookers::{Looker, Lookers};
use super::groups::store_unavailable;
use super::{CallerOnHub, DispatchHub};
use crate::jobs::{Caller, JobId, Region};
use crate::pipeline::{Heard, Neighbours, blocking};
use crate::signalr::{Audience, HubError, HubHandle, Publication, SerializedMessage};

/// How often changes are told: what happens in between is told together.
const TELL_INTERVAL: Duration = Duration::from_millis(250);

/// Regions that are told of at once, so that the hub's queues, which events share, hold
/// little of it.
const REGIONS_TOLD_MAX: usize = 100;

/// How often it is looked whether another node has fallen silent.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// Regions that one connection may look at; it can follow as many.
const REGIONS_LOOKED_AT_MAX: usize = 200;

/// What clients are called with.
pub(super) const TARGET: &str = "PresenceChanged";

/// See the module.
#[derive(Debug)]
pub struct Presence {
    lookers: Mutex<Lookers>,
    changed: Notify,
    neighbours: Option<Neighbours>,
}

/// Tells changes, until it is dropped.
#[derive(Debug)]
pub struct PresenceTask(JoinHandle<()>);

impl Drop for PresenceTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Presence {
    /// Begins to tell. Must run within an actix system.
    #[must_use]
    pub fn start(hub: HubHandle, neighbours: Option<Neighbours>) -> (Arc<Self>, PresenceTask) {
        let heard = neighbours.as_ref().and_then(Neighbours::listen);
        let presence =
            Arc::new(Self { lookers: Mutex::default(), changed: Notify::new(), neighbours });
        let task = actix_web::rt::spawn(Arc::clone(&presence).tell_forever(hub, heard));
        (presence, PresenceTask(task))
    }

    fn lookers(&self) -> MutexGuard<'_, Lookers> {
        self.lookers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a connection looks at; answers who else does.
    fn look(&self, connection: &str, looker: Looker) -> Vec<RegionPresence> {
        let regions = looker.regions.clone();
        let mut lookers = self.lookers();
        lookers.look(connection, looker);
        let there = regions.iter().map(|region| lookers.presence(region)).collect();
        drop(lookers);
        self.changed.notify_one();
        there
    }

    /// The connection looks at nothing any more that its user, by newer claims, may not see.
    pub(super) fn renew(&self, connection: &str, user: &Caller) {
        if self.lookers().renew(connection, user) {
            self.changed.notify_one();
        }
    }

    fn leave(&self, connection: &str) {
        self.lookers().leave(connection);
        self.changed.notify_one();
    }

    async fn tell_forever(
        self: Arc<Self>,
        hub: HubHandle,
        mut heard: Option<mpsc::Receiver<Heard>>,
    ) {
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        loop {
            let mut news = None;
            tokio::select! {
                () = self.changed.notified() => {}
                message = hear(&mut heard) => news = message,
                _ = expiry.tick() => {}
            }
            let more =
                heard.iter_mut().flat_map(|heard| std::iter::from_fn(|| heard.try_recv().ok()));
            self.tell(&hub, news.into_iter().chain(more));
            tokio::time::sleep(TELL_INTERVAL).await;
        }
    }

    fn tell(&self, hub: &HubHandle, news: impl Iterator<Item = Heard>) {
        let now = Instant::now();
        let mut lookers = self.lookers();
        for Heard { node, state } in news {
            lookers.hear(node, &state, now);
        }
        lookers.expire(now);
        let (telling, state) = (lookers.take_changed(REGIONS_TOLD_MAX), lookers.take_state());
        if lookers.is_changed() {
            self.changed.notify_one();
        }
        drop(lookers);
        if let (Some(neighbours), Some(state)) = (&self.neighbours, state) {
            neighbours.tell(state);
        }
        for (presence, connections) in telling {
            let audience = Audience::Connections(connections);
            let message = SerializedMessage::call(TARGET, (presence,));
            hub.publish(Arc::new(Publication { position: None, audience, message }));
        }
    }
}

/// Never without neighbours.
async fn hear(heard: &mut Option<mpsc::Receiver<Heard>>) -> Option<Heard> {
    match heard {
        Some(heard) => match heard.recv().await {
            Some(message) => Some(message),
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// What a client looks at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Look {
    /// Names of regions; none to look at nothing any more.
    regions: Vec<String>,
    /// The job that is open.
    #[serde(default)]
    job_id: Option<String>,
}

/// Who looks at the same.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LookedAt {
    /// One presence for each of the regions.
    regions: Vec<RegionPresence>,
}

impl DispatchHub {
    /// Says what the caller looks at, instead of what it said before, and has it told who
    /// else does, until the connection ends.
    pub(super) async fn look(
        self: Rc<Self>,
        caller: CallerOnHub,
        (look,): (Look,),
    ) -> Result<LookedAt, HubError> {
        if look.regions.len() > REGIONS_LOOKED_AT_MAX {
            let text = format!("invalid_field: regions has up to {REGIONS_LOOKED_AT_MAX} names");
            return Err(HubError::Refused(text));
        }
        let job = match &look.job_id {
            Some(id) => Some(self.open_job(&caller, id).await?),
            None => None,
        };
        // From here on nothing waits, so what the caller may see does not change.
        let mut regions = visible_regions(&caller.user(), &look.regions)?;
        if let Some((_, region)) = &job
            && !regions.contains(region)
        {
            regions.push(region.clone());
        }
        let ended = caller.cancelled();
        if ended.is_cancelled() {
            return Ok(LookedAt { regions: Vec::new() });
        }
        let connection = caller.connection_id();
        if !self.looking.borrow().contains(&connection) {
            self.looking.borrow_mut().insert(Rc::clone(&connection));
            let hub = Rc::clone(&self);
            let connection = Rc::clone(&connection);
            actix_web::rt::spawn(async move {
                ended.cancelled().await;
                hub.looking.borrow_mut().remove(&connection);
                hub.parts.presence.leave(&connection);
            });
        }
        let person = caller.user().actor.clone();
        let regions = self.parts.presence.look(&connection, Looker { person, regions, job });
        Ok(LookedAt { regions })
    }

    /// A job that the caller may have open as its dispatcher, with its region.
    async fn open_job(&self, caller: &CallerOnHub, id: &str) -> Result<(JobId, Region), HubError> {
        let unknown = || HubError::Refused(format!("not_found: there is no job {id:?}"));
        let id = id.parse::<JobId>().map_err(|_| unknown())?;
        let (jobs, scope) = (Arc::clone(&self.parts.store.jobs), caller.user().scope());
        let found = blocking(move || jobs.job(&scope, id)).await.map_err(|error| {
            log::warn!(error:%; "a job could not be looked up");
            store_unavailable()
        })?;
        let region = found.0.map(|job| job.region);
        let region = region.filter(|region| caller.user().may_dispatch(region));
        region.map(|region| (id, region)).ok_or_else(unknown)
    }
}

/// These regions, each once, if the caller dispatches all of them: a contractor is not
/// shown who plans its work, nor are dispatchers shown who does it.
fn visible_regions(user: &Caller, names: &[String]) -> Result<Vec<Region>, HubError> {
    let mut regions = Vec::with_capacity(names.len());
    for name in names {
        let region = Region::parse(name).filter(|region| user.may_dispatch(region));
        let region = region.ok_or_else(|| {
            HubError::Refused(format!("forbidden: {} may not look at that region", user.actor.id))
        })?;
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    Ok(regions)
}
