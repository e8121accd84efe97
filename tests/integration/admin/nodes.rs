//! A user's connections on several nodes.

use serde_json::{Value, json};
use signalbox::pipeline::PipelineConfig;

use super::{CONNECTIONS, listed};
use crate::support::database::TestDatabase;
use crate::support::http_client::Api;
use crate::support::postgres::{Durability, Postgres};
use crate::support::raw_websocket::{RawSocket, Received};
use crate::support::redis::Redis;
use crate::support::site::{REGION, Site, SiteOptions, token_of};
use crate::support::until;

/// Two nodes on one PostgreSQL, with a Redis between them.
async fn nodes(postgres: &Postgres, redis: &Redis) -> [Site; 2] {
    let options = || {
        let redis_url = Some(redis.url());
        let pipeline = PipelineConfig { redis_url, ..SiteOptions::default().pipeline };
        SiteOptions { pipeline, ..SiteOptions::default() }
    };
    let first = Site::start_on(TestDatabase::on(postgres), options()).await;
    let second = first.beside(options()).await;
    [first, second]
}

async fn nora(site: &Site) -> RawSocket {
    RawSocket::connect(site, &token_of("nora", &["dispatcher"], &[REGION], None)).await
}

/// What an admin of this node is answered who closes the user's connections: how many
/// were here, who was told, and how many nodes took it.
async fn close_nora(site: &Site) -> (Value, Value, Value) {
    let path = format!("{CONNECTIONS}?user=nora");
    let mut body = Api::admin(site).call("DELETE", &path).send().await.body;
    (body["closed"].take(), body["reach"].take(), body["nodes"].take())
}

fn reached_all() -> (Value, Value, Value) {
    (json!(1), json!("allNodes"), json!(2))
}

fn reached_one() -> (Value, Value, Value) {
    (json!(1), json!("thisNode"), json!(1))
}

async fn are_linked(sites: &[Site; 2]) {
    for site in sites {
        until("the backplane is up", || async {
            let parts = Api::nobody(site).get("/readyz").send().await.body;
            parts["backplane"] == json!("up")
        })
        .await;
    }
}

#[actix_web::test]
async fn a_users_connections_are_closed_on_all_nodes_that_a_backplane_joins() {
    let (postgres, mut redis) = (Postgres::start(Durability::None), Redis::start());
    let sites = nodes(&postgres, &redis).await;
    are_linked(&sites).await;
    let sent_away = [Received::Message(json!({ "type": 7 })), Received::Close(1000)];

    // What a node of another version might say is passed over.
    for message in [&b"\x07nothing that is known"[..], b"\x02\x93broken", b"\x02", b""] {
        assert_eq!(redis.publish_everywhere(message), 1);
    }
    let (mut here, mut there) = (nora(&sites[0]).await, nora(&sites[1]).await);
    assert_eq!(close_nora(&sites[0]).await, reached_all());
    assert_eq!(here.rest().await, sent_away);
    assert_eq!(there.rest().await, sent_away);

    let (mut here, _there) = (nora(&sites[0]).await, nora(&sites[1]).await);
    redis.stop();
    assert_eq!(close_nora(&sites[0]).await, reached_one());
    assert_eq!(here.rest().await, sent_away);
    assert_eq!(listed(&sites[1], "?user=nora").await.items("id").len(), 1, "nobody told it");

    redis.start_again();
    are_linked(&sites).await;
    let _here = nora(&sites[0]).await;
    assert_eq!(close_nora(&sites[0]).await, reached_all());
    until("the other node has closed it", || async {
        listed(&sites[1], "?user=nora").await.items("id").is_empty()
    })
    .await;
}
