//! What admins see of connections, and how they end them.

mod closing;
mod connections;
mod nodes;

use serde_json::Value;

use crate::support::http_client::{Answer, Api};
use crate::support::site::Site;
use crate::support::until;

const CONNECTIONS: &str = "/api/admin/connections";

/// The list, as an admin gets it.
async fn listed(site: &Site, query: &str) -> Answer {
    let answer = Api::admin(site).get(&format!("{CONNECTIONS}{query}")).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The list once it has so many connections.
async fn listed_when(site: &Site, query: &str, count: usize) -> Answer {
    until(&format!("{count} connections are listed"), || async {
        listed(site, query).await.items("id").len() == count
    })
    .await;
    listed(site, query).await
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value} is a text"))
}
