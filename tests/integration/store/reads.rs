use std::sync::Arc;

use super::site::{Site, assign, cancel, create, hours, job_of, own, region, regions, reschedule};
use signalbox::jobs::{Job, JobId, JobStatus, Scope};
use signalbox::store::{ContractorFilter, JobFilter, Page};

fn list(site: &Site, scope: &Scope, filter: &JobFilter) -> Page<Job> {
    site.store.jobs.jobs(scope, filter).expect("the store works")
}

fn found(site: &Site, scope: &Scope, filter: &JobFilter) -> Vec<JobId> {
    list(site, scope, filter).items.iter().map(|job| job.id).collect()
}

fn any() -> JobFilter {
    JobFilter { limit: 100, ..JobFilter::default() }
}

#[test]
fn a_read_carries_the_sequence_of_its_rows() {
    let site = Site::new();
    assert_eq!(list(&site, &Scope::All, &any()).sequence, 0);
    let id = site.job(hours(9, 10), &[]);
    site.accept(reschedule(id, hours(10, 11)));
    assert_eq!(list(&site, &Scope::All, &any()).sequence, 2);
    let (job, sequence) = site.store.jobs.job(&Scope::All, id).expect("the store works");
    assert_eq!((job.map(|job| job.version), sequence), (Some(2), 2));
}

#[test]
fn rows_and_sequence_are_one_snapshot_while_others_write() {
    let site = Arc::new(Site::new());
    let id = site.job(hours(0, 1), &[]);
    let writer = Arc::clone(&site);
    let writing = std::thread::spawn(move || {
        for start in 1..=100 {
            writer.accept(reschedule(id, hours(start, start + 1)));
        }
    });
    while !writing.is_finished() {
        let (job, sequence) = site.store.jobs.job(&Scope::All, id).expect("the store works");
        // The job is the only one, so its version counts the events.
        assert_eq!(job.map(|job| u64::from(job.version)), Some(sequence));
    }
    assert!(writing.join().is_ok());
}

#[test]
fn pages_follow_one_another_without_gap_or_repetition() {
    let site = Site::new();
    // Several start together, so that the id has to decide.
    for start in [3, 1, 2, 1, 3, 1, 2] {
        site.job(hours(start, 4), &[]);
    }
    let all = found(&site, &Scope::All, &any());
    assert_eq!(all.len(), 7);
    let mut paged = Vec::new();
    let mut filter = JobFilter { limit: 2, ..JobFilter::default() };
    loop {
        let page = list(&site, &Scope::All, &filter);
        assert!(page.items.len() <= 2);
        paged.extend(page.items.iter().map(|job| (job.window.start(), job.id)));
        // A job that starts before the page does not disturb those after it.
        site.job(hours(0, 1), &[]);
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => break,
        }
    }
    assert!(paged.is_sorted());
    assert_eq!(paged.iter().map(|(_, id)| *id).collect::<Vec<_>>(), all);
}

#[test]
fn a_page_that_ends_the_list_names_no_next() {
    let site = Site::new();
    site.job(hours(9, 10), &[]);
    site.job(hours(9, 10), &[]);
    for (limit, has_next) in [(1, true), (2, false), (3, false)] {
        let page = list(&site, &Scope::All, &JobFilter { limit, ..JobFilter::default() });
        assert_eq!(page.next.is_some(), has_next, "{limit}");
    }
}

#[test]
fn filters_keep_what_they_name() {
    let site = Site::new();
    let (ann, bob) = (site.contractor(), site.contractor());
    let morning = site.job(hours(8, 10), &[ann]);
    let noon = site.job(hours(10, 14), &[ann, bob]);
    let south = job_of(&site.accept(create("south", hours(14, 16), &[]))).id;
    site.accept(cancel(morning, None));
    let at = |hour| Some(hours(hour, hour + 1).start());
    for (name, filter, expected) in [
        ("region", JobFilter { region: Some(region("south")), ..any() }, vec![south]),
        ("contractor", JobFilter { contractor_id: Some(bob), ..any() }, vec![noon]),
        ("two jobs", JobFilter { contractor_id: Some(ann), ..any() }, vec![morning, noon]),
        ("status", JobFilter { status: Some(JobStatus::Cancelled), ..any() }, vec![morning]),
        ("from touches", JobFilter { from: at(10), ..any() }, vec![noon, south]),
        ("to touches", JobFilter { to: at(10), ..any() }, vec![morning]),
        ("between", JobFilter { from: at(11), to: at(12), ..any() }, vec![noon]),
        ("nothing", JobFilter { from: at(16), ..any() }, vec![]),
    ] {
        assert_eq!(found(&site, &Scope::All, &filter), expected, "{name}");
    }
}

#[test]
fn a_scope_hides_the_jobs_of_others() {
    let site = Site::new();
    let ann = site.contractor();
    let mine = site.job(hours(8, 9), &[ann]);
    let other = site.job(hours(9, 10), &[]);
    let south = job_of(&site.accept(create("south", hours(10, 11), &[]))).id;
    let both = Scope::Only { regions: vec![region("south")], contractor_id: Some(ann) };
    for (name, scope, expected) in [
        ("all", Scope::All, vec![mine, other, south]),
        ("one region", regions(&["north"]), vec![mine, other]),
        ("two regions", regions(&["north", "south"]), vec![mine, other, south]),
        ("no region", regions(&[]), vec![]),
        ("contractor", own(ann), vec![mine]),
        ("region and contractor", both, vec![mine, south]),
    ] {
        assert_eq!(found(&site, &scope, &any()), expected, "{name}");
        for id in [mine, other, south] {
            let (job, _) = site.store.jobs.job(&scope, id).expect("the store works");
            assert_eq!(job.is_some(), expected.contains(&id), "{name}");
        }
    }
}

#[test]
fn a_job_that_is_taken_from_a_contractor_leaves_the_scope() {
    let site = Site::new();
    let ann = site.contractor();
    let id = site.job(hours(8, 9), &[ann]);
    site.accept(assign(id, &[]));
    assert!(found(&site, &own(ann), &any()).is_empty());
}

#[test]
fn contractors_are_listed_by_name_within_the_scope() {
    let site = Site::new();
    let (ann, bob, eve) =
        (site.contractor(), site.contractor_of("south"), site.contractor_of("east"));
    let list = |scope: &Scope, filter: &ContractorFilter| {
        site.store.jobs.contractors(scope, filter).expect("the store works")
    };
    let any = || ContractorFilter { limit: 100, ..ContractorFilter::default() };
    let both = Scope::Only { regions: vec![region("south")], contractor_id: Some(ann) };
    for (name, scope, mut expected) in [
        ("all", Scope::All, vec![ann, bob, eve]),
        ("regions", regions(&["south", "east"]), vec![bob, eve]),
        ("own", own(ann), vec![ann]),
        ("both", both, vec![ann, bob]),
        ("none", regions(&[]), vec![]),
    ] {
        // Names hold the id, so that both sort alike.
        expected.sort();
        let items = list(&scope, &any()).items;
        assert_eq!(items.iter().map(|one| one.id).collect::<Vec<_>>(), expected, "{name}");
    }
    let filter = ContractorFilter { region: Some(region("south")), ..any() };
    assert_eq!(list(&Scope::All, &filter).items.len(), 1);
    let first = list(&Scope::All, &ContractorFilter { limit: 2, ..any() });
    let rest = list(&Scope::All, &ContractorFilter { cursor: first.next, ..any() });
    assert_eq!((first.items.len(), rest.items.len()), (2, 1));
    assert_eq!(rest.next, None);
}
