//! A hub whose methods exercise everything that a client can ask of a server.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::HttpRequest;
use futures_util::future::LocalBoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use rmpv::Value;
use serde::{Deserialize, Serialize, Serializer};
use signalbox::signalr::{
    Audience, Blob, Guid, Hub, HubCaller, HubError, Methods, RenewalError, UploadStream, UtcTime,
};
use tokio_util::sync::CancellationToken;

use crate::endpoints::query_value;
use crate::state::TestState;

pub struct TestHub {
    state: Arc<TestState>,
}

/// What is kept of the request that a connection began with, and what later ones renew.
#[derive(Clone)]
pub struct Visitor {
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
    connected: Option<String>,
    is_test_user: bool,
    /// Of the newest request that brought credentials: the part that stands for rights.
    note: Option<String>,
}

/// With the same rights.
impl PartialEq for Visitor {
    fn eq(&self, other: &Self) -> bool {
        (self.is_test_user, &self.note) == (other.is_test_user, &other.note)
    }
}

impl Visitor {
    pub fn of(request: &HttpRequest, user_id: Option<&str>) -> Self {
        let query = actix_web::web::Query::from_query(request.query_string());
        let headers = request.headers().iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let headers: Vec<(String, String)> = headers.collect();
        let note = find(&headers, "x-note");
        let cookies = find(&headers, "cookie").unwrap_or_default();
        let cookies = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let cookies = cookies.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            path: request.path().to_owned(),
            query: query.map(actix_web::web::Query::into_inner).unwrap_or_default(),
            headers,
            cookies,
            connected: query_value(request, "connected"),
            is_test_user: user_id == Some("testuser"),
            note,
        }
    }
}

fn find(pairs: &[(String, String)], name: &str) -> Option<String> {
    let found = pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone())
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ComplexObject {
    string: String,
    int_array: Vec<i64>,
    byte_array: Blob,
    guid: Guid,
    date_time: UtcTime,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomObject {
    name: String,
    value: i64,
}

/// Something that no protocol can write.
struct Unserializable;

impl Serialize for Unserializable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it cannot be written"))
    }
}

type Caller = HubCaller<TestHub>;
type Answer<T> = Result<T, HubError>;

fn invalid_operation(text: impl Into<String>) -> HubError {
    HubError::Failed { kind: "InvalidOperationException".to_owned(), text: text.into() }
}

impl TestHub {
    pub fn new(state: Arc<TestState>) -> Self {
        Self { state }
    }

    async fn echo(self: Rc<Self>, _: Caller, (message,): (String,)) -> Answer<String> {
        Ok(message)
    }

    async fn echo_complex(
        self: Rc<Self>,
        _: Caller,
        (object,): (ComplexObject,),
    ) -> Answer<ComplexObject> {
        Ok(object)
    }

    async fn send_complex(self: Rc<Self>, _: Caller, (): ()) -> Answer<ComplexObject> {
        let guid =
            "00010203-0405-0607-0706-050403020100".parse().map_err(|_| HubError::failed("guid"))?;
        let date = "2000-01-01T00:00:00Z".parse().map_err(|_| HubError::failed("date"))?;
        Ok(ComplexObject {
            string: "hello world".to_owned(),
            int_array: vec![1, 2, 3],
            byte_array: Blob(vec![1, 2, 3]),
            guid: Guid(guid),
            date_time: UtcTime(date),
        })
    }

    async fn send_custom(self: Rc<Self>, caller: Caller, (object,): (CustomObject,)) -> Answer<()> {
        caller.send("CustomObject", (object,)).await
    }

    async fn invoke_with_string(self: Rc<Self>, caller: Caller, (text,): (String,)) -> Answer<()> {
        caller.send("Message", (text,)).await
    }

    async fn throw(self: Rc<Self>, _: Caller, (text,): (String,)) -> Answer<()> {
        Err(invalid_operation(text))
    }

    async fn throw_named(self: Rc<Self>, _: Caller, (kind, text): (String, String)) -> Answer<()> {
        Err(match kind.as_str() {
            "HubException" => HubError::Exception(text),
            _ => HubError::Failed { kind, text },
        })
    }

    async fn null_result(self: Rc<Self>, _: Caller, (): ()) -> Answer<Option<String>> {
        Ok(None)
    }

    async fn void_result(self: Rc<Self>, _: Caller, (): ()) -> Answer<()> {
        Ok(())
    }

    async fn unserializable(self: Rc<Self>, _: Caller, (): ()) -> Answer<Unserializable> {
        Ok(Unserializable)
    }

    async fn letters(
        self: Rc<Self>,
        _: Caller,
        (): (),
    ) -> Answer<impl Stream<Item = Answer<&'static str>>> {
        Ok(stream::iter(["a", "b", "c"].map(Ok)))
    }

    async fn empty_stream(
        self: Rc<Self>,
        _: Caller,
        (): (),
    ) -> Answer<impl Stream<Item = Answer<i64>>> {
        Ok(stream::empty())
    }

    async fn stream_throw(
        self: Rc<Self>,
        _: Caller,
        (text,): (String,),
    ) -> Answer<stream::Empty<Answer<String>>> {
        Err(invalid_operation(text))
    }

    async fn stream_fail_midway(
        self: Rc<Self>,
        _: Caller,
        (count, text): (u64, String),
    ) -> Answer<impl Stream<Item = Answer<u64>>> {
        let failure = stream::once(async { Err(invalid_operation(text)) });
        Ok(stream::iter((0..count).map(Ok)).chain(failure))
    }

    async fn counter(
        self: Rc<Self>,
        _: Caller,
        (count, delay_ms): (u64, u64),
    ) -> Answer<impl Stream<Item = Answer<u64>>> {
        Ok(stream::iter(0..count).then(move |number| async move {
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            Ok(number)
        }))
    }

    async fn infinite_stream(
        self: Rc<Self>,
        caller: Caller,
        (): (),
    ) -> Answer<impl Stream<Item = Answer<String>>> {
        let cancelled = caller.cancelled();
        actix_web::rt::spawn(async move {
            cancelled.cancelled().await;
            // Its connection may be what has ended.
            let _ = caller.send("StreamCanceled", ()).await;
        });
        Ok(stream::pending())
    }

    async fn concat(
        self: Rc<Self>,
        _: Caller,
        (items,): (UploadStream<String>,),
    ) -> Answer<String> {
        joined(items).await
    }

    async fn concat_two(
        self: Rc<Self>,
        _: Caller,
        (prefix, first, second): (String, UploadStream<String>, UploadStream<String>),
    ) -> Answer<String> {
        let first = joined(first).await?;
        Ok(format!("{prefix}:{first}|{}", joined(second).await?))
    }

    async fn stream_echo(
        self: Rc<Self>,
        _: Caller,
        (items,): (UploadStream<Value>,),
    ) -> Answer<impl Stream<Item = Answer<Value>>> {
        Ok(items)
    }

    async fn count_after(
        self: Rc<Self>,
        _: Caller,
        (gate, mut items): (String, UploadStream<Value>),
    ) -> Answer<u64> {
        self.state.wait_for(&gate).await;
        let mut count = 0;
        while let Some(item) = items.next().await {
            item?;
            count += 1;
        }
        Ok(count)
    }

    async fn wait(self: Rc<Self>, _: Caller, (gate,): (String,)) -> Answer<String> {
        self.state.wait_for(&gate).await;
        Ok(gate)
    }

    async fn release_stream(
        self: Rc<Self>,
        _: Caller,
        (gate,): (String,),
    ) -> Answer<impl Stream<Item = Answer<&'static str>>> {
        self.state.release(&gate);
        Ok(stream::iter([Ok("released")]))
    }

    async fn transport_name(self: Rc<Self>, caller: Caller, (): ()) -> Answer<&'static str> {
        Ok(caller.transport().name())
    }

    async fn connection_id(self: Rc<Self>, caller: Caller, (): ()) -> Answer<String> {
        Ok(caller.connection_id().to_string())
    }

    async fn user_identifier(self: Rc<Self>, caller: Caller, (): ()) -> Answer<Option<String>> {
        Ok(caller.user_id().map(str::to_owned))
    }

    /// What stands for the caller's rights, as they are now.
    async fn note(self: Rc<Self>, caller: Caller, (): ()) -> Answer<Option<String>> {
        Ok(caller.user().note.clone())
    }

    async fn header(self: Rc<Self>, caller: Caller, (name,): (String,)) -> Answer<Option<String>> {
        Ok(find(&caller.user().headers, &name))
    }

    async fn content_type(self: Rc<Self>, caller: Caller, (): ()) -> Answer<Option<String>> {
        Ok(find(&caller.user().headers, "content-type"))
    }

    async fn cookie(self: Rc<Self>, caller: Caller, (name,): (String,)) -> Answer<Option<String>> {
        Ok(find(&caller.user().cookies, &name))
    }

    async fn query(self: Rc<Self>, caller: Caller, (name,): (String,)) -> Answer<Option<String>> {
        Ok(find(&caller.user().query, &name))
    }

    async fn redirects(self: Rc<Self>, caller: Caller, (): ()) -> Answer<u64> {
        let number = find(&caller.user().query, "numRedirects");
        number.and_then(|n| n.parse().ok()).ok_or_else(|| invalid_operation("no such number"))
    }

    async fn join(self: Rc<Self>, caller: Caller, (group,): (String,)) -> Answer<()> {
        caller.join(&group)
    }

    async fn leave(self: Rc<Self>, caller: Caller, (group,): (String,)) -> Answer<()> {
        caller.leave(&group);
        Ok(())
    }

    async fn add_to_group(
        self: Rc<Self>,
        caller: Caller,
        (id, group): (String, String),
    ) -> Answer<()> {
        caller.hub().join(&id, &group).await
    }

    async fn remove_from_group(
        self: Rc<Self>,
        caller: Caller,
        (id, group): (String, String),
    ) -> Answer<()> {
        caller.hub().leave(&id, &group).await;
        Ok(())
    }

    async fn ask_caller(self: Rc<Self>, caller: Caller, (value,): (Value,)) -> Answer<Value> {
        caller.invoke("Answer", (value,)).await
    }

    async fn ask_caller_int(self: Rc<Self>, caller: Caller, (): ()) -> Answer<i64> {
        caller.invoke("AnswerInt", ()).await
    }

    async fn ask_connection(
        self: Rc<Self>,
        caller: Caller,
        (id, value): (String, Value),
    ) -> Answer<Value> {
        caller.hub().invoke(&id, "Answer", (value,)).await
    }

    async fn ask_and_cancel(self: Rc<Self>, caller: Caller, (delay_ms,): (u64,)) -> Answer<String> {
        let cancellation = CancellationToken::new();
        let asking = caller.invoke_until::<Value>(&cancellation, "Never", ());
        let cancelling = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            cancellation.cancel();
        };
        match futures_util::join!(asking, cancelling).0 {
            Ok(value) => Ok(value.to_string()),
            Err(error) => Ok(error.text().to_owned()),
        }
    }

    async fn abort(self: Rc<Self>, caller: Caller, (): ()) -> Answer<()> {
        caller.abort();
        Ok(())
    }

    async fn authorized_only(self: Rc<Self>, _: Caller, (): ()) -> Answer<&'static str> {
        Ok("ok")
    }

    async fn number(self: Rc<Self>, caller: Caller, (number,): (i64,)) -> Answer<()> {
        self.state.remember_number(&caller.connection_id(), number);
        Ok(())
    }

    async fn numbers(self: Rc<Self>, caller: Caller, (): ()) -> Answer<Vec<i64>> {
        Ok(self.state.numbers(&caller.connection_id()))
    }
}

async fn joined(mut items: UploadStream<String>) -> Answer<String> {
    let mut all = String::new();
    while let Some(item) = items.next().await {
        all.push_str(&item?);
    }
    Ok(all)
}

/// Calls the client method `Send` on an audience.
fn send_to(caller: &Caller, audience: Audience, message: String) -> Ready<Answer<()>> {
    ready(caller.publish(audience, "Send", (message,)))
}

/// One method for every way of addressing.
fn sending_methods(methods: Methods<TestHub>) -> Methods<TestHub> {
    type Ids = Vec<String>;
    fn own(caller: &Caller) -> Ids {
        vec![caller.connection_id().to_string()]
    }
    methods
        .method("SendToAll", |_, c, (m,): (String,)| send_to(&c, Audience::All, m))
        .method("SendToAllExcept", |_, c, (ids, m): (Ids, String)| {
            send_to(&c, Audience::AllExcept(ids), m)
        })
        .method("SendToCaller", |_, c, (m,): (String,)| {
            send_to(&c, Audience::Connections(own(&c)), m)
        })
        .method("SendToOthers", |_, c, (m,): (String,)| {
            send_to(&c, Audience::AllExcept(own(&c)), m)
        })
        .method("SendToConnection", |_, c, (id, m): (String, String)| {
            send_to(&c, Audience::connection(id), m)
        })
        .method("SendToConnections", |_, c, (ids, m): (Ids, String)| {
            send_to(&c, Audience::Connections(ids), m)
        })
        .method("SendToGroup", |_, c, (group, m): (String, String)| {
            send_to(&c, Audience::group(group), m)
        })
        .method("SendToGroups", |_, c, (groups, m): (Ids, String)| {
            send_to(&c, Audience::Groups(groups), m)
        })
        .method("SendToGroupExcept", |_, c, (group, ids, m): (String, Ids, String)| {
            send_to(&c, Audience::GroupExcept(group, ids), m)
        })
        .method("SendToOthersInGroup", |_, c, (group, m): (String, String)| {
            send_to(&c, Audience::GroupExcept(group, own(&c)), m)
        })
        .method("SendToUser", |_, c, (id, m): (String, String)| send_to(&c, Audience::user(id), m))
        .method("SendToUsers", |_, c, (ids, m): (Ids, String)| send_to(&c, Audience::Users(ids), m))
}

impl Hub for TestHub {
    type User = Visitor;

    fn methods() -> Methods<Self> {
        let methods = Methods::new()
            .method("Echo", Self::echo)
            .method("EchoComplexObject", Self::echo_complex)
            .method("SendComplexObject", Self::send_complex)
            .method("SendCustomObject", Self::send_custom)
            .method("InvokeWithString", Self::invoke_with_string)
            .method("ThrowException", Self::throw)
            .method("ThrowNamed", Self::throw_named)
            .method("NullResult", Self::null_result)
            .method("VoidResult", Self::void_result)
            .method("Unserializable", Self::unserializable)
            .stream_method("Stream", Self::letters)
            .stream_method("EmptyStream", Self::empty_stream)
            .stream_method("StreamThrowException", Self::stream_throw)
            .stream_method("StreamFailMidway", Self::stream_fail_midway)
            .stream_method("Counter", Self::counter)
            .stream_method("InfiniteStream", Self::infinite_stream)
            .method("StreamingConcat", Self::concat)
            .method("StreamingConcatTwo", Self::concat_two)
            .stream_method("StreamEcho", Self::stream_echo)
            .method("StreamingCountAfter", Self::count_after)
            .method("Wait", Self::wait)
            .stream_method("ReleaseStream", Self::release_stream)
            .method("GetActiveTransportName", Self::transport_name)
            .method("GetCallerConnectionId", Self::connection_id)
            .method("GetUserIdentifier", Self::user_identifier)
            .method("GetNote", Self::note)
            .method("GetHeader", Self::header)
            .method("GetContentTypeHeader", Self::content_type)
            .method("GetCookie", Self::cookie)
            .method("GetQuery", Self::query)
            .method("GetNumRedirects", Self::redirects)
            .method("JoinGroup", Self::join)
            .method("LeaveGroup", Self::leave)
            .method("AddToGroup", Self::add_to_group)
            .method("RemoveFromGroup", Self::remove_from_group)
            .method("AskCaller", Self::ask_caller)
            .method("AskCallerInt", Self::ask_caller_int)
            .method("AskConnection", Self::ask_connection)
            .method("AskAndCancel", Self::ask_and_cancel)
            .method("Abort", Self::abort)
            .method("AuthorizedOnly", Self::authorized_only)
            .authorize("AuthorizedOnly", |visitor| visitor.is_test_user)
            .method("Number", Self::number)
            .method("Numbers", Self::numbers);
        sending_methods(methods)
    }

    fn connected(self: Rc<Self>, caller: Caller) -> LocalBoxFuture<'static, Answer<()>> {
        Box::pin(async move {
            if caller.user().path.starts_with("/uncreatable") {
                return Err(invalid_operation("this hub cannot be created"));
            }
            match caller.user().connected.as_deref() {
                Some("fail") => return Err(invalid_operation("no entry")),
                Some("message") => caller.send("ConnectedHook", ("hello",)).await?,
                Some("ask") => {
                    let answer = caller.invoke::<Value>("Answer", (1,)).await;
                    let text = answer.map_or_else(|e| e.text().to_owned(), |v| v.to_string());
                    caller.send("ConnectedHook", (text,)).await?;
                }
                Some(_) | None => {}
            }
            self.state.change_hooks(&caller.connection_id(), |log| log.connected += 1);
            Ok(())
        })
    }

    /// Of a later request, the rights alone count. It can be made to refuse, and to wait.
    fn renew(
        self: Rc<Self>,
        caller: Caller,
        user: Visitor,
        expires_at: Option<SystemTime>,
    ) -> LocalBoxFuture<'static, Result<(), RenewalError>> {
        Box::pin(async move {
            match user.note.as_deref() {
                Some("refuse") => return Err(RenewalError::Rejected),
                Some("cannot tell") => return Err(RenewalError::Unavailable),
                Some("panic") => panic!("the renew hook was asked to panic"),
                Some(_) | None => {}
            }
            let former = caller.user();
            let user = Visitor { note: user.note, ..Visitor::clone(&former) };
            caller.renew(user, expires_at);
            Ok(())
        })
    }

    fn disconnected(
        self: Rc<Self>,
        caller: Caller,
        failure: Option<String>,
    ) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            let id = caller.connection_id();
            self.state.forget_numbers(&id);
            self.state.change_hooks(&id, |log| {
                log.disconnected += 1;
                log.failure = failure;
            });
        })
    }
}
