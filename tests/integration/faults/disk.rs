//! The disk is full. SQLite only: a server's disk is the server's matter, and there the
//! program sees a database that refuses, as in any other outage.

use std::process::Command;

use super::scene::{Scene, fixed_address, random, serve};
use crate::support::database::TestDatabase;

/// Room for some hundred changes, and then no more.
const ROOM: &str = "--fsize=1500000:unlimited";

#[test]
fn a_full_disk_refuses_changes_until_there_is_room_again() {
    let mut random = random();
    let (database, address) = (TestDatabase::sqlite(), fixed_address());
    // A file that may not grow is what a process sees of a full disk; the signal that
    // comes with it would end the program, and no full disk sends one.
    let within = ["env", "--ignore-signal=XFSZ", "prlimit", ROOM];
    let program = serve(&database, &address).within(&within).start();
    let scene = Scene::start(&[address], &mut random);
    scene.load.wait_for_refusals(200);
    let process = program.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &process, "--fsize=unlimited"]).status();
    assert!(raised.is_ok_and(|status| status.success()), "there is room again");
    scene.load.wait_for_changes(300);
    scene.finish(vec![program], &database, &database);
}
