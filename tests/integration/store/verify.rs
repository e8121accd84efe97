//! Databases that somebody else wrote to are told from those that nobody did.

use std::sync::atomic::{AtomicBool, Ordering};

use self::Sql::{Both, Payload, Sqlite, WithoutConstraint};
use super::site::{Site, assign, cancel, config, create, entries, hours, noon, reschedule};
use crate::support::database::{Database, TestDatabase};
use signalbox::jobs::JobId;
use signalbox::store::{
    EventFilter, PAGE_ROWS_MAX, Report, StoreConfig, StoreError, open_read_only, verify,
};

/// Sequences 1 to 4 are logged, 5 to 8 are not: job `a` is created for Ann (1), moved
/// (2), given to Bob (5) and cancelled (7); job `b` is created for Ann (3), moved (4, 6);
/// job `c` is created for nobody (8).
fn scene() -> (Site, [JobId; 3]) {
    scene_on(TestDatabase::new())
}

/// The same on this database.
pub fn scene_on(database: TestDatabase) -> (Site, [JobId; 3]) {
    let site = Site::on(database);
    let (ann, bob) = (site.contractor(), site.contractor());
    let a = site.job(hours(9, 10), &[ann]);
    site.accept(reschedule(a, hours(10, 11)));
    let b = site.job(hours(12, 13), &[ann]);
    site.accept(reschedule(b, hours(13, 14)));
    site.store.log.append(&entries(site.outbox()), true).expect("the log works");
    site.accept(assign(a, &[bob, ann]));
    site.accept(reschedule(b, hours(14, 15)));
    site.accept(cancel(a, Some("the customer moved")));
    let c = site.job(hours(10, 11), &[]);
    (site, [a, b, c])
}

/// What somebody else wrote.
enum Sql {
    /// Statements that both kinds of database understand.
    Both(&'static str),
    /// A table, a sequence, and what its payload becomes: in terms of the old one, as text.
    Payload(&'static str, u64, &'static str),
    /// What a constraint of this name, which PostgreSQL's `job_assignments` have, keeps out.
    WithoutConstraint(&'static str, &'static str),
    /// What the types of PostgreSQL's columns keep out: they take no other text for JSON,
    /// for an id or for a time.
    Sqlite(&'static str),
}

impl Sql {
    /// For a database of this kind; none where it cannot be done.
    fn statements(&self, database: &Database) -> Option<String> {
        let is_sqlite = matches!(database, Database::Sqlite(_));
        match self {
            Both(statements) => Some((*statements).to_owned()),
            Payload(table, sequence, becomes) => {
                let becomes = if is_sqlite {
                    (*becomes).to_owned()
                } else {
                    let text = becomes.replace("payload", "CAST(payload AS TEXT)");
                    format!("CAST({text} AS JSON)")
                };
                Some(format!("UPDATE {table} SET payload = {becomes} WHERE sequence = {sequence}"))
            }
            WithoutConstraint(_, statements) if is_sqlite => Some((*statements).to_owned()),
            WithoutConstraint(name, statements) => {
                let drop = format!("ALTER TABLE job_assignments DROP CONSTRAINT {name}");
                Some(format!("{drop}; {statements}"))
            }
            Sqlite(statements) => is_sqlite.then(|| (*statements).to_owned()),
        }
    }
}

fn verified(site: &Site) -> Report {
    verify(&site.store).expect("the databases can be read")
}

fn shown(report: &Report) -> Vec<&str> {
    report.checks.iter().flat_map(|check| &check.faults.shown).map(String::as_str).collect()
}

#[test]
fn what_nobody_else_wrote_to_is_clean() {
    let (site, _) = scene();
    let report = verified(&site);
    assert_eq!(
        report.to_string(),
        "events 8, sequences 1 to 8: in order, no gap\n\
         payloads 8: as their columns say\n\
         groups of logged events 8: each has its row, and no other is there\n\
         jobs 3: as their events lead to\n\
         assignments 3: as their jobs, nobody in two places\n\
         verified: clean"
    );
    let empty = verified(&Site::new());
    assert!(empty.to_string().starts_with("events 0: in order, no gap\n"), "{empty}");
    assert_eq!(empty.faults(), 0, "{empty}");
}

#[test]
fn each_corruption_is_found_and_named() {
    // What was done, and what is said of it; $a, $b and $c are the jobs' ids.
    let corruptions: &[(Sql, &[&str])] = &[
        (
            Both("DELETE FROM event_log WHERE sequence = 2"),
            &[
                "event 2 is missing",
                "a row says that event 2 was announced to dispatch/north, and it was not",
                "event 5 of job $a: its version does not rise by one",
                "event 5 of job $a: the window before was another one",
            ],
        ),
        (Both("DELETE FROM outbox WHERE sequence IN (6, 7)"), &["events 6 to 7 are missing"]),
        (
            Both("DELETE FROM outbox WHERE sequence = 8"),
            &["event 8 is missing", "job $c has no event"],
        ),
        (Both("UPDATE event_sequence SET last = 11"), &["events 9 to 11 are missing"]),
        (
            Both("UPDATE event_sequence SET last = 7"),
            &["event 8 is past 7, the last sequence that was taken", "job $c has no event"],
        ),
        (
            Both(
                "INSERT INTO outbox SELECT sequence, event_id, event_type, schema_version, job_id,
                     region, payload, published_to, actor_id, correlation_id, occurred_at, logged_at,
                     traceparent
                 FROM event_log WHERE sequence = 4",
            ),
            &["event 4 is logged and in the outbox"],
        ),
        (
            Both(
                "INSERT INTO outbox SELECT sequence, event_id, event_type, schema_version, job_id,
                     region, payload, published_to, actor_id, correlation_id, occurred_at, logged_at,
                     traceparent
                 FROM event_log WHERE sequence = 3;
                 DELETE FROM event_log WHERE sequence = 3",
            ),
            &["event 3 is in the outbox alone, and the log is past it"],
        ),
        (
            Payload("event_log", 3, "replace(payload, '\"sequence\":3', '\"sequence\":4')"),
            &["event 3: its payload says otherwise than its sequence"],
        ),
        (
            Payload("outbox", 5, "replace(payload, 'admin-1', 'admin-2')"),
            &["event 5: its payload says otherwise than its actor_id"],
        ),
        (
            Payload("event_log", 2, "replace(payload, 'blue', 'red')"),
            &["event 2 of job $a: title, region or time zone were others before"],
        ),
        (
            Payload("event_log", 2, "replace(payload, '2026-03-02T10:', '2026-03-02T08:')"),
            &["event 5 of job $a: the window before was another one"],
        ),
        (
            Payload("event_log", 3, "'{' || substr(payload, 22)"),
            &["event 3: its payload is no event: missing field `type`"],
        ),
        (
            Payload("event_log", 3, "'{\"note\":\"x\",' || substr(payload, 2)"),
            &["event 3: its payload is no event: unknown field `note`"],
        ),
        (
            Payload("event_log", 3, "' ' || payload"),
            &["event 3: its payload is not in the form that events are written in"],
        ),
        (Payload("event_log", 3, "payload || format('%2048s', '')"), &["more than 2048"]),
        (
            Sqlite("UPDATE event_log SET payload = 'none' WHERE sequence = 3"),
            &["event 3: its payload is no event: expected ident"],
        ),
        (
            Both(
                "UPDATE event_log SET event_type = 'JobMoved', schema_version = 2,
                     event_id = '0198c5e0-0000-7000-8000-000000000001', region = 'No region',
                     correlation_id = '', occurred_at = '2026-03-01T12:00:00.001Z'
                 WHERE sequence = 3",
            ),
            &["event 3: its payload says otherwise than its event_id, event_type, \
               schema_version, region, correlation_id, occurred_at"],
        ),
        (
            Sqlite("UPDATE event_log SET event_id = 'e', occurred_at = 'noon' WHERE sequence = 3"),
            &["event 3: its payload says otherwise than its event_id, occurred_at"],
        ),
        (
            Both("UPDATE event_log SET job_id = '$c' WHERE sequence = 4"),
            &["event 4: its payload says otherwise than its job_id"],
        ),
        (
            Both("UPDATE outbox SET published_to = '[\"dispatch/north\"]' WHERE sequence = 5"),
            &["event 5: its payload says otherwise than its published_to"],
        ),
        (
            Both("UPDATE event_log SET published_to = '\"all\"' WHERE sequence = 3"),
            &[
                "event 3: its payload says otherwise than its published_to",
                "a row says that event 3 was announced to dispatch/north, and it was not",
            ],
        ),
        (
            Sqlite("UPDATE event_log SET published_to = 'all' WHERE sequence = 3"),
            &[
                "event 3: its payload says otherwise than its published_to",
                "a row says that event 3 was announced to dispatch/north, and it was not",
            ],
        ),
        (
            Both(
                "DELETE FROM event_log_groups WHERE sequence = 2 AND group_name = 'dispatch/north'",
            ),
            &["event 2 has no row for its group dispatch/north"],
        ),
        (
            Both(
                "INSERT INTO event_log_groups VALUES ('dispatch/south', 2), ('dispatch/north', 99)",
            ),
            &[
                "a row says that event 2 was announced to dispatch/south, and it was not",
                "a row says that event 99 was announced to dispatch/north, and it was not",
            ],
        ),
        (
            Both("UPDATE jobs SET version = 9 WHERE id = '$b'"),
            &["job $b is not as its last event, 6, says: version"],
        ),
        (
            Both("UPDATE jobs SET end_utc = '2026-03-02T16:00:00.000Z' WHERE id = '$b'"),
            &[
                "job $b is not as its last event, 6, says: window",
                "to job $b is not of the job's window and life",
            ],
        ),
        (
            Both(
                "UPDATE jobs SET cancellation_reason = NULL, title = 'x',
                     updated_at = '2026-03-01T12:00:00.001Z'
                 WHERE id = '$a'",
            ),
            &["job $a is not as its last event, 7, says: cancellation reason, title, region or \
               time zone, time of the last change"],
        ),
        (
            Sqlite("UPDATE jobs SET updated_at = 'x' WHERE id = '$a'"),
            &["job $a is not as its last event, 7, says: time of the last change"],
        ),
        (
            Both("UPDATE jobs SET status = 'completed' WHERE id = '$c'"),
            &["job $c is not as its last event, 8, says: status"],
        ),
        (
            Both("UPDATE job_assignments SET position = 2 - position WHERE job_id = '$a'"),
            &["job $a is not as its last event, 7, says: contractors"],
        ),
        (
            Both("DELETE FROM job_assignments WHERE job_id = '$b'"),
            &["job $b is not as its last event, 6, says: contractors"],
        ),
        (Both("DELETE FROM jobs WHERE id = '$c'"), &["there are events of job $c, and no job"]),
        (
            Both(
                "INSERT INTO jobs SELECT '0198c5e0-0000-7000-8000-000000000001', title, customer,
                     address, region, timezone, start_utc, end_utc, status, cancellation_reason,
                     version, created_at, updated_at FROM jobs WHERE id = '$c'",
            ),
            &["job 0198c5e0-0000-7000-8000-000000000001 has no event"],
        ),
        (
            Sqlite("UPDATE jobs SET id = replace(id, '-', '+') WHERE id = '$c'"),
            &["its id is no UUID", "there are events of job $c, and no job"],
        ),
        (
            Both("UPDATE job_assignments SET is_live = TRUE WHERE job_id = '$a'"),
            &["to job $a is not of the job's window and life"],
        ),
        (
            WithoutConstraint(
                "job_assignments_do_not_overlap",
                "INSERT INTO job_assignments SELECT '$c', contractor_id, 0,
                     '2026-03-02T14:30:00.000Z', end_utc, TRUE
                 FROM job_assignments WHERE job_id = '$b'",
            ),
            &[
                "job $c is not as its last event, 8, says: contractors",
                "has jobs $b and $c at one time",
                "to job $c is not of the job's window and life",
            ],
        ),
        (
            Both(
                "INSERT INTO job_assignments SELECT '0198c5e0-0000-7000-8000-000000000001',
                     contractor_id, 0, start_utc, end_utc, FALSE
                 FROM job_assignments WHERE job_id = '$b'",
            ),
            &["to job 0198c5e0-0000-7000-8000-000000000001 is not of the job's window and life"],
        ),
    ];
    for (sql, expected) in corruptions {
        let (site, jobs) = scene();
        let mut database = site.database.open();
        let Some(statements) = sql.statements(&database) else {
            continue;
        };
        let named = |text: &str| {
            let names = ["$a", "$b", "$c"].into_iter().zip(jobs);
            names.fold(text.to_owned(), |text, (name, id)| text.replace(name, &id.to_string()))
        };
        database.run(&named(&statements));
        let report = verified(&site);
        for fault in expected.iter().map(|fault| named(fault)) {
            assert!(shown(&report).iter().any(|shown| shown.contains(&fault)), "{fault}\n{report}");
        }
        assert!(report.to_string().ends_with(if report.faults() == 1 {
            " fault"
        } else {
            "faults"
        }));
    }
}

#[test]
fn groups_that_are_no_texts_are_a_fault_and_keep_nothing_from_being_checked() {
    let expected = [
        "event 3: its payload says otherwise than its published_to",
        "a row says that event 3 was announced to dispatch/north, and it was not",
    ];
    let mut unseen = Vec::new();
    for groups in ["[null]", "[7]", "[[]]", r#"{"dispatch/north":null}"#, r#"["\u0000"]"#] {
        let (site, _) = scene();
        let statement =
            format!("UPDATE event_log SET published_to = '{groups}' WHERE sequence = 3");
        site.database.open().run(&statement);
        match verify(&site.store) {
            Ok(report) if expected.iter().all(|fault| shown(&report).contains(fault)) => {}
            Ok(report) => unseen.push(format!("{groups}: {report}")),
            Err(error) => unseen.push(format!("{groups}: {error}")),
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
}

#[test]
fn many_faults_are_counted_and_some_are_shown() {
    const EVENTS: u64 = PAGE_ROWS_MAX as u64 * 2 + 50;
    let site = Site::new();
    let job = site.job(hours(9, 10), &[]);
    for number in 1..EVENTS as i64 {
        site.accept(reschedule(job, hours(9, 11 + number % 2)));
    }
    assert_eq!(verified(&site).faults(), 0);
    // Some of them logged, so that pages end at different places in outbox and log.
    let first = site.store.jobs.outbox_after(0, 700).expect("the store works");
    site.store.log.append(&entries(first), true).expect("the log works");
    assert_eq!(verified(&site).faults(), 0);
    site.database.open().run(
        "UPDATE event_log SET actor_id = 'x'; UPDATE outbox SET actor_id = 'x';
         INSERT INTO event_log_groups
         WITH RECURSIVE number (n) AS (SELECT 2001 UNION ALL SELECT n + 1 FROM number WHERE n < 2100)
         SELECT 'dispatch/north', n FROM number",
    );
    let report = verified(&site);
    assert_eq!(report.faults(), EVENTS + 100, "{report}");
    assert!(report.to_string().contains("\nfault: 1030 more of this kind\n"), "{report}");
    assert!(report.to_string().contains("\nfault: 80 more of this kind\n"), "{report}");
}

#[test]
fn a_log_of_its_own_may_hold_what_the_outbox_still_has() {
    let site = Site::with_log(TestDatabase::new(), TestDatabase::new());
    let job = site.job(hours(9, 10), &[]);
    site.accept(reschedule(job, hours(10, 11)));
    let events = site.outbox();
    site.store.log.append(&entries(events), false).expect("the log works");
    assert_eq!(verified(&site).faults(), 0);
    let another = "UPDATE outbox SET event_id = '0198c5e0-0000-7000-8000-000000000001'
                   WHERE sequence = 2";
    site.database.open().run(another);
    let report = verified(&site);
    assert_eq!(shown(&report), ["event 2 is another one in the outbox than in the log"]);
}

/// Verifies again and again while jobs change, events are logged and, below a bound that
/// is this far behind the last event, forgotten.
fn verify_while_it_changes(site: &Site, moved: JobId, kept: Option<u64>) {
    const ROUNDS: usize = 20;
    let is_over = AtomicBool::new(false);
    let until_over = |act: &dyn Fn(i64)| {
        for number in (1..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
            act(number);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until_over(&|number| {
                let window = hours(14 + number % 2, 17);
                let new = create("north", hours(9, 10), &[]);
                site.commit(&[reschedule(moved, window), new]);
            });
        });
        scope.spawn(|| {
            until_over(&|_| {
                site.store.log.append(&entries(site.outbox()), true).expect("the log works");
                if let Some(kept) = kept {
                    let last = site.store.jobs.last_sequence().expect("the store works");
                    let (later, last) = (noon().saturating_add_millis(i64::MAX), last - kept);
                    site.store.log.trim(later, last, 50).expect("the log works");
                }
            });
        });
        let reports: Vec<_> = (0..ROUNDS).map(|_| verify(&site.store)).collect();
        is_over.store(true, Ordering::Relaxed);
        for report in reports {
            let report = report.expect("the databases can be read");
            assert_eq!(report.faults(), 0, "{report}");
        }
    });
}

/// The scene, with more jobs than a page has.
fn large_scene() -> (Site, JobId) {
    let (site, [_, b, _]) = scene();
    for _ in 0..3 {
        let batch: Vec<_> = (0..200).map(|_| create("north", hours(9, 10), &[])).collect();
        site.commit(&batch);
    }
    (site, b)
}

#[test]
fn what_changes_meanwhile_is_no_fault() {
    let (site, moved) = large_scene();
    verify_while_it_changes(&site, moved, None);
}

#[test]
fn what_is_cut_from_the_log_meanwhile_is_no_fault() {
    let (site, moved) = large_scene();
    verify_while_it_changes(&site, moved, Some(200));
    let report = verified(&site).to_string();
    assert!(report.contains("those before were cut from the log"), "{report}");
}

#[test]
fn databases_are_read_as_they_are_or_not_at_all() {
    let (jobs, log) = (TestDatabase::absent(), TestDatabase::absent());
    let alone = StoreConfig { migrate: true, ..config(&jobs) };
    let with_log = StoreConfig { event_log_database_url: Some(log.url()), ..alone.clone() };
    let refused = |config: &StoreConfig| open_read_only(config).err().expect("it is refused");
    for config in [&alone, &with_log] {
        let refusal = refused(config);
        assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
    }
    jobs.create();
    let site = Site::with_log(jobs, log);
    site.job(hours(9, 10), &[]);
    let log_is_missing = refused(&with_log);
    assert!(matches!(log_is_missing, StoreError::Unavailable(_)), "{log_is_missing:?}");
    let pending = refused(&alone);
    assert!(pending.to_string().contains("lacks the migrations"), "{pending}");
}

#[test]
fn what_is_opened_to_be_read_cannot_be_written() {
    let (site, _) = scene();
    let store = open_read_only(&config(&site.database)).expect("the store opens");
    assert_eq!(verify(&store).expect("it can be read").faults(), 0);
    let refused = store.jobs.clear_outbox(8);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let filter = EventFilter { limit: 10, ..EventFilter::default() };
    let events = store.events(&signalbox::jobs::Scope::All, &filter).expect("it can be read");
    assert_eq!(events.items.len(), 8);
    assert_eq!(site.outbox().len(), 4);
}
