//! The JSON hub protocol: one object per record, properties in any order.

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, BytesMut};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{CompletionOutcome, HubMessage, Payload, ProtocolError, ProtocolKind, missing};

/// The properties of a record, unread: what a property must be depends on the
/// type, which clients may write last. Of a repeated property the last counts.
#[derive(Default)]
struct Record<'a> {
    kind: Option<&'a RawValue>,
    invocation_id: Option<&'a RawValue>,
    target: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
    stream_ids: Option<&'a RawValue>,
    item: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    allow_reconnect: Option<&'a RawValue>,
    sequence_id: Option<&'a RawValue>,
}

/// The message of one record; none for a type that is not known.
pub(super) fn decode(record: &[u8]) -> Result<Option<HubMessage>, ProtocolError> {
    check_depth(record)?;
    let record: Record<'_> = serde_json::from_slice(record)
        .map_err(|error| ProtocolError::InvalidData(format!("Error reading JSON: {error}.")))?;
    let kind: i64 = required(record.kind, "type")?;
    let message = match kind {
        1 => HubMessage::Invocation {
            invocation_id: optional(record.invocation_id, "invocationId")?
                .filter(|id: &String| !id.is_empty()),
            target: required(record.target, "target")?,
            arguments: arguments(record.arguments)?,
            stream_ids: optional(record.stream_ids, "streamIds")?.unwrap_or_default(),
        },
        2 => HubMessage::StreamItem {
            invocation_id: required(record.invocation_id, "invocationId")?,
            item: payload(record.item.ok_or_else(|| missing("item"))?),
        },
        3 => HubMessage::Completion {
            invocation_id: required(record.invocation_id, "invocationId")?,
            outcome: outcome(record.result, optional(record.error, "error")?)?,
        },
        4 => HubMessage::StreamInvocation {
            invocation_id: required(record.invocation_id, "invocationId")?,
            target: required(record.target, "target")?,
            arguments: arguments(record.arguments)?,
            stream_ids: optional(record.stream_ids, "streamIds")?.unwrap_or_default(),
        },
        5 => HubMessage::CancelInvocation {
            invocation_id: required(record.invocation_id, "invocationId")?,
        },
        6 => HubMessage::Ping,
        7 => HubMessage::Close {
            error: optional(record.error, "error")?.filter(|text: &String| !text.is_empty()),
            allow_reconnect: optional(record.allow_reconnect, "allowReconnect")?.unwrap_or(false),
        },
        8 => HubMessage::Ack { sequence_id: required(record.sequence_id, "sequenceId")? },
        9 => HubMessage::Sequence { sequence_id: required(record.sequence_id, "sequenceId")? },
        _ => return Ok(None),
    };
    Ok(Some(message))
}

/// Objects and arrays within each other, the message's own included; the reference
/// server's bound.
const DEPTH_MAX: usize = 64;

fn check_depth(record: &[u8]) -> Result<(), ProtocolError> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in record {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            let text = format!("The maximum configured depth of {DEPTH_MAX} has been exceeded.");
            return Err(ProtocolError::InvalidData(text));
        }
    }
    Ok(())
}

/// A client of the Swift kind writes `"result":null` beside an error: that is an
/// error. A result that is not null beside one is a protocol error.
fn outcome(
    result: Option<&RawValue>,
    error: Option<String>,
) -> Result<CompletionOutcome, ProtocolError> {
    match (result, error) {
        (Some(result), Some(_)) if result.get() != "null" => Err(ProtocolError::InvalidData(
            "The 'error' and 'result' properties are mutually exclusive.".to_owned(),
        )),
        (_, Some(error)) => Ok(CompletionOutcome::Error(error)),
        (Some(result), None) => Ok(CompletionOutcome::Value(payload(result))),
        (None, None) => Ok(CompletionOutcome::Void),
    }
}

fn arguments(property: Option<&RawValue>) -> Result<Vec<Payload>, ProtocolError> {
    let values: Vec<Box<RawValue>> = required(property, "arguments")?;
    Ok(values.into_iter().map(Payload::Json).collect())
}

fn payload(value: &RawValue) -> Payload {
    Payload::Json(value.to_owned())
}

fn required<'a, T: Deserialize<'a>>(
    property: Option<&'a RawValue>,
    name: &str,
) -> Result<T, ProtocolError> {
    let value = property.ok_or_else(|| missing(name))?;
    serde_json::from_str(value.get()).map_err(|_| ill_typed(name))
}

/// Null counts as absent, which is more lenient than the reference server.
fn optional<'a, T: Deserialize<'a>>(
    property: Option<&'a RawValue>,
    name: &str,
) -> Result<Option<T>, ProtocolError> {
    match property {
        None => Ok(None),
        Some(value) => serde_json::from_str(value.get()).map_err(|_| ill_typed(name)),
    }
}

fn ill_typed(name: &str) -> ProtocolError {
    ProtocolError::InvalidData(format!("Property '{name}' has the wrong type."))
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Properties<'a>(Record<'a>);
        impl<'de: 'a, 'a> Visitor<'de> for Properties<'a> {
            type Value = Record<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Record<'a>, A::Error> {
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let place = match key.as_ref() {
                        "type" => &mut self.0.kind,
                        "invocationId" => &mut self.0.invocation_id,
                        "target" => &mut self.0.target,
                        "arguments" => &mut self.0.arguments,
                        "streamIds" => &mut self.0.stream_ids,
                        "item" => &mut self.0.item,
                        "result" => &mut self.0.result,
                        "error" => &mut self.0.error,
                        "allowReconnect" => &mut self.0.allow_reconnect,
                        "sequenceId" => &mut self.0.sequence_id,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *place = Some(map.next_value()?);
                }
                Ok(self.0)
            }
        }
        deserializer.deserialize_map(Properties(Record::default()))
    }
}

/// The record as it is written: absent properties are left out, since clients take
/// a null for a value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    invocation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Vec<Cow<'a, RawValue>>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stream_ids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_reconnect: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_id: Option<u64>,
}

impl Written<'_> {
    const fn of(kind: u8) -> Self {
        Self {
            kind,
            invocation_id: None,
            target: None,
            arguments: None,
            stream_ids: &[],
            item: None,
            result: None,
            error: None,
            allow_reconnect: false,
            sequence_id: None,
        }
    }
}

/// Writes the object, without the record's separator.
pub(super) fn encode(message: &HubMessage, output: &mut BytesMut) {
    let written = match message {
        HubMessage::Invocation { invocation_id, target, arguments, stream_ids } => Written {
            invocation_id: invocation_id.as_deref(),
            target: Some(target),
            arguments: Some(arguments.iter().map(raw).collect()),
            stream_ids,
            ..Written::of(1)
        },
        HubMessage::StreamItem { invocation_id, item } => {
            Written { invocation_id: Some(invocation_id), item: Some(raw(item)), ..Written::of(2) }
        }
        HubMessage::Completion { invocation_id, outcome } => {
            let mut written = Written { invocation_id: Some(invocation_id), ..Written::of(3) };
            match outcome {
                CompletionOutcome::Void => {}
                CompletionOutcome::Value(value) => written.result = Some(raw(value)),
                CompletionOutcome::Error(error) => written.error = Some(error),
            }
            written
        }
        HubMessage::StreamInvocation { invocation_id, target, arguments, stream_ids } => Written {
            invocation_id: Some(invocation_id),
            target: Some(target),
            arguments: Some(arguments.iter().map(raw).collect()),
            stream_ids,
            ..Written::of(4)
        },
        HubMessage::CancelInvocation { invocation_id } => {
            Written { invocation_id: Some(invocation_id), ..Written::of(5) }
        }
        HubMessage::Ping => Written::of(6),
        HubMessage::Close { error, allow_reconnect } => {
            Written { error: error.as_deref(), allow_reconnect: *allow_reconnect, ..Written::of(7) }
        }
        HubMessage::Ack { sequence_id } => {
            Written { sequence_id: Some(*sequence_id), ..Written::of(8) }
        }
        HubMessage::Sequence { sequence_id } => {
            Written { sequence_id: Some(*sequence_id), ..Written::of(9) }
        }
    };
    serde_json::to_writer(output.writer(), &written)
        .expect("strings and raw JSON are written without error into memory");
}

/// Payloads are well formed, so they convert; if not, there is no value.
fn raw(payload: &Payload) -> Cow<'_, RawValue> {
    match payload.to_protocol(ProtocolKind::Json) {
        Ok(Cow::Borrowed(Payload::Json(text))) => Cow::Borrowed(text),
        Ok(Cow::Owned(Payload::Json(text))) => Cow::Owned(text),
        Ok(Cow::Borrowed(Payload::MessagePack(_)) | Cow::Owned(Payload::MessagePack(_)))
        | Err(_) => Cow::Borrowed(RawValue::NULL),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
