//! Calls of the hub's methods: which are answered, how, and in which order.

use serde_json::{Value, json};
use signalbox::jobs::ContractorId;
use signalbox::signalr::HubOptions;

use super::{connect, done, failed, join};
use crate::support::raw_websocket::{RawSocket, invocation};
use crate::support::site::{REGION, Site, SiteOptions, token};

/// Calls a method, and answers its completion's error.
async fn error_of(socket: &mut RawSocket, target: &str, arguments: Value) -> Value {
    socket.send_text(&invocation("i", target, arguments)).await;
    socket.message().await["error"].take()
}

#[actix_web::test]
async fn methods_are_found_by_their_names_in_any_case() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    for target in ["JoinDispatchGroup", "joinDispatchGroup", "JOINDISPATCHGROUP"] {
        socket.send_text(&invocation(target, target, json!([REGION]))).await;
        assert_eq!(socket.message().await, done(target));
    }
}

#[actix_web::test]
async fn a_call_that_cannot_be_made_fails_in_the_reference_servers_words() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    let unbound = "Failed to invoke 'JoinDispatchGroup' due to an error on the server.";
    for (target, arguments, error) in [
        (
            "jump",
            json!([]),
            "Failed to invoke 'jump' due to an error on the server. HubException: Method does not \
             exist.",
        ),
        ("joinDispatchGroup", json!([]), unbound),
        ("JoinDispatchGroup", json!([REGION, 1]), unbound),
        ("JOINDISPATCHGROUP", json!([1]), unbound),
        ("JoinDispatchGroup", json!([null]), unbound),
    ] {
        socket.send_text(&invocation("i", target, arguments.clone())).await;
        assert_eq!(socket.message().await, failed("i", error), "{target} {arguments}");
    }
    socket.send_text(&join("i")).await;
    assert_eq!(socket.message().await, done("i"), "the connection stays");
}

#[actix_web::test]
async fn details_of_failures_are_shown_where_it_is_set() {
    let hub = HubOptions { detailed_errors: true, ..HubOptions::default() };
    let site = Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await;
    let mut socket = connect(&site).await;
    let base = "Failed to invoke 'JoinDispatchGroup' due to an error on the server. \
                InvalidDataException:";
    let count = format!("{base} Invocation provides 2 argument(s) but target expects 1.");
    assert_eq!(error_of(&mut socket, "JoinDispatchGroup", json!([1, 2])).await, count);
    let kind = format!(
        "{base} Error binding arguments. Make sure that the types of the provided values match \
         the types of the hub method being invoked."
    );
    assert_eq!(error_of(&mut socket, "JoinDispatchGroup", json!([1])).await, kind);
}

#[actix_web::test]
async fn a_plain_method_is_not_streamed() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    for (target, error) in [
        (
            "joindispatchgroup",
            "The client attempted to invoke the non-streaming 'JoinDispatchGroup' method with a \
             streaming invocation.",
        ),
        (
            "jump",
            "Failed to invoke 'jump' due to an error on the server. HubException: Method does not \
             exist.",
        ),
    ] {
        let call =
            json!({ "type": 4, "invocationId": "s", "target": target, "arguments": [REGION] });
        socket.send_text(&format!("{call}\u{1e}")).await;
        assert_eq!(socket.message().await, failed("s", error));
    }
}

#[actix_web::test]
async fn a_call_that_asks_for_no_answer_gets_none() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    for (target, id) in [
        ("JoinDispatchGroup", None),
        ("JoinDispatchGroup", Some("")),
        ("Nope", None),
        ("LeaveDispatchGroup", Some("")),
    ] {
        let mut call = json!({ "type": 1, "target": target, "arguments": [REGION] });
        if let Some(id) = id {
            call["invocationId"] = json!(id);
        }
        socket.send_text(&format!("{call}\u{1e}{}", join("next"))).await;
        assert_eq!(socket.message().await, done("next"), "after {call}");
    }
}

#[actix_web::test]
async fn calls_are_answered_in_the_order_in_which_they_came() {
    let site = Site::start().await;
    let contractor = site.contractor().await;
    let mut socket = connect(&site).await;
    let ids: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    // Every second one has to ask the database, and would be overtaken.
    let calls = ids.iter().enumerate().map(|(number, id)| match number % 2 {
        0 => invocation(id, "JoinContractorGroup", json!([contractor])),
        _ => join(id),
    });
    socket.send_text(&calls.collect::<String>()).await;
    for id in &ids {
        assert_eq!(socket.message().await, done(id));
    }
}

#[actix_web::test]
async fn everybody_may_follow_the_own_and_nothing_else() {
    let site = Site::start().await;
    let (ada, eve) = (site.contractor().await, site.contractor().await);
    let groups = [
        ("JoinDispatchGroup", json!([REGION])),
        ("JoinDispatchGroup", json!(["south"])),
        ("JoinContractorGroup", json!([ada])),
        ("JoinContractorGroup", json!([eve])),
        ("JoinContractorGroup", json!([ContractorId::fresh()])),
    ];
    for (role, regions, may_follow) in [
        ("dispatcher", &[REGION][..], [true, false, true, true, false]),
        ("dispatcher", &["south"], [false, true, false, false, false]),
        ("contractor", &[REGION], [false, false, true, false, false]),
        ("admin", &[], [true, true, true, true, false]),
        ("viewer", &["*"], [false; 5]),
    ] {
        let mut socket = RawSocket::connect(&site, &token(role, regions, Some(ada))).await;
        for ((target, group), may) in groups.iter().zip(may_follow) {
            let error = error_of(&mut socket, target, group.clone()).await;
            let is_refused = error.as_str().is_some_and(|text| text.starts_with("forbidden: "));
            assert_eq!((error.is_null(), is_refused), (may, !may), "{role} {target} {group}");
        }
    }
}

#[actix_web::test]
async fn a_connection_in_several_groups_of_an_event_gets_it_once_and_after_leaving_no_more() {
    let site = Site::start().await;
    let contractor = site.contractor().await;
    let mut socket = connect(&site).await;
    socket.send_text(&join("1")).await;
    socket.send_text(&invocation("2", "JoinContractorGroup", json!([contractor]))).await;
    assert_eq!((socket.message().await, socket.message().await), (done("1"), done("2")));

    site.job(0, Some(contractor)).await;
    let event = socket.message().await;
    assert_eq!(
        (&event["target"], &event["arguments"][0]["sequence"]),
        (&json!("JobCreated"), &json!(1))
    );
    socket.send_text(&invocation("3", "LeaveDispatchGroup", json!([REGION]))).await;
    assert_eq!(socket.message().await, done("3"), "the event came once");
    site.job(1, None).await;
    site.job(2, Some(contractor)).await;
    assert_eq!(socket.message().await["arguments"][0]["sequence"], 3);
}

#[actix_web::test]
async fn a_connection_joins_no_more_groups_than_it_may() {
    let hub = HubOptions { groups_per_connection_max: 2, ..HubOptions::default() };
    let site = Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await;
    let mut socket = RawSocket::connect(&site, &token("admin", &[], None)).await;
    let full = "too_many_groups: a connection may be in 2 groups at a time";
    for (target, region, error) in [
        ("JoinDispatchGroup", "a", None),
        ("JoinDispatchGroup", "b", None),
        ("JoinDispatchGroup", "c", Some(full)),
        ("JoinDispatchGroup", "b", None),
        ("LeaveDispatchGroup", "c", None),
        ("JoinDispatchGroup", "c", Some(full)),
        ("LeaveDispatchGroup", "a", None),
        ("JoinDispatchGroup", "c", None),
    ] {
        let found = error_of(&mut socket, target, json!([region])).await;
        assert_eq!(found.as_str(), error, "{target} {region}");
    }
}
