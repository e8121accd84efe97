//! A value of one protocol in the other one's form.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::values::time_of_extension;
use super::{Payload, ProtocolKind};

impl Payload {
    /// The value in this protocol's form: itself where it has that already.
    ///
    /// JSON objects keep the order of their members. What only MessagePack has becomes
    /// what JSON clients expect for it: bytes a base64 string, a time an ISO string.
    ///
    /// # Errors
    /// When the payload is not one well-formed value.
    pub fn to_protocol(&self, protocol: ProtocolKind) -> Result<Cow<'_, Self>, String> {
        match (self, protocol) {
            (Self::Json(_), ProtocolKind::Json)
            | (Self::MessagePack(_), ProtocolKind::MessagePack) => Ok(Cow::Borrowed(self)),
            (Self::Json(text), ProtocolKind::MessagePack) => {
                let value: rmpv::Value =
                    serde_json::from_str(text.get()).map_err(|error| error.to_string())?;
                let mut bytes = Vec::with_capacity(text.get().len());
                rmpv::encode::write_value(&mut bytes, &value).map_err(|error| error.to_string())?;
                Ok(Cow::Owned(Self::MessagePack(Bytes::from(bytes))))
            }
            (Self::MessagePack(bytes), ProtocolKind::Json) => {
                let value = rmpv::decode::read_value(&mut bytes.as_ref())
                    .map_err(|error| error.to_string())?;
                let text = serde_json::to_string(&json_of(value)).map_err(|e| e.to_string())?;
                let raw = RawValue::from_string(text).map_err(|error| error.to_string())?;
                Ok(Cow::Owned(Self::Json(raw)))
            }
        }
    }
}

/// The depth of the value is bounded by its decoder.
fn json_of(value: rmpv::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        rmpv::Value::Nil => Value::Null,
        rmpv::Value::Boolean(truth) => Value::Bool(truth),
        rmpv::Value::Integer(number) => number
            .as_u64()
            .map(Value::from)
            .or_else(|| number.as_i64().map(Value::from))
            .unwrap_or_default(),
        rmpv::Value::F32(number) => Value::from(number),
        rmpv::Value::F64(number) => Value::from(number),
        rmpv::Value::String(text) => Value::from(String::from_utf8_lossy(text.as_bytes())),
        rmpv::Value::Binary(bytes) => Value::from(STANDARD.encode(bytes)),
        rmpv::Value::Array(items) => items.into_iter().map(json_of).collect(),
        rmpv::Value::Map(members) => Value::Object(
            members.into_iter().map(|(key, value)| (key_of(key), json_of(value))).collect(),
        ),
        rmpv::Value::Ext(kind, bytes) => Value::from(match time_of_extension(kind, &bytes) {
            Some(time) => super::values::iso(&time),
            None => STANDARD.encode(bytes),
        }),
    }
}

/// Members of JSON objects have names; other keys become theirs by their JSON text.
fn key_of(key: rmpv::Value) -> String {
    match json_of(key) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
