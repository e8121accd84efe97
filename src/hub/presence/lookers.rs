//! Who looks at what, on this node and on others: data without locks, clocks or I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jobs::{Actor, Caller, JobId, Region, Role};

/// People that are named per region; of those past it only the number is told. A longer
/// list would say nothing more to whoever reads it.
const PEOPLE_MAX: usize = 50;

/// Jobs that are told of one person, who has one open per tab.
const JOBS_PER_PERSON_MAX: usize = 8;

/// Connections that other nodes hear of, so that a message stays below 300 KB.
const LOOKERS_TOLD_MAX: usize = 1_000;

/// How long another node's people count without it saying so again; it does every two
/// seconds, so two messages may be lost.
const NODE_LIFETIME: Duration = Duration::from_secs(5);

/// What a connection looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looker {
    pub(super) person: Actor,
    /// Where the person is shown: each region once.
    pub(super) regions: Vec<Region>,
    /// The job that it has open, and the region that may know.
    pub(super) job: Option<(JobId, Region)>,
}

/// Who looks at a region, as clients are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::hub) struct RegionPresence {
    /// Which one.
    pub(super) region: Region,
    /// By name, each person once.
    people: Vec<Present>,
    /// How many there are besides those that are named.
    more: usize,
}

/// A person, whatever number of connections it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Present {
    /// The subject of its token.
    id: String,
    /// The name in its token, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    role: Role,
    /// Jobs of this region that it has open.
    job_ids: BTreeSet<JobId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lookers {
    /// By connection.
    here: HashMap<String, Looker>,
    nodes: HashMap<String, Node>,
    /// Those that somebody on this node looks at.
    regions: HashMap<Region, Watched>,
    /// Those that may have to be told anew.
    changed: BTreeSet<Region>,
    has_changed_here: bool,
}

#[derive(Debug)]
struct Node {
    heard_at: Instant,
    state: String,
    lookers: Vec<Looker>,
}

/// A region for those who look at it.
#[derive(Debug, Default)]
struct Watched {
    connections: BTreeSet<String>,
    /// What they were told last.
    told: Option<RegionPresence>,
}

impl Lookers {
    /// The connection looks at this from now on, and at nothing else.
    pub(super) fn look(&mut self, connection: &str, looker: Looker) {
        let regions = looker.regions.clone();
        if self.here.get(connection) == Some(&looker) {
            return;
        }
        self.leave(connection);
        if regions.is_empty() {
            return;
        }
        for region in &regions {
            let watched = self.regions.entry(region.clone()).or_default();
            watched.connections.insert(connection.to_owned());
        }
        self.changed.extend(regions);
        self.here.insert(connection.to_owned(), looker);
        self.has_changed_here = true;
    }

    /// Leaves the connection what this user may see, and shows it as the user that it is.
    /// Answers whether the connection looked at anything.
    pub(super) fn renew(&mut self, connection: &str, user: &Caller) -> bool {
        let Some(looker) = self.here.get(connection) else {
            return false;
        };
        let mut looker = looker.clone();
        looker.regions.retain(|region| user.may_dispatch(region));
        looker.job = looker.job.filter(|(_, region)| user.may_dispatch(region));
        looker.person = user.actor.clone();
        self.look(connection, looker);
        true
    }

    /// The connection looks at nothing any more.
    pub(super) fn leave(&mut self, connection: &str) {
        let Some(looker) = self.here.remove(connection) else { return };
        for region in &looker.regions {
            if let Some(watched) = self.regions.get_mut(region) {
                watched.connections.remove(connection);
                if watched.connections.is_empty() {
                    self.regions.remove(region);
                }
            }
        }
        self.changed.extend(looker.regions);
        self.has_changed_here = true;
    }

    /// Takes what another node says of its people; nothing of one that cannot be read.
    pub(super) fn hear(&mut self, node: String, state: &str, now: Instant) {
        if let Some(known) = self.nodes.get_mut(&node)
            && known.state == state
        {
            known.heard_at = now;
            return;
        }
        let lookers = match serde_json::from_str::<Vec<Looker>>(state) {
            Ok(lookers) => lookers,
            Err(_) if state.is_empty() => Vec::new(),
            Err(error) => {
                log::warn!(error:%; "what another node says of its people is not understood");
                return;
            }
        };
        self.forget(&node);
        if lookers.is_empty() {
            return;
        }
        self.changed.extend(lookers.iter().flat_map(|looker| looker.regions.iter().cloned()));
        self.nodes.insert(node, Node { heard_at: now, state: state.to_owned(), lookers });
    }

    /// Forgets the people of nodes that say nothing any more.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_over = |node: &Node| now.duration_since(node.heard_at) > NODE_LIFETIME;
        let over = self.nodes.iter().filter(|(_, node)| is_over(node));
        let over: Vec<String> = over.map(|(name, _)| name.clone()).collect();
        over.iter().for_each(|name| self.forget(name));
    }

    fn forget(&mut self, node: &str) {
        if let Some(node) = self.nodes.remove(node) {
            self.changed.extend(node.lookers.into_iter().flat_map(|looker| looker.regions));
        }
    }

    /// Who looks at the region now.
    pub(super) fn presence(&self, region: &Region) -> RegionPresence {
        let mut people = BTreeMap::<&str, Present>::new();
        let others = self.nodes.values().flat_map(|node| &node.lookers);
        for looker in self.here.values().chain(others) {
            if !looker.regions.contains(region) {
                continue;
            }
            let Actor { id, role, name } = &looker.person;
            let present = people.entry(id).or_insert_with(|| Present {
                id: id.clone(),
                name: None,
                role: *role,
                job_ids: BTreeSet::new(),
            });
            // Tokens of one person may differ; the answer must not depend on their order.
            present.role = present.role.min(*role);
            present.name = present.name.take().max(name.clone());
            present.job_ids.extend(looker.job_in(region));
        }
        let mut people: Vec<Present> = people.into_values().collect();
        people.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let more = people.len().saturating_sub(PEOPLE_MAX);
        people.truncate(PEOPLE_MAX);
        for person in &mut people {
            person.job_ids =
                std::mem::take(&mut person.job_ids).into_iter().take(JOBS_PER_PERSON_MAX).collect();
        }
        RegionPresence { region: region.clone(), people, more }
    }

    /// What has to be told, and to which connections: at most so many regions, the rest
    /// the next time.
    pub(super) fn take_changed(&mut self, limit: usize) -> Vec<(RegionPresence, Vec<String>)> {
        let mut telling = Vec::new();
        while telling.len() < limit
            && let Some(region) = self.changed.pop_first()
        {
            if !self.regions.contains_key(&region) {
                continue;
            }
            let presence = self.presence(&region);
            let Some(watched) = self.regions.get_mut(&region) else { continue };
            if watched.told.as_ref() != Some(&presence) {
                watched.told = Some(presence.clone());
                telling.push((presence, watched.connections.iter().cloned().collect()));
            }
        }
        telling
    }

    /// Whether something has yet to be told.
    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What other nodes have to hear, if that has changed; empty when it is nobody.
    pub(super) fn take_state(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.has_changed_here) {
            return None;
        }
        let told: Vec<&Looker> = self.here.values().take(LOOKERS_TOLD_MAX).collect();
        if told.is_empty() {
            return Some(String::new());
        }
        // Names, ids and regions: nothing of it can fail to be written.
        serde_json::to_string(&told).ok()
    }
}

impl Looker {
    /// The open job, where it may be known.
    fn job_in(&self, region: &Region) -> Option<JobId> {
        self.job.as_ref().filter(|(_, of)| of == region).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::parse(name).expect("a region")
    }

    fn looker(id: &str, regions: &[&str]) -> Looker {
        let person =
            Actor { id: id.to_owned(), role: Role::Dispatcher, name: Some(id.to_uppercase()) };
        Looker { person, regions: regions.iter().map(|name| region(name)).collect(), job: None }
    }

    fn names(presence: &RegionPresence) -> Vec<&str> {
        presence.people.iter().map(|person| person.id.as_str()).collect()
    }

    /// Who is told of what, as text.
    fn told(lookers: &mut Lookers) -> Vec<String> {
        let telling = lookers.take_changed(usize::MAX).into_iter();
        let text = |(presence, connections): (RegionPresence, Vec<String>)| {
            let names = names(&presence).join("+");
            format!("{} {names} to {}", presence.region.as_str(), connections.join("+"))
        };
        telling.map(text).collect()
    }

    #[test]
    fn everybody_who_looks_at_a_region_is_told_of_everybody_in_it() {
        let mut lookers = Lookers::default();
        lookers.look("1", looker("ann", &["north", "south"]));
        lookers.look("2", looker("ben", &["north"]));
        assert_eq!(told(&mut lookers), ["north ann+ben to 1+2", "south ann to 1"]);
        lookers.leave("1");
        assert_eq!(told(&mut lookers), ["north ben to 2"]);
        lookers.leave("2");
        assert!(told(&mut lookers).is_empty() && lookers.regions.is_empty());
    }

    #[test]
    fn nobody_is_told_the_same_twice() {
        let mut lookers = Lookers::default();
        lookers.look("1", looker("ann", &["north"]));
        told(&mut lookers);
        lookers.look("1", looker("ann", &["north"]));
        lookers.look("2", looker("ann", &["north"]));
        lookers.leave("2");
        assert!(told(&mut lookers).is_empty());
    }

    #[test]
    fn several_tabs_are_one_person_with_all_their_jobs() {
        let mut lookers = Lookers::default();
        let jobs = [JobId::fresh(), JobId::fresh()];
        for (connection, job) in ["1", "2"].into_iter().zip(jobs) {
            let job = Some((job, region("north")));
            lookers.look(connection, Looker { job, ..looker("ann", &["north"]) });
        }
        let presence = lookers.presence(&region("north"));
        assert_eq!(presence.people.len(), 1);
        assert_eq!(presence.people[0].job_ids, BTreeSet::from(jobs));
    }

    #[test]
    fn an_open_job_is_known_in_its_own_region_only() {
        let mut lookers = Lookers::default();
        let job = Some((JobId::fresh(), region("south")));
        lookers.look("1", Looker { job, ..looker("ann", &["north", "south"]) });
        assert!(lookers.presence(&region("north")).people[0].job_ids.is_empty());
        assert_eq!(lookers.presence(&region("south")).people[0].job_ids.len(), 1);
    }

    #[test]
    fn a_crowd_is_counted_past_those_who_are_named() {
        let mut lookers = Lookers::default();
        for number in 0..PEOPLE_MAX + 3 {
            lookers.look(&format!("c{number}"), looker(&format!("p{number:03}"), &["north"]));
        }
        let presence = lookers.presence(&region("north"));
        assert_eq!((presence.people.len(), presence.more), (PEOPLE_MAX, 3));
    }

    #[test]
    fn no_more_regions_are_told_at_once_than_may_be() {
        let mut lookers = Lookers::default();
        lookers.look("1", looker("ann", &["a", "b", "c"]));
        assert_eq!(lookers.take_changed(2).len(), 2);
        assert!(lookers.is_changed());
        assert_eq!(lookers.take_changed(2).len(), 1);
    }

    #[test]
    fn another_nodes_people_are_there_until_it_is_silent() {
        let (mut here, mut there) = (Lookers::default(), Lookers::default());
        there.look("1", looker("ben", &["north"]));
        let state = there.take_state().expect("it has changed");
        let began = Instant::now();
        here.look("1", looker("ann", &["north"]));
        here.hear("b".to_owned(), &state, began);
        assert_eq!(told(&mut here), ["north ann+ben to 1"]);
        let later = began + NODE_LIFETIME;
        here.hear("b".to_owned(), &state, later);
        here.expire(later + NODE_LIFETIME);
        assert!(told(&mut here).is_empty());
        here.expire(later + NODE_LIFETIME + Duration::from_millis(1));
        assert_eq!(told(&mut here), ["north ann to 1"]);
    }

    #[test]
    fn a_node_whose_people_have_left_is_forgotten_at_once() {
        let (mut here, mut there) = (Lookers::default(), Lookers::default());
        there.look("1", looker("ben", &["north"]));
        here.look("1", looker("ann", &["north"]));
        here.hear("b".to_owned(), &there.take_state().expect("it has changed"), Instant::now());
        told(&mut here);
        there.leave("1");
        here.hear("b".to_owned(), &there.take_state().expect("it has changed"), Instant::now());
        assert_eq!(told(&mut here), ["north ann to 1"]);
        assert!(here.nodes.is_empty() && there.take_state().is_none());
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut lookers = Lookers::default();
        lookers.look("1", looker("ann", &["north"]));
        told(&mut lookers);
        lookers.hear("b".to_owned(), "{\"of\":\"another version\"}", Instant::now());
        assert!(told(&mut lookers).is_empty() && lookers.nodes.is_empty());
    }
}
