//! The hub described for clients: AsyncAPI 3, made from the types that methods take and
//! answer, and from the events.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::HUB_PATHS;
use super::presence::{Look, LookedAt, RegionPresence};
use super::renewal::Renewed;
use super::subscriptions::{Subscribed, Subscription, Unsubscription};
use crate::jobs::{
    AnyEvent, CancelRequest, ContractorId, EventType, Job, JobId, Region, RescheduleRequest,
};

const ABOUT: &str = "\
Everybody who may see a job sees every change live. The hub speaks SignalR's hub protocol, \
version 1 and 2, in JSON and MessagePack, over WebSockets, Server-Sent Events and long polling, \
with negotiation (`POST` to the path with `/negotiate`) or without. Any SignalR client works; \
what is described here are the messages that such a client sends and gets, as JSON has them.

A call that is refused is completed with an `error` whose text begins with a stable code: \
`forbidden: …`. Who is in which group is the server's to decide, by the token's claims, when a \
group is joined and for as long as the connection lives. A newer token is brought by \
`RenewToken`, or by `POST` to the path with `/refresh?id={connectionToken}`.";

const GROUP_DISPATCH: &str = "\
Everybody who follows a region: its dispatchers and admins, once they have joined with \
`JoinDispatchGroup` or `Subscribe`. A group is no address to connect to; its events come over \
the connection that joined, once even if it is in several of an event's groups.";

const GROUP_CONTRACTOR: &str = "\
Everybody who follows a contractor: the contractor, dispatchers of its region and admins, once \
they have joined with `JoinContractorGroup` or `Subscribe`.";

/// A method that clients call.
struct Method {
    name: &'static str,
    about: &'static str,
    /// The arguments, in order, as components by name.
    arguments: Vec<(&'static str, Value)>,
    result: Option<Value>,
    is_stream: bool,
}

/// The components that the document refers to.
#[derive(Default)]
struct Components(Map<String, Value>);

impl Components {
    /// A reference to the type, which becomes a component.
    fn refer<T: ToSchema>(&mut self) -> Value {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        for (name, schema) in schemas {
            self.0.insert(name, json!(schema));
        }
        reference(&T::name())
    }

    /// The same with the condition that HTTP has in a header.
    fn refer_with_condition<T: ToSchema>(&mut self) -> Value {
        self.refer::<T>();
        let name = format!("{}IfMatch", T::name());
        let mut schema = json!(T::schema());
        schema["properties"]["ifMatch"] = json!({
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "The version that the change is for; it is refused when the job has changed since.",
        });
        let reference = reference(&name);
        self.0.insert(name, schema);
        reference
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn method(
    name: &'static str,
    about: &'static str,
    arguments: Vec<(&'static str, Value)>,
) -> Method {
    Method { name, about, arguments, result: None, is_stream: false }
}

/// Every method of the hub; a test holds it to what can be called.
fn methods(components: &mut Components) -> Vec<Method> {
    let region = components.refer::<Region>();
    let contractor = components.refer::<ContractorId>();
    let subscription = components.refer::<Subscription>();
    let job_id = components.refer::<JobId>();
    let job = components.refer::<Job>();
    vec![
        method(
            "JoinDispatchGroup",
            "Follow a region: for its dispatchers, and admins.",
            vec![("region", region.clone())],
        ),
        method("LeaveDispatchGroup", "Follow a region no more.", vec![("region", region)]),
        method(
            "JoinContractorGroup",
            "Follow a contractor: for itself, dispatchers of its region, and admins.",
            vec![("contractorId", contractor.clone())],
        ),
        method(
            "LeaveContractorGroup",
            "Follow a contractor no more.",
            vec![("contractorId", contractor)],
        ),
        Method {
            result: Some(components.refer::<Subscribed>()),
            ..method(
                "Subscribe",
                "Follow all of these groups or none, and first get every event of them past `after`.",
                vec![("subscription", subscription.clone())],
            )
        },
        method(
            "Unsubscribe",
            "Follow these groups no more.",
            vec![("unsubscription", components.refer::<Unsubscription>())],
        ),
        Method {
            result: Some(components.refer::<AnyEvent>()),
            is_stream: true,
            ..method(
                "StreamEvents",
                "Get the events of these groups as a stream: those past `after`, then what happens.",
                vec![("subscription", subscription)],
            )
        },
        Method {
            result: Some(job.clone()),
            ..method(
                "RescheduleJob",
                "Move a job to another service window: for dispatchers of its region, and admins.",
                vec![
                    ("jobId", job_id.clone()),
                    ("change", components.refer_with_condition::<RescheduleRequest>()),
                ],
            )
        },
        Method {
            result: Some(job),
            ..method(
                "CancelJob",
                "Call a job off: for dispatchers of its region, and admins.",
                vec![
                    ("jobId", job_id),
                    ("change", components.refer_with_condition::<CancelRequest>()),
                ],
            )
        },
        Method {
            result: Some(components.refer::<Renewed>()),
            ..method(
                "RenewToken",
                "Bring a newer token of the same user, by which the connection goes on.",
                vec![("token", json!({ "type": "string" }))],
            )
        },
        Method {
            result: Some(components.refer::<LookedAt>()),
            ..method(
                "Look",
                "Say what the caller looks at, and be told who else does.",
                vec![("look", components.refer::<Look>())],
            )
        },
    ]
}

/// What the server calls clients with, beside the events: name, meaning, argument.
fn calls(components: &mut Components) -> Vec<(&'static str, &'static str, Value)> {
    let presence = components.refer::<RegionPresence>();
    vec![(
        super::presence::TARGET,
        "Who looks at a region, to those who do: called when it changes, if they called `Look`.",
        presence,
    )]
}

/// The hub, as AsyncAPI 3 in JSON.
#[must_use]
pub fn asyncapi() -> Value {
    let mut components = Components::default();
    let methods = methods(&mut components);
    let mut messages = Map::new();
    let mut operations = Map::new();
    for method in &methods {
        describe_method(method, &mut messages, &mut operations);
    }
    let event = |t: EventType| (t.as_str(), t.meaning(), reference(t.as_str()));
    let events = EventType::ALL.map(event);
    let calls = calls(&mut components);
    for (name, about, argument) in events.iter().chain(&calls) {
        messages.insert((*name).to_owned(), call(name, about, &[("event", argument.clone())]));
        operations.insert((*name).to_owned(), operation("send", name, about));
    }
    // OpenAPI has an object in its place.
    components.0["Event"]["discriminator"] = json!("type");
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:signalbox:hub",
        "info": {
            "title": "Signalbox hub",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels(&messages),
        "operations": operations,
        "components": {
            "schemas": components.0,
            "messages": messages,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "query": {
                    "type": "httpApiKey",
                    "in": "query",
                    "name": "access_token",
                    "description": "The same token, where a browser cannot set a header.",
                },
            },
        },
    })
}

/// The ways that a connection can take: one host, three transports.
fn servers() -> Value {
    let transport = |protocol: &str, text: &str| {
        let security = json!([
            { "$ref": "#/components/securitySchemes/bearer" },
            { "$ref": "#/components/securitySchemes/query" },
        ]);
        json!({
            "host": "{host}",
            "protocol": protocol,
            "description": text,
            "variables": { "host": { "default": "127.0.0.1:8080" } },
            "security": security,
        })
    };
    json!({
        "webSockets": transport("ws", "WebSockets; `wss` behind TLS. Both protocols."),
        "serverSentEvents": transport(
            "sse",
            "Server-Sent Events, with a POST for each message of the client. JSON alone.",
        ),
        "longPolling": transport("http", "Long polling. Both protocols."),
    })
}

/// The hub, where messages go, and the groups, which events are told to.
fn channels(messages: &Map<String, Value>) -> Value {
    let referred = |names: &mut dyn Iterator<Item = &String>| {
        let reference = |name: &String| {
            (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }))
        };
        names.map(reference).collect::<Map<String, Value>>()
    };
    let is_event = |name: &&String| EventType::parse(name).is_some();
    let events = referred(&mut messages.keys().filter(is_event));
    let [path, alias] = HUB_PATHS;
    json!({
        "hub": {
            "address": path,
            "title": "The hub",
            "description": format!("Also at `{alias}`."),
            "messages": referred(&mut messages.keys()),
        },
        "dispatchGroup": {
            "address": "dispatch/{region}",
            "title": "A region's group",
            "description": GROUP_DISPATCH,
            "parameters": { "region": { "description": "The region." } },
            "messages": events,
        },
        "contractorGroup": {
            "address": "contractor/{contractorId}",
            "title": "A contractor's group",
            "description": GROUP_CONTRACTOR,
            "parameters": { "contractorId": { "description": "The contractor." } },
            "messages": events,
        },
    })
}

fn describe_method(
    method: &Method,
    messages: &mut Map<String, Value>,
    operations: &mut Map<String, Value>,
) {
    let Method { name, about, arguments, result, is_stream } = method;
    let mut replies = vec![(format!("{name}Completed"), completion(name, result, *is_stream))];
    if let (Some(item), true) = (result, is_stream) {
        replies.push((format!("{name}Item"), stream_item(name, item)));
    }
    let mut operation = operation("receive", name, about);
    let references: Vec<Value> = replies
        .iter()
        .map(|(reply, _)| json!({ "$ref": format!("#/channels/hub/messages/{reply}") }))
        .collect();
    operation["reply"] = json!({
        "channel": { "$ref": "#/channels/hub" },
        "messages": references,
    });
    let kind = if *is_stream { STREAM_INVOCATION } else { INVOCATION };
    let mut asked = call_of(kind, name, about, arguments);
    asked["payload"]["properties"]["invocationId"] = json!({
        "type": "string",
        "description": "Names the call in its answers; without it there are none.",
    });
    messages.insert((*name).to_owned(), asked);
    messages.extend(replies);
    operations.insert((*name).to_owned(), operation);
}

fn operation(action: &str, name: &str, about: &str) -> Value {
    json!({
        "action": action,
        "channel": { "$ref": "#/channels/hub" },
        "summary": about,
        "messages": [{ "$ref": format!("#/channels/hub/messages/{name}") }],
    })
}

// The hub protocol's kinds of messages.
const INVOCATION: u8 = 1;
const STREAM_ITEM: u8 = 2;
const COMPLETION: u8 = 3;
const STREAM_INVOCATION: u8 = 4;

fn call(name: &str, about: &str, arguments: &[(&str, Value)]) -> Value {
    call_of(INVOCATION, name, about, arguments)
}

fn call_of(kind: u8, name: &str, about: &str, arguments: &[(&str, Value)]) -> Value {
    let schemas: Vec<&Value> = arguments.iter().map(|(_, schema)| schema).collect();
    let names: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
    json!({
        "name": name,
        "title": name,
        "summary": about,
        "payload": {
            "type": "object",
            "required": ["type", "target", "arguments"],
            "properties": {
                "type": { "const": kind },
                "target": { "const": name },
                "arguments": {
                    "type": "array",
                    "description": names.join(", "),
                    "items": schemas,
                    "minItems": schemas.len(),
                    "maxItems": schemas.len(),
                },
            },
        },
    })
}

fn completion(name: &str, result: &Option<Value>, is_stream: bool) -> Value {
    let mut properties = json!({
        "type": { "const": COMPLETION },
        "invocationId": { "type": "string" },
        "error": { "type": "string", "description": "Why it was refused: a code, and a text." },
    });
    let result = if is_stream { &None } else { result };
    properties["result"] = result.clone().unwrap_or_else(|| json!({ "type": "null" }));
    json!({
        "name": format!("{name}Completed"),
        "title": format!("{name} is completed"),
        "payload": {
            "type": "object",
            "required": ["type", "invocationId"],
            "properties": properties,
        },
    })
}

fn stream_item(name: &str, item: &Value) -> Value {
    json!({
        "name": format!("{name}Item"),
        "title": format!("An item of {name}"),
        "payload": {
            "type": "object",
            "required": ["type", "invocationId", "item"],
            "properties": {
                "type": { "const": STREAM_ITEM },
                "invocationId": { "type": "string" },
                "item": item,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::DispatchHub;
    use crate::signalr::Hub as _;

    #[test]
    fn every_method_is_described_and_nothing_else() {
        let described: Vec<&str> =
            methods(&mut Components::default()).iter().map(|method| method.name).collect();
        let mut sorted = described.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, DispatchHub::methods().names());
    }
}
