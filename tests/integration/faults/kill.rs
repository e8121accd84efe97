//! The program is killed again and again under load, on one database.

use super::scene::{Scene, fixed_address, random, rounds, serve};
use crate::support::database::TestDatabase;

#[test]
fn nothing_acknowledged_is_lost_when_the_program_is_killed() {
    let mut random = random();
    let (database, address) = (TestDatabase::new(), fixed_address());
    let serve = serve(&database, &address);
    let mut program = serve.start();
    let scene = Scene::start(&[address], &mut random);
    for _ in 0..rounds(6) {
        // Each time after another number of changes, and at another point of one.
        let changes = random.between(1, 250);
        scene.load.wait_for_changes(usize::try_from(changes).expect("few"));
        program.kill();
        program = serve.start();
    }
    scene.load.wait_for_changes(100);
    scene.finish(vec![program], &database, &database);
}
