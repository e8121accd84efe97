//! The event log's database is gone for longer than the program's memory holds.

use super::scene::{Scene, fixed_address, random, serve};
use crate::support::database::TestDatabase;
use signalbox::pipeline::PipelineConfig;

/// Many share a commit, so that memory is soon full.
const WRITERS: usize = 48;

#[test]
fn a_log_that_is_gone_for_long_gets_all_that_it_missed() {
    let mut random = random();
    let (jobs, log) = (TestDatabase::new(), TestDatabase::new());
    let address = fixed_address();
    let serve = serve(&jobs, &address).flag("--event-log-database-url", &log.url());
    let program = serve.start();
    let scene = Scene::start_with(WRITERS, &[address], &mut random);
    scene.load.wait_for_changes(200);

    log.take_away();
    let held = PipelineConfig::default().log_queue_events_max;
    let mut database = jobs.open();
    let enough = i64::try_from(held).expect("few") + 500;
    scene.load.go_on_until(|| database.count("outbox") > enough);
    log.bring_back();
    scene.load.wait_for_changes(200);
    scene.finish(vec![program], &jobs, &log);
}
