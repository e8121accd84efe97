use super::site::{
    Site, assign, cancel, create, hours, job_of, keyed, noon, outcomes, reschedule, sequences,
};
use signalbox::jobs::{CommandRequest, EventType, JobId, JobStatus, Scope};

#[test]
fn a_job_is_read_as_it_was_created() {
    let site = Site::new();
    let (ann, bob) = (site.contractor(), site.contractor());
    let receipt = site.accept(create("north", hours(9, 10), &[bob, ann]));
    let job = job_of(&receipt);
    assert!(receipt.created);
    assert_eq!(site.read(job.id), *job);
    assert_eq!(job.contractor_ids, [bob, ann]);
}

#[test]
fn every_change_is_read_back_with_its_version() {
    let site = Site::new();
    let (ann, bob) = (site.contractor(), site.contractor());
    let id = site.job(hours(9, 10), &[ann]);
    for (version, change) in [
        (2, assign(id, &[bob, ann])),
        (3, reschedule(id, hours(11, 12))),
        (4, assign(id, &[])),
        (5, cancel(id, Some("the customer moved"))),
    ] {
        let receipt = site.accept(change);
        assert_eq!(job_of(&receipt).version, version);
        assert_eq!(site.read(id), *job_of(&receipt));
    }
    let job = site.read(id);
    assert_eq!(job.status, JobStatus::Cancelled);
    assert_eq!(job.cancellation_reason.as_deref(), Some("the customer moved"));
}

#[test]
fn a_contractor_is_read_as_it_was_created() {
    let site = Site::new();
    let id = site.contractor_of("south");
    let contractor = site.store.jobs.contractor(id).expect("the store works").expect("exists");
    assert_eq!((contractor.id, contractor.region.as_str()), (id, "south"));
    assert_eq!(contractor.created_at, noon());
}

#[test]
fn several_changes_of_one_job_in_one_batch_leave_the_last() {
    let site = Site::new();
    let (ann, bob) = (site.contractor(), site.contractor());
    let new = create("north", hours(9, 10), &[ann]);
    let id = id_of(&new);
    let batch = [new, reschedule(id, hours(10, 11)), assign(id, &[bob]), cancel(id, None)];
    assert_eq!(site.commit(&batch).events.len(), 4);
    let job = site.read(id);
    assert_eq!((job.version, job.window, job.status), (4, hours(10, 11), JobStatus::Cancelled));
    assert_eq!(job.contractor_ids, [bob]);
    // Nobody's time is taken any more.
    site.job(hours(9, 11), &[ann, bob]);
}

#[test]
fn sequences_have_no_gap_across_batches_and_refusals() {
    let site = Site::new();
    let ann = site.contractor();
    let first = site.commit(&[
        create("north", hours(9, 10), &[ann]),
        create("north", hours(9, 10), &[ann]),
        create("north", hours(10, 11), &[ann]),
    ]);
    assert_eq!(outcomes(&first.answers), ["ok", "schedule_conflict", "ok"]);
    assert_eq!(sequences(&first.events), [1, 2]);
    let second = site.commit(&[reschedule(JobId::fresh(), hours(1, 2))]);
    assert_eq!(outcomes(&second.answers), ["not_found"]);
    let third = site.commit(&[create("north", hours(11, 12), &[ann])]);
    assert_eq!(sequences(&third.events), [3]);
    assert_eq!(site.store.jobs.last_sequence().expect("the store works"), 3);
    assert_eq!(sequences(&site.outbox()), [1, 2, 3]);
}

#[test]
fn sequences_go_on_after_the_store_was_closed() {
    let site = Site::new();
    site.job(hours(9, 10), &[]);
    let site = site.reopened();
    let events = site.commit(&[create("north", hours(9, 10), &[])]).events;
    assert_eq!(sequences(&events), [2]);
}

#[test]
fn a_window_that_one_job_leaves_is_free_for_the_next_of_the_batch() {
    let site = Site::new();
    let ann = site.contractor();
    // Ids grow with time: once the one that moves in is the older one, once the younger.
    let (older, younger) = (site.job(hours(8, 9), &[ann]), site.job(hours(10, 11), &[ann]));
    let away = [reschedule(younger, hours(12, 13)), reschedule(older, hours(10, 11))];
    assert_eq!(outcomes(&site.commit(&away).answers), ["ok", "ok"]);
    let back = [reschedule(older, hours(8, 9)), reschedule(younger, hours(10, 11))];
    assert_eq!(outcomes(&site.commit(&back).answers), ["ok", "ok"]);
    // In the other order the slot is still taken.
    let early = [reschedule(older, hours(10, 11)), reschedule(younger, hours(12, 13))];
    assert_eq!(outcomes(&site.commit(&early).answers), ["schedule_conflict", "ok"]);
}

#[test]
fn two_jobs_may_change_places_in_one_batch() {
    let site = Site::new();
    let ann = site.contractor();
    let (one, other) = (site.job(hours(8, 9), &[ann]), site.job(hours(10, 11), &[ann]));
    let swap = [
        reschedule(one, hours(20, 21)),
        reschedule(other, hours(8, 9)),
        reschedule(one, hours(10, 11)),
    ];
    assert_eq!(outcomes(&site.commit(&swap).answers), ["ok", "ok", "ok"]);
    assert_eq!((site.read(one).window, site.read(other).window), (hours(10, 11), hours(8, 9)));
}

#[test]
fn a_busy_window_is_found_wherever_it_starts() {
    let site = Site::new();
    let ann = site.contractor();
    // The longest window there is, then a cancelled one that starts within it and ends first.
    let long = site.job(hours(0, 31 * 24), &[ann]);
    let gone = site.job(hours(31 * 24, 31 * 24 + 1), &[ann]);
    site.accept(cancel(gone, None));
    for (start, end, code) in [
        (-1, 1, "schedule_conflict"),
        (5, 6, "schedule_conflict"),
        (31 * 24 - 1, 31 * 24, "schedule_conflict"),
        (-1, 0, "ok"),
        (31 * 24, 31 * 24 + 1, "ok"),
    ] {
        let answers = site.commit(&[create("north", hours(start, end), &[ann])]).answers;
        assert_eq!(outcomes(&answers), [code], "{start} to {end}");
    }
    site.accept(cancel(long, None));
    site.job(hours(5, 6), &[ann]);
}

#[test]
fn a_cancelled_job_between_does_not_hide_the_busy_one() {
    let site = Site::new();
    let ann = site.contractor();
    let gone = site.job(hours(10, 11), &[ann]);
    site.accept(cancel(gone, None));
    site.job(hours(9, 13), &[ann]);
    assert_eq!(site.refuse(create("north", hours(12, 14), &[ann])), "schedule_conflict");
}

#[test]
fn a_refused_command_leaves_no_row() {
    let site = Site::new();
    let ann = site.contractor();
    site.job(hours(9, 10), &[ann]);
    let refused = keyed(create("north", hours(9, 10), &[ann]), "key", 1);
    let id = id_of(&refused);
    assert_eq!(site.refuse(refused), "schedule_conflict");
    let (job, sequence) = site.store.jobs.job(&Scope::All, id).expect("the store works");
    assert_eq!((job, sequence), (None, 1));
    // The key is free: the command may be tried again once there is room.
    site.accept(keyed(create("north", hours(10, 11), &[ann]), "key", 2));
}

#[test]
fn the_outbox_holds_the_events_word_for_word() {
    let site = Site::new();
    let ann = site.contractor();
    let id = site.job(hours(9, 10), &[]);
    let events = site.commit(&[assign(id, &[ann]), cancel(id, None)]).events;
    assert_eq!(site.outbox()[1..], events);
    assert_eq!(events[0].event_type, EventType::JobAssigned);
    assert_eq!(site.store.jobs.outbox_start().expect("the store works"), (Some(1), 3));
    site.store.jobs.clear_outbox(2).expect("the store works");
    assert_eq!(site.store.jobs.outbox_start().expect("the store works"), (Some(3), 3));
    site.store.jobs.clear_outbox(3).expect("the store works");
    assert_eq!(site.store.jobs.outbox_start().expect("the store works"), (None, 3));
}

fn id_of(request: &CommandRequest) -> JobId {
    match &request.command {
        signalbox::jobs::Command::CreateJob(create) => create.id,
        other => panic!("{other:?} makes no job"),
    }
}
