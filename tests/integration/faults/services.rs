//! PostgreSQL and Redis fail, and nodes beside one another.

use serde_json::json;

use super::scene::{Scene, fixed_address, random, rounds, serve};
use crate::support::database::TestDatabase;
use crate::support::postgres::{Durability, Postgres, Stop};
use crate::support::program::{Program, Serve};
use crate::support::redis::Redis;
use crate::support::site::{REGION, token};
use crate::support::wait_until;
use crate::support::websocket::HubClient;

/// PostgreSQL stops like this under load, and comes back, some times over.
fn postgres_comes_and_goes(how: &[Stop]) {
    let mut random = random();
    let mut postgres = Postgres::start(Durability::Full);
    let (database, address) = (TestDatabase::on(&postgres), fixed_address());
    let program = serve(&database, &address).start();
    let scene = Scene::start(&[address], &mut random);
    for how in how.iter().cycle().take(how.len() * rounds(2)) {
        let changes = random.between(50, 300);
        scene.load.wait_for_changes(usize::try_from(changes).expect("few"));
        postgres.stop(*how);
        scene.load.wait_for_refusals(20);
        postgres.start_again();
    }
    scene.load.wait_for_changes(200);
    scene.finish(vec![program], &database, &database);
}

#[test]
fn a_postgres_that_is_stopped_is_waited_for() {
    postgres_comes_and_goes(&[Stop::Fast, Stop::Immediate]);
}

#[test]
fn a_postgres_that_is_killed_keeps_what_was_acknowledged() {
    postgres_comes_and_goes(&[Stop::Kill]);
}

/// Nodes on one PostgreSQL, with or without a Redis between them.
struct Nodes {
    postgres: Postgres,
    database: TestDatabase,
    addresses: Vec<String>,
    serves: Vec<Serve>,
}

impl Nodes {
    fn new(count: usize, redis: Option<&Redis>) -> Self {
        let postgres = Postgres::start(Durability::Full);
        let database = TestDatabase::on(&postgres);
        let addresses: Vec<String> = (0..count).map(|_| fixed_address()).collect();
        let named = |(number, address): (usize, &String)| {
            let serve = serve(&database, address).flag("--node-id", &format!("node-{number}"));
            match redis {
                Some(redis) => serve.flag("--redis-url", &redis.url()),
                None => serve,
            }
        };
        let serves = addresses.iter().enumerate().map(named).collect();
        Self { postgres, database, addresses, serves }
    }

    fn start(&self) -> Vec<Program> {
        self.serves.iter().map(Serve::start).collect()
    }

    fn finish(self, scene: Scene, programs: Vec<Program>) {
        scene.finish(programs, &self.database, &self.database);
        drop(self.postgres);
    }
}

/// Two nodes, while something happens to the Redis between them.
fn redis_fails(fault: impl Fn(&mut Redis, &Scene)) {
    let mut random = random();
    let mut redis = Redis::start();
    let nodes = Nodes::new(2, Some(&redis));
    let programs = nodes.start();
    let scene = Scene::start(&nodes.addresses, &mut random);
    for _ in 0..rounds(2) {
        scene.load.wait_for_changes(200);
        wait_until_used(&redis);
        fault(&mut redis, &scene);
    }
    scene.load.wait_for_changes(200);
    wait_until_used(&redis);
    nodes.finish(scene, programs);
}

/// Waits until the nodes tell each other over it what they commit.
fn wait_until_used(redis: &Redis) {
    /// More than the signs of life of two nodes, while a test has patience.
    const MESSAGES: u64 = 200;
    let enough = redis.published() + MESSAGES;
    wait_until("the nodes tell each other", || redis.published() >= enough);
}

#[test]
fn a_redis_that_is_stopped_is_done_without() {
    redis_fails(|redis, scene| {
        redis.stop();
        scene.load.wait_for_changes(200);
        redis.start_again();
    });
}

#[test]
fn a_redis_that_is_killed_is_done_without() {
    redis_fails(|redis, scene| {
        redis.kill();
        scene.load.wait_for_changes(200);
        redis.start_again();
    });
}

#[test]
fn a_redis_that_answers_nothing_slows_no_command() {
    redis_fails(|redis, scene| {
        redis.pause();
        scene.load.wait_for_changes(400);
        redis.resume();
    });
}

/// One node after the other is killed under load; the others take over, and it comes back.
fn nodes_are_killed(count: usize, redis: Option<&Redis>) {
    let mut random = random();
    let nodes = Nodes::new(count, redis);
    let mut programs = nodes.start();
    let scene = Scene::start(&nodes.addresses, &mut random);
    for round in 0..rounds(4) {
        let node = round % count;
        let changes = random.between(50, 300);
        scene.load.wait_for_changes(usize::try_from(changes).expect("few"));
        programs.remove(node).kill();
        scene.load.wait_for_changes(100);
        programs.insert(node, nodes.serves[node].start());
    }
    scene.load.wait_for_changes(200);
    nodes.finish(scene, programs);
}

#[test]
fn one_of_two_nodes_is_killed_and_nothing_is_missed() {
    nodes_are_killed(2, None);
}

#[test]
fn one_of_three_nodes_with_a_redis_is_killed_and_nothing_is_missed() {
    nodes_are_killed(3, Some(&Redis::start()));
}

/// Whom a node's client is told to look at the region.
async fn await_people(client: &mut HubClient, expected: &[&str]) {
    loop {
        let message = client.next().await.expect("the connection stays open");
        let people = message["arguments"][0]["people"].as_array().map(Vec::as_slice);
        let ids = people.unwrap_or_default().iter().map(|person| person["id"].as_str());
        if message["target"] == "PresenceChanged" && ids.eq(expected.iter().map(|id| Some(*id))) {
            return;
        }
    }
}

#[actix_web::test]
async fn people_on_other_nodes_are_seen_until_their_node_is_killed() {
    let redis = Redis::start();
    let nodes = Nodes::new(2, Some(&redis));
    let mut programs = nodes.start();
    let [here, there] = [0, 1].map(|node| format!("http://{}/hub/dispatch", nodes.addresses[node]));
    let mut ann = HubClient::connect(&here, &token("admin", &[], None)).await;
    ann.invoke("Look", json!([{ "regions": [REGION] }])).await;
    let other = token("dispatcher", &[REGION], None);
    for is_killed in [false, true] {
        let mut ben = HubClient::connect(&there, &other).await;
        ben.invoke("Look", json!([{ "regions": [REGION] }])).await;
        await_people(&mut ann, &["admin-1", "dispatcher-1"]).await;
        await_people(&mut ben, &["admin-1", "dispatcher-1"]).await;
        if is_killed {
            programs.remove(1).kill();
        } else {
            drop(ben);
        }
        await_people(&mut ann, &["admin-1"]).await;
    }
}
