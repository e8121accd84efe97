//! Values that the two protocols write each in a way of its own.
//!
//! A serializer that is human-readable is the JSON protocol's, another one
//! MessagePack's.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Bytes: a base64 string in JSON, `bin` in MessagePack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

/// A UUID: a hyphenated, lower-case string in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub Uuid);

/// A time: an ISO 8601 string in JSON, the Timestamp extension in MessagePack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcTime(pub DateTime<Utc>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            STANDARD.decode(text).map(Self).map_err(D::Error::custom)
        } else {
            deserializer.deserialize_byte_buf(BlobVisitor).map(Self)
        }
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.as_hyphenated())
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::try_parse(&text).map(Self).map_err(D::Error::custom)
    }
}

/// The type of MessagePack's Timestamp extension.
const TIMESTAMP_KIND: i8 = -1;

/// How rmp-serde is told of an extension: a newtype of this name around type and bytes.
#[derive(Serialize)]
#[serde(rename = "_ExtStruct")]
struct Extension<'a>((i8, Bytes<'a>));

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&iso(&self.0));
        }
        Extension((TIMESTAMP_KIND, Bytes(&extension_of(&self.0)))).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(TimeVisitor)
        } else {
            deserializer.deserialize_any(TimeVisitor)
        }
        .map(Self)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = DateTime<Utc>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DateTime<Utc>, E> {
        DateTime::parse_from_rfc3339(text).map(|time| unleaped(time.to_utc())).map_err(E::custom)
    }

    /// An extension, as rmp-serde hands it over.
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<DateTime<Utc>, A::Error> {
        let kind: i8 = parts.next_element()?.ok_or_else(|| A::Error::custom("no type"))?;
        let ExtensionBytes(bytes) =
            parts.next_element()?.ok_or_else(|| A::Error::custom("no bytes"))?;
        time_of_extension(kind, &bytes).ok_or_else(|| A::Error::custom("not a timestamp"))
    }
}

/// The bytes of an extension, whatever the deserializer says of itself.
struct ExtensionBytes(Vec<u8>);

impl<'de> Deserialize<'de> for ExtensionBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor).map(Self)
    }
}

/// Without a fraction where there is none.
pub(super) fn iso(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Nanoseconds of a second, which are as many as MessagePack has room for.
const NANOS: u32 = 1_000_000_000;

/// The time without a leap second, which chrono has as nanoseconds past the second before
/// it, and MessagePack not at all: it is the beginning of the second after it.
fn unleaped(time: DateTime<Utc>) -> DateTime<Utc> {
    let nanos = time.timestamp_subsec_nanos();
    if nanos < NANOS {
        return time;
    }
    DateTime::from_timestamp(time.timestamp() + 1, nanos - NANOS).unwrap_or(time)
}

/// The shortest of the extension's three forms that holds the time.
fn extension_of(time: &DateTime<Utc>) -> Vec<u8> {
    let time = unleaped(*time);
    let (seconds, nanos) = (time.timestamp(), time.timestamp_subsec_nanos());
    match u64::try_from(seconds) {
        Ok(seconds) if seconds >> 34 == 0 => match u32::try_from(seconds) {
            Ok(seconds) if nanos == 0 => seconds.to_be_bytes().to_vec(),
            Ok(_) | Err(_) => (u64::from(nanos) << 34 | seconds).to_be_bytes().to_vec(),
        },
        Ok(_) | Err(_) => [&nanos.to_be_bytes()[..], &seconds.to_be_bytes()].concat(),
    }
}

/// The time that an extension says, if it is a timestamp.
pub(super) fn time_of_extension(kind: i8, bytes: &[u8]) -> Option<DateTime<Utc>> {
    if kind != TIMESTAMP_KIND {
        return None;
    }
    let (seconds, nanos) = if let Ok(seconds) = <[u8; 4]>::try_from(bytes) {
        (i64::from(u32::from_be_bytes(seconds)), 0)
    } else if let Ok(both) = <[u8; 8]>::try_from(bytes) {
        let both = u64::from_be_bytes(both);
        (i64::try_from(both & ((1 << 34) - 1)).ok()?, u32::try_from(both >> 34).ok()?)
    } else {
        let (nanos, seconds) = bytes.split_first_chunk::<4>()?;
        let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
        (seconds, u32::from_be_bytes(*nanos))
    };
    if nanos < NANOS { DateTime::from_timestamp(seconds, nanos) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalr::protocol::{Payload, ProtocolKind};

    fn time(text: &str) -> UtcTime {
        UtcTime(text.parse().expect("a time"))
    }

    #[test]
    fn values_come_back_from_either_protocol() {
        for protocol in [ProtocolKind::Json, ProtocolKind::MessagePack] {
            let written = |value: &dyn Fn(ProtocolKind) -> Payload| value(protocol);
            let blob = Blob(vec![0, 1, 255]);
            let payload = written(&|p| p.payload(&blob).expect("written"));
            assert_eq!(payload.bind::<Blob>(), Ok(blob), "{protocol:?}");
            let guid = Guid(Uuid::from_u128(0x0001_0203_0405_0607_0706_0504_0302_0100));
            let payload = written(&|p| p.payload(&guid).expect("written"));
            assert_eq!(payload.bind::<Guid>(), Ok(guid), "{protocol:?}");
            for text in [
                "2000-01-01T00:00:00Z",
                "2002-04-01T10:20:15.123456789Z",
                "1969-07-20T20:17:40Z",
                "2600-01-01T00:00:00.000000001Z",
            ] {
                let payload = written(&|p| p.payload(&time(text)).expect("written"));
                assert_eq!(payload.bind::<UtcTime>(), Ok(time(text)), "{protocol:?} {text}");
            }
        }
    }

    #[test]
    fn a_leap_second_is_the_beginning_of_the_next_one_in_either_protocol() {
        let next = time("2017-01-01T00:00:00.5Z");
        for protocol in [ProtocolKind::Json, ProtocolKind::MessagePack] {
            let payload = protocol.payload(&time("2016-12-31T23:59:60.5Z")).expect("written");
            assert_eq!(payload.bind::<UtcTime>(), Ok(next), "{protocol:?}");
        }
        let too_many_nanos = &[0xFF, 0xFF, 0xFF, 0xFC, 0, 0, 0, 0];
        assert_eq!(time_of_extension(TIMESTAMP_KIND, too_many_nanos), None);
    }

    #[test]
    fn each_protocol_writes_them_in_its_own_way() {
        let json = |payload: Payload| match payload {
            Payload::Json(text) => text.get().to_owned(),
            Payload::MessagePack(_) => panic!("not JSON"),
        };
        let bytes = |payload: Payload| match payload {
            Payload::MessagePack(bytes) => bytes.to_vec(),
            Payload::Json(_) => panic!("not MessagePack"),
        };
        let (blob, time) = (Blob(vec![1, 2, 3]), time("2000-01-01T00:00:00Z"));
        let (text, packed) = (ProtocolKind::Json, ProtocolKind::MessagePack);
        assert_eq!(json(text.payload(&blob).expect("written")), "\"AQID\"");
        assert_eq!(json(text.payload(&time).expect("written")), "\"2000-01-01T00:00:00Z\"");
        assert_eq!(bytes(packed.payload(&blob).expect("written")), [0xC4, 3, 1, 2, 3]);
        let seconds = [0xD6, 0xFF, 0x38, 0x6D, 0x43, 0x80];
        assert_eq!(bytes(packed.payload(&time).expect("written")), seconds);
    }
}
