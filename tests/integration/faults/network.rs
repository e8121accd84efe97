//! Connections are cut at any byte, under writers as under those who follow.

use super::load::Load;
use super::proxy::CuttingProxy;
use super::scene::{Scene, WRITERS, fixed_address, random, region_groups, rounds, serve};
use super::subscriber::Subscriber;
use crate::support::database::TestDatabase;

#[test]
fn connections_that_are_cut_cost_nobody_an_event() {
    let mut random = random();
    let (database, address) = (TestDatabase::new(), fixed_address());
    let program = serve(&database, &address).start();
    let proxy = CuttingProxy::start(&address, random.fork());
    let through = [proxy.address.clone()];
    let load = Load::start(&through, WRITERS, &mut random);
    let contractor = format!("contractor/{}", load.contractors()[0]);
    let subscribers = vec![
        Subscriber::start(&through, &region_groups()),
        Subscriber::start(&through, &[contractor]),
        // This one is not cut, and sees what the others should.
        Subscriber::start(&[address], &region_groups()),
    ];
    let scene = Scene { load, subscribers };
    let enough = 60 * rounds(4);
    scene.load.go_on_until(|| {
        proxy.cuts() >= enough && scene.subscribers[0].connections() >= enough / 10
    });
    proxy.stop_cutting();
    println!("{} connections cut", proxy.cuts());
    scene.finish(vec![program], &database, &database);
}
