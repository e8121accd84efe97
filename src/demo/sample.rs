//! The sample: contractors with full days around today, and no conflict.

use std::sync::Arc;

use chrono::{Days, NaiveDate, NaiveTime, TimeZone as _, Utc};

use super::personas::{DemoRegion, REGIONS, contractor_id, planner};
use crate::jobs::{
    Command, CommandRequest, ContractorId, CreateContractor, CreateJob, EventId, JobId, Region,
    Scope, Timestamp, Window,
};
use crate::pipeline::{CommandError, CommandQueue, blocking};
use crate::store::{JobFilter, Store};

/// The first day of the sample is today; so many follow.
const DAYS: u64 = 6;

/// Start and length of a contractor's jobs of a day, in minutes of the site's day.
/// They leave gaps, so that there is room to move a job.
const DAY_PLAN: [(u32, u32); 3] = [(8 * 60, 90), (10 * 60 + 30, 120), (14 * 60, 90)];

const WORK: [&str; 12] = [
    "Boiler inspection",
    "Heat pump fault",
    "Lift maintenance",
    "Fibre installation",
    "Water meter exchange",
    "Fire alarm test",
    "Ventilation cleaning",
    "Solar inverter swap",
    "Door access repair",
    "Cold room service",
    "Charging point set-up",
    "Gas leak check",
];

const CUSTOMERS: [&str; 10] = [
    "Harbour Hotel",
    "City Library",
    "Rowan Primary School",
    "Birch & Sons Bakery",
    "St. Anne's Clinic",
    "Old Mill Flats",
    "Museum of Tides",
    "Kestrel Logistics",
    "Juniper Dental",
    "Parkside Cinema",
];

const STREETS: [&str; 8] = [
    "Mill Lane",
    "Quay Street",
    "Station Road",
    "Linden Avenue",
    "Market Square",
    "Chapel Row",
    "Orchard Way",
    "Bridge Street",
];

/// Fills an empty database; one that has jobs is left as it is.
pub async fn fill(commands: &CommandQueue, store: &Store) -> Result<(), CommandError> {
    let jobs = Arc::clone(&store.jobs);
    let any = JobFilter { limit: 1, ..JobFilter::default() };
    let page = blocking(move || jobs.jobs(&Scope::All, &any)).await;
    let page = page.map_err(|error| CommandError::Unavailable(error.to_string()))?;
    if !page.items.is_empty() {
        return Ok(());
    }
    for command in contractors() {
        submit(commands, command).await?;
    }
    for command in jobs_from(Utc::now().date_naive()) {
        submit(commands, command).await?;
    }
    Ok(())
}

/// Carries out a command of the demo's planner.
pub(super) async fn submit(commands: &CommandQueue, command: Command) -> Result<(), CommandError> {
    let request = CommandRequest {
        caller: Arc::new(planner()),
        correlation_id: format!("demo-{}", EventId::fresh()),
        event_id: EventId::fresh(),
        if_match: None,
        idempotency: None,
        trace: None,
        command,
    };
    commands.submit(request).await.map(|_| ())
}

fn contractors() -> Vec<Command> {
    let mut commands = Vec::new();
    for (index, region) in REGIONS.iter().enumerate() {
        for (place, name) in region.contractors.iter().enumerate() {
            commands.push(Command::CreateContractor(CreateContractor {
                id: contractor_id(index, place),
                name: (*name).to_owned(),
                region: name_of(region),
                timezone: region.timezone.name().to_owned(),
            }));
        }
    }
    commands
}

/// The jobs of the days from this one on: the plan of each contractor, and in each
/// region one job a day that nobody has yet.
fn jobs_from(today: NaiveDate) -> Vec<Command> {
    let mut commands = Vec::new();
    for (index, region) in REGIONS.iter().enumerate() {
        for day in (0..DAYS).filter_map(|days| today.checked_add_days(Days::new(days))) {
            for place in 0..region.contractors.len() {
                for (start, length) in DAY_PLAN {
                    // Not everybody starts at the same time.
                    let start = start + 15 * u32::try_from(place).unwrap_or(0);
                    let assigned = vec![contractor_id(index, place)];
                    commands.extend(job(region, day, start, length, assigned, commands.len()));
                }
            }
            commands.extend(job(region, day, 12 * 60, 60, Vec::new(), commands.len()));
        }
    }
    commands
}

fn job(
    region: &DemoRegion,
    day: NaiveDate,
    start_minute: u32,
    minutes: u32,
    contractor_ids: Vec<ContractorId>,
    number: usize,
) -> Option<Command> {
    let time = NaiveTime::from_hms_opt(start_minute / 60, start_minute % 60, 0)?;
    let local = region.timezone.from_local_datetime(&day.and_time(time)).earliest()?;
    let start = Timestamp::from_millis(local.timestamp_millis())?;
    let end = start.saturating_add_millis(i64::from(minutes) * 60_000);
    // The numbers are coprime to the lists' lengths, so neighbours differ.
    let street = STREETS[number * 3 % STREETS.len()];
    Some(Command::CreateJob(CreateJob {
        id: JobId::fresh(),
        title: WORK[number * 5 % WORK.len()].to_owned(),
        customer: CUSTOMERS[number * 7 % CUSTOMERS.len()].to_owned(),
        address: format!("{} {street}, {}", number * 11 % 90 + 1, region.city),
        region: name_of(region),
        timezone: region.timezone.name().to_owned(),
        window: Window::new(start, end).ok()?,
        contractor_ids,
    }))
}

fn name_of(region: &DemoRegion) -> Region {
    Region::parse(region.name).expect("the demo's regions are well named")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_large_enough_and_nobody_is_in_two_places() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 27).expect("a day before the clocks change");
        let jobs: Vec<CreateJob> = jobs_from(day)
            .into_iter()
            .filter_map(|command| match command {
                Command::CreateJob(create) => Some(create),
                _ => None,
            })
            .collect();
        assert!(jobs.len() >= 200, "{}", jobs.len());
        assert!(contractors().len() >= 12);
        for (at, one) in jobs.iter().enumerate() {
            for other in &jobs[at + 1..] {
                let shared = one.contractor_ids.iter().any(|id| other.contractor_ids.contains(id));
                assert!(!shared || !one.window.overlaps(other.window), "{one:?} {other:?}");
            }
        }
    }
}
