use super::site::{
    Site, assign, create, entries, hours, noon, own, region, regions, reschedule, sequences,
};
use signalbox::jobs::{
    CommandRequest, CommittedEvent, EventId, EventType, Scope, TraceContext, contractor_group,
    dispatch_group,
};
use signalbox::store::{EventFilter, LogEntry, StoreError};

fn read(site: &Site, scope: &Scope, filter: &EventFilter) -> Vec<u64> {
    sequences(&site.store.log.read(scope, filter).expect("the log works"))
}

fn any() -> EventFilter {
    EventFilter { limit: 100, ..EventFilter::default() }
}

fn log(site: &Site, events: Vec<CommittedEvent>) {
    site.store.log.append(&entries(events), true).expect("the log works");
}

#[test]
fn what_is_logged_is_read_word_for_word_and_leaves_the_outbox() {
    let site = Site::new();
    assert!(site.store.log_shares_database);
    let ann = site.contractor();
    let id = site.job(hours(9, 10), &[]);
    site.accept(assign(id, &[ann]));
    let events = site.outbox();
    log(&site, events.clone());
    let logged = site.store.log.read(&Scope::All, &any()).expect("the log works");
    assert_eq!(logged, events);
    assert!(site.outbox().is_empty());
}

#[test]
fn an_event_keeps_its_trace_from_the_outbox_to_the_log() {
    let site = Site::new();
    let trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let trace: Option<TraceContext> = trace.map(|text| text.parse().expect("a traceparent"));
    site.accept(CommandRequest { trace, ..create("north", hours(9, 10), &[]) });
    site.job(hours(11, 12), &[]);
    let traces = |events: &[CommittedEvent]| events.iter().map(|it| it.trace).collect::<Vec<_>>();
    let events = site.outbox();
    assert_eq!(traces(&events), [trace, None]);
    log(&site, events);
    let group = Some(dispatch_group(&region("north")));
    for filter in [any(), EventFilter { group, ..any() }] {
        let logged = site.store.log.read(&Scope::All, &filter).expect("the log works");
        assert_eq!(traces(&logged), [trace, None]);
    }
}

#[test]
fn an_event_is_logged_once_however_often_it_comes() {
    let site = Site::new();
    let id = site.job(hours(9, 10), &[]);
    site.accept(reschedule(id, hours(10, 11)));
    let events = site.outbox();
    log(&site, events[..1].to_vec());
    log(&site, events.clone());
    log(&site, events);
    assert_eq!(read(&site, &Scope::All, &any()), [1, 2]);
    let group = Some(dispatch_group(&region("north")));
    assert_eq!(read(&site, &Scope::All, &EventFilter { group, ..any() }), [1, 2]);
}

#[test]
fn the_place_of_an_event_is_not_given_to_another_one() {
    let site = Site::new();
    site.job(hours(9, 10), &[]);
    let mut events = site.outbox();
    log(&site, events.clone());
    events[0].event_id = EventId::fresh();
    let outcome = site.store.log.append(&entries(events), true);
    assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
}

#[test]
fn the_outbox_keeps_what_the_log_was_not_told_to_clear() {
    let site = Site::new();
    site.job(hours(9, 10), &[]);
    site.job(hours(9, 10), &[]);
    site.store.log.append(&entries(site.outbox()), false).expect("the log works");
    assert_eq!(sequences(&site.outbox()), [1, 2]);
    log(&site, site.outbox()[1..].to_vec());
    assert_eq!(sequences(&site.outbox()), [1]);
}

#[test]
fn a_row_says_who_logged_it_and_when() {
    let site = Site::new();
    site.job(hours(9, 10), &[]);
    site.job(hours(9, 10), &[]);
    let events: Vec<_> = site.outbox().into_iter().map(std::sync::Arc::new).collect();
    let published = [Some(noon()), None];
    let entries: Vec<_> = std::iter::zip(events, published)
        .map(|(event, published_at)| LogEntry { event, published_at })
        .collect();
    site.store.log.append(&entries, true).expect("the log works");
    let mut database = site.database.open();
    let rows = database.event_log();
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2]);
    assert!(rows.iter().all(|row| row.node_id == "node-1"));
    let times = database.log_times();
    assert!(times.iter().all(|row| row.logged_at.ends_with('Z')));
    assert_eq!(times[0].published_at.as_deref(), Some("2026-03-01T12:00:00.000Z"));
    assert_eq!(times[1].published_at, None);
}

#[test]
fn filters_and_scopes_keep_what_they_name() {
    let site = Site::new();
    let (ann, bob) = (site.contractor(), site.contractor());
    let first = site.job(hours(9, 10), &[ann]); // 1: north, Ann
    site.accept(create("south", hours(9, 10), &[])); // 2: south
    site.accept(assign(first, &[bob])); // 3: north, Ann and Bob
    site.accept(reschedule(first, hours(10, 11))); // 4: north, Bob
    log(&site, site.outbox());
    let group = |name: String| EventFilter { group: Some(name), ..any() };
    let both = Scope::Only { regions: vec![region("south")], contractor_id: Some(ann) };
    let of_type = EventFilter { event_type: Some(EventType::JobAssigned), ..any() };
    for (name, scope, filter, expected) in [
        ("all", Scope::All, any(), vec![1, 2, 3, 4]),
        ("after", Scope::All, EventFilter { after: 2, ..any() }, vec![3, 4]),
        ("limit", Scope::All, EventFilter { limit: 2, ..any() }, vec![1, 2]),
        ("type", Scope::All, of_type.clone(), vec![3]),
        ("job", Scope::All, EventFilter { job_id: Some(first), ..any() }, vec![1, 3, 4]),
        ("region group", Scope::All, group(dispatch_group(&region("north"))), vec![1, 3, 4]),
        ("contractor group", Scope::All, group(contractor_group(ann)), vec![1, 3]),
        ("unknown group", Scope::All, group("dispatch/east".into()), vec![]),
        ("scope of a region", regions(&["north"]), any(), vec![1, 3, 4]),
        ("scope of two", regions(&["north", "south"]), any(), vec![1, 2, 3, 4]),
        ("scope of none", regions(&[]), any(), vec![]),
        ("scope of a contractor", own(bob), any(), vec![3, 4]),
        ("mixed scope", both.clone(), any(), vec![1, 2, 3]),
        ("scope and type", own(ann), of_type, vec![3]),
        ("foreign group", own(ann), group(contractor_group(bob)), vec![3]),
        ("foreign job", regions(&["south"]), EventFilter { job_id: Some(first), ..any() }, vec![]),
    ] {
        assert_eq!(read(&site, &scope, &filter), expected, "{name}");
        // The same answer while they wait in the outbox and when they are logged.
        let page = site.store.events(&scope, &filter).expect("the store works");
        assert_eq!(sequences(&page.items), expected, "{name}");
    }
}

#[test]
fn a_log_of_its_own_leaves_the_outbox_alone() {
    let site = Site::with_missing_log();
    assert!(!site.store.log_shares_database);
    site.log_database().create();
    site.job(hours(9, 10), &[]);
    log(&site, site.outbox());
    assert_eq!(read(&site, &Scope::All, &any()), [1]);
    assert_eq!(sequences(&site.outbox()), [1]);
}

#[test]
fn commands_and_log_are_written_side_by_side() {
    let site = std::sync::Arc::new(Site::new());
    let ann = site.contractor();
    let id = site.job(hours(0, 1), &[ann]);
    let writer = std::sync::Arc::clone(&site);
    let writing = std::thread::spawn(move || {
        for start in 1..=150 {
            writer.accept(reschedule(id, hours(start, start + 1)));
        }
    });
    let mut logged = 0;
    while !writing.is_finished() || !site.outbox().is_empty() {
        let events = site.outbox();
        logged += events.len();
        log(&site, events);
    }
    assert!(writing.join().is_ok());
    assert_eq!(logged, 151);
    let filter = EventFilter { limit: 500, ..any() };
    assert_eq!(read(&site, &Scope::All, &filter), (1..=151).collect::<Vec<_>>());
}
