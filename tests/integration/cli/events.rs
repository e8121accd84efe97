use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{database, run};
use crate::store::site::{Site, assign, cancel, create, entries, hours, noon, reschedule};
use crate::support::PATIENCE;
use crate::support::database::TestDatabase;
use crate::support::program;
use signalbox::jobs::JobId;
use signalbox::store::PAGE_ROWS_MAX;

/// Two logged events and two that are not, of two jobs.
fn scene() -> (Site, JobId) {
    let site = Site::new();
    let ann = site.contractor();
    let job = site.job(hours(9, 10), &[]);
    site.job(hours(10, 11), &[]);
    site.store.log.append(&entries(site.outbox()), true).expect("the log works");
    site.accept(assign(job, &[ann]));
    site.accept(cancel(job, None));
    (site, job)
}

fn sequences(lines: &str) -> Vec<u64> {
    let sequence = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("a line is JSON");
        event["sequence"].as_u64().expect("a sequence")
    };
    lines.lines().map(sequence).collect()
}

#[test]
fn events_are_exported_as_they_were_sent() {
    let (site, _) = scene();
    let page = site.store.events(
        &signalbox::jobs::Scope::All,
        &signalbox::store::EventFilter { limit: 10, ..Default::default() },
    );
    let events = page.expect("the store works").items;
    let lines: String = events.iter().map(|event| format!("{}\n", event.payload)).collect();
    let said = "exported 4 events; resume with --after 4\n";
    assert_eq!(run(&site, &["events", "export"]), (Some(0), lines, said.to_owned()));
}

#[test]
fn an_export_is_resumed_where_the_last_one_ended() {
    let (site, _) = scene();
    let (_, first, said) = run(&site, &["events", "export"]);
    let after = said.rsplit(' ').next().expect("a number").trim().to_owned();
    let resume = ["events", "export", "--after", &after];
    let said = "exported 0 events; resume with --after 4\n";
    assert_eq!(run(&site, &resume), (Some(0), String::new(), said.to_owned()));
    // More than a page, so that an export is of several.
    let more: Vec<_> = (0..PAGE_ROWS_MAX + 1).map(|_| create("north", hours(9, 10), &[])).collect();
    site.commit(&more);
    let (code, second, said) = run(&site, &resume);
    assert_eq!((code, said.as_str()), (Some(0), "exported 501 events; resume with --after 505\n"));
    let both = sequences(&format!("{first}{second}"));
    assert_eq!(both, (1..=505).collect::<Vec<_>>());
}

#[test]
fn an_export_is_of_what_was_asked_for() {
    let (site, job) = scene();
    let job = job.to_string();
    for (flags, expected) in [
        (&["--after", "2"][..], &[3, 4][..]),
        (&["--type", "JobCreated"], &[1, 2]),
        (&["--job-id", &job], &[1, 3, 4]),
        (&["--job-id", &job, "--type", "JobAssigned"], &[3]),
        (&["--group", "dispatch/north", "--after", "3"], &[4]),
        (&["--group", "dispatch/south"], &[]),
    ] {
        let (code, output, said) = run(&site, &[&["events", "export"], flags].concat());
        assert_eq!((code, sequences(&output).as_slice()), (Some(0), expected), "{flags:?}");
        // Whatever was left out, the export was of all up to the last event.
        assert!(said.ends_with("resume with --after 4\n"), "{said}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let (site, _) = scene();
    for (flags, complaint) in [
        (&["--after", "5"][..], "--after 5 is past the last event, 4"),
        (&["--type", "JobMoved"], "the types are JobCreated, JobAssigned"),
        (&["--job-id", "7"], "invalid value '7'"),
    ] {
        for command in ["export", "tail"] {
            let (code, output, said) = run(&site, &[&["events", command], flags].concat());
            assert!(code.is_some_and(|code| code > 0) && output.is_empty(), "{flags:?}: {output}");
            assert!(said.contains(complaint), "{said}");
        }
    }
    let (absent, absent_file) = (TestDatabase::absent(), TestDatabase::sqlite());
    for url in [absent.url(), absent_file.url()] {
        for command in ["export", "tail"] {
            let (code, _, said) = program::run(["events", command, "--database-url", &url]);
            assert_eq!(code, Some(1), "{said}");
        }
    }
    assert!(!absent_file.file().exists());
}

#[test]
fn events_that_were_cut_from_the_log_are_missed_aloud() {
    let (site, _) = scene();
    site.store.log.trim(noon().saturating_add_millis(i64::MAX), 2, 1).expect("the log works");
    for (flags, expected, warning) in [
        (&[][..], &[2, 3, 4][..], "warning: the log no longer holds the events 1 to 1\n"),
        (&["--after", "0"], &[2, 3, 4], "warning: the log no longer holds the events 1 to 1\n"),
        (&["--after", "1"], &[2, 3, 4], ""),
    ] {
        let (code, output, said) = run(&site, &[&["events", "export"], flags].concat());
        assert_eq!((code, sequences(&output).as_slice()), (Some(0), expected), "{flags:?}");
        let count = expected.len();
        assert_eq!(said, format!("{warning}exported {count} events; resume with --after 4\n"));
    }
}

#[test]
fn an_export_whose_reader_has_enough_ends_quietly() {
    let site = Site::new();
    let job = site.job(hours(9, 10), &[]);
    // More than a pipe takes.
    for number in 0..300 {
        site.accept(reschedule(job, hours(9, 11 + number % 2)));
    }
    let mut child = start(&site, &["export"]);
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    output.read_line(&mut String::new()).expect("a line");
    drop(output);
    assert_eq!(program::wait(child), (Some(0), String::new(), String::new()));
}

fn start(site: &Site, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .arg("events")
        .args(arguments)
        .args(database(site))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// The sequences of a program's lines, as they come.
fn lines(output: ChildStdout) -> Receiver<u64> {
    let (found, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let line = line.expect("a line");
            // The test has seen enough if it no longer listens.
            let _ = found.send(sequences(&line)[0]);
        }
    });
    receiver
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(kill.expect("there is kill").success());
}

#[test]
fn a_tail_follows_what_is_committed_until_it_is_told_to_stop() {
    for name in ["-TERM", "-INT"] {
        let (site, job) = scene();
        let mut child = start(&site, &["tail", "--after", "1", "--job-id", &job.to_string()]);
        let found = lines(child.stdout.take().expect("a pipe"));
        let next = || found.recv_timeout(PATIENCE).expect("an event comes in time");
        assert_eq!([next(), next()], [3, 4]);
        let other = site.job(hours(9, 10), &[]);
        site.accept(reschedule(other, hours(10, 11)));
        signal(&child, name);
        assert_eq!(program::wait(child), (Some(0), String::new(), String::new()), "{name}");
        assert!(found.recv_timeout(PATIENCE).is_err(), "nothing of another job");
    }
}

#[test]
fn a_tail_begins_with_what_comes_next() {
    let (site, job) = scene();
    let mut child = start(&site, &["tail"]);
    let found = lines(child.stdout.take().expect("a pipe"));
    let since = Instant::now();
    // Nobody says when it has begun, so events come until it shows one.
    let mut sequence = loop {
        site.job(hours(9, 10), &[]);
        match found.recv_timeout(Duration::from_millis(50)) {
            Ok(sequence) => break sequence,
            Err(RecvTimeoutError::Timeout) => assert!(since.elapsed() < PATIENCE, "none is shown"),
            Err(RecvTimeoutError::Disconnected) => panic!("{:?}", program::wait(child)),
        }
    };
    assert!(sequence > 4, "{sequence} was there before");
    let last = site.store.jobs.last_sequence().expect("the store works");
    while sequence < last {
        let next = found.recv_timeout(PATIENCE).expect("an event comes in time");
        assert_eq!(next, sequence + 1);
        sequence = next;
    }
    assert_eq!(site.read(job).version, 3);
    signal(&child, "-TERM");
    assert_eq!(program::wait(child).0, Some(0));
}

#[test]
fn a_tail_whose_reader_has_enough_ends_quietly() {
    let (site, _) = scene();
    let mut child = start(&site, &["tail", "--after", "3"]);
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    output.read_line(&mut String::new()).expect("a line");
    drop(output);
    site.job(hours(9, 10), &[]);
    assert_eq!(program::wait(child), (Some(0), String::new(), String::new()));
}
