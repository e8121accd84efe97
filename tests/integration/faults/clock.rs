//! The machine's clock is set, back and forth, while the time that only passes goes on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::scene::{Scene, fixed_address, random, serve};
use crate::support::database::TestDatabase;
use crate::support::program::Serve;
use signalbox::jobs::Timestamp;

#[test]
fn a_clock_that_jumps_leaves_sequence_and_deliveries_as_they_are() {
    let mut random = random();
    let clock = Clock::new();
    let (database, address) = (TestDatabase::new(), fixed_address());
    let program = clock.shown_to(serve(&database, &address)).start();
    let scene = Scene::start(&[address], &mut random);
    for hours in [0, -1, 0, 1, -1] {
        clock.set(hours);
        scene.load.wait_for_changes(200);
    }
    scene.finish(vec![program], &database, &database);
    check_times(&database);
}

/// The clock's steps show in the log, and no job's own story goes back in time.
fn check_times(database: &TestDatabase) {
    let mut last_of_job: HashMap<String, Timestamp> = HashMap::new();
    let mut times = Vec::new();
    for event in database.open().event_log() {
        let payload: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
        let text = payload["occurredAt"].as_str().expect("a time");
        let time = Timestamp::parse(text).expect("a time");
        let before = last_of_job.insert(event.job_id, time);
        assert!(before <= Some(time), "{payload}");
        times.push(time.millis());
    }
    let is_jump = |pair: &&[i64]| (pair[1] - pair[0]).abs() > 1_800_000;
    let jumps = times.windows(2).filter(is_jump).count();
    println!("the time of events jumped {jumps} times");
    assert!(jumps >= 4, "the clock was what was set");
}

/// A clock of one program, by libfaketime.
struct Clock {
    folder: TempDir,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { folder: TempDir::new().expect("a temporary folder") };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Sets it so many hours after the machine's, or before it.
    fn set(&self, hours: i64) {
        // In one step: the program may read it at any time.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{:+}", hours * 3600)).expect("the file is written");
        fs::rename(new, self.file()).expect("the file is replaced");
    }

    fn shown_to(&self, serve: Serve) -> Serve {
        serve
            // For the program alone: who sees it first owns what it keeps in /dev/shm, and
            // removes that at the end.
            .within(&["env", &format!("LD_PRELOAD={}", library().display())])
            .environment("FAKETIME_TIMESTAMP_FILE", &self.file().display().to_string())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .environment("DONT_FAKE_MONOTONIC", "1")
    }
}

/// Debian's place for it has the machine's name in it.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let mut paths = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| Path::exists(path)).expect("scripts/setup installs libfaketime")
}
