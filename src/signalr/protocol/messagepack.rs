//! The MessagePack hub protocol: one array per message, behind the length of it.

use bytes::{BufMut, Bytes, BytesMut};
use rmp::Marker;
use rmp::encode::{write_array_len, write_bool, write_map_len, write_nil, write_str, write_uint};

use super::{CompletionOutcome, HubMessage, Payload, ProtocolError, ProtocolKind, missing};

/// Arrays and maps within each other, the message's own array included.
const DEPTH_MAX: usize = 64;

/// A length prefix takes at most five bytes of seven bits each.
const PREFIX_BYTES_MAX: usize = 5;

/// The next message without its length prefix, if it has arrived whole. One that is
/// longer than the bound, prefix included, is refused by its prefix alone.
pub(super) fn take_message(
    buffer: &mut BytesMut,
    bytes_max: usize,
) -> Result<Option<Bytes>, ProtocolError> {
    let Some((prefix_bytes, length)) = read_prefix(buffer)? else {
        return Ok(None);
    };
    let message_bytes = usize::try_from(length).ok().and_then(|n| n.checked_add(prefix_bytes));
    let message_bytes = match message_bytes {
        Some(bytes) if bytes <= bytes_max => bytes,
        Some(_) | None => return Err(ProtocolError::TooLarge { bytes_max }),
    };
    if buffer.len() < message_bytes {
        return Ok(None);
    }
    let message = buffer.split_to(message_bytes).freeze();
    Ok(Some(message.slice(prefix_bytes..)))
}

/// The bytes that the prefix takes, and the length that it says; none when more of it
/// has to come.
fn read_prefix(buffer: &[u8]) -> Result<Option<(usize, u32)>, ProtocolError> {
    let mut length = 0_u64;
    for (at, byte) in buffer.iter().take(PREFIX_BYTES_MAX).enumerate() {
        length |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return match u32::try_from(length) {
                Ok(length) if length <= i32::MAX.unsigned_abs() => Ok(Some((at + 1, length))),
                Ok(_) | Err(_) => Err(invalid("Messages over 2GB in size are not supported.")),
            };
        }
    }
    if buffer.len() < PREFIX_BYTES_MAX {
        Ok(None)
    } else {
        Err(invalid("Messages over 2GB in size are not supported."))
    }
}

/// The message; none for a type that is not known.
pub(super) fn decode(message: &Bytes) -> Result<Option<HubMessage>, ProtocolError> {
    let mut reader = Reader { message, at: 0 };
    let mut left = reader.array_length("message")?;
    let mut element = |name: &'static str| match left.checked_sub(1) {
        Some(fewer) => {
            left = fewer;
            Ok(())
        }
        None => Err(missing(name)),
    };
    element("type")?;
    let kind = reader.integer("type")?;
    let decoded = match kind {
        1 | 4 => {
            element("headers")?;
            reader.headers()?;
            element("invocationId")?;
            let invocation_id = reader.optional_text("invocationId")?;
            element("target")?;
            let target = reader.text("target")?;
            element("arguments")?;
            let arguments = reader.values("arguments")?;
            let stream_ids = match element("streamIds") {
                Ok(()) => reader.texts("streamIds")?,
                Err(_) => Vec::new(),
            };
            let invocation_id = invocation_id.filter(|id| !id.is_empty());
            if kind == 1 {
                HubMessage::Invocation { invocation_id, target, arguments, stream_ids }
            } else {
                let invocation_id = invocation_id.ok_or_else(|| missing("invocationId"))?;
                HubMessage::StreamInvocation { invocation_id, target, arguments, stream_ids }
            }
        }
        2 => {
            element("headers")?;
            reader.headers()?;
            element("invocationId")?;
            let invocation_id = reader.text("invocationId")?;
            element("item")?;
            HubMessage::StreamItem { invocation_id, item: reader.value()? }
        }
        3 => {
            element("headers")?;
            reader.headers()?;
            element("invocationId")?;
            let invocation_id = reader.text("invocationId")?;
            element("resultKind")?;
            let outcome = match reader.integer("resultKind")? {
                1 => {
                    element("error")?;
                    CompletionOutcome::Error(reader.text("error")?)
                }
                2 => CompletionOutcome::Void,
                3 => {
                    element("result")?;
                    CompletionOutcome::Value(reader.value()?)
                }
                _ => return Err(invalid("Invalid invocation result kind.")),
            };
            HubMessage::Completion { invocation_id, outcome }
        }
        5 => {
            element("headers")?;
            reader.headers()?;
            element("invocationId")?;
            HubMessage::CancelInvocation { invocation_id: reader.text("invocationId")? }
        }
        6 => HubMessage::Ping,
        7 => {
            let error = match element("error") {
                Ok(()) => reader.optional_text("error")?.filter(|text| !text.is_empty()),
                Err(_) => None,
            };
            let allow_reconnect = match element("allowReconnect") {
                Ok(()) => reader.boolean("allowReconnect")?,
                Err(_) => false,
            };
            HubMessage::Close { error, allow_reconnect }
        }
        8 => {
            element("sequenceId")?;
            HubMessage::Ack { sequence_id: reader.integer("sequenceId")? }
        }
        9 => {
            element("sequenceId")?;
            HubMessage::Sequence { sequence_id: reader.integer("sequenceId")? }
        }
        _ => return Ok(None),
    };
    // A newer client may say more than is known here; it has to say it well.
    for _ in 0..left {
        reader.skip()?;
    }
    if reader.at < message.len() {
        return Err(invalid("The message is followed by further bytes."));
    }
    Ok(Some(decoded))
}

/// Reads the values of one message. Lengths are what the message claims, so each is
/// held against what there is.
struct Reader<'a> {
    message: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.message[self.at..]
    }

    fn read<T, E>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut &'a [u8]) -> Result<T, E>,
    ) -> Result<T, ProtocolError> {
        let mut rest = self.rest();
        let value = read(&mut rest).map_err(|_| ill_typed(name))?;
        self.at = self.message.len() - rest.len();
        Ok(value)
    }

    fn array_length(&mut self, name: &str) -> Result<usize, ProtocolError> {
        let length = self.read(name, rmp::decode::read_array_len)?;
        // Each element takes a byte or more.
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.rest().len())
            .ok_or_else(|| ill_typed(name))
    }

    fn integer(&mut self, name: &str) -> Result<u64, ProtocolError> {
        self.read(name, rmp::decode::read_int)
    }

    fn boolean(&mut self, name: &str) -> Result<bool, ProtocolError> {
        self.read(name, rmp::decode::read_bool)
    }

    fn is_nil(&self) -> bool {
        self.rest().first().is_some_and(|byte| Marker::from_u8(*byte) == Marker::Null)
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<String>, ProtocolError> {
        if self.is_nil() {
            self.at += 1;
            return Ok(None);
        }
        self.text(name).map(Some)
    }

    fn text(&mut self, name: &str) -> Result<String, ProtocolError> {
        let length = self.read(name, rmp::decode::read_str_len)?;
        let length = usize::try_from(length).map_err(|_| ill_typed(name))?;
        let bytes = self.rest().get(..length).ok_or_else(|| ill_typed(name))?;
        let text = std::str::from_utf8(bytes).map_err(|_| ill_typed(name))?.to_owned();
        self.at += length;
        Ok(text)
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, ProtocolError> {
        if self.is_nil() {
            self.at += 1;
            return Ok(Vec::new());
        }
        (0..self.array_length(name)?).map(|_| self.text(name)).collect()
    }

    /// A map of texts, which nobody reads.
    fn headers(&mut self) -> Result<(), ProtocolError> {
        let length = self.read("headers", rmp::decode::read_map_len)?;
        for _ in 0..u64::from(length) * 2 {
            self.skip()?;
        }
        Ok(())
    }

    fn values(&mut self, name: &str) -> Result<Vec<Payload>, ProtocolError> {
        (0..self.array_length(name)?).map(|_| self.value()).collect()
    }

    /// One value as it stands in the message.
    fn value(&mut self) -> Result<Payload, ProtocolError> {
        let start = self.at;
        self.skip()?;
        Ok(Payload::MessagePack(self.message.slice(start..self.at)))
    }

    /// Passes over one value, with whatever is in it.
    fn skip(&mut self) -> Result<(), ProtocolError> {
        // What is still to come at each depth, below the message's own array.
        let mut open = vec![1_u64];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let within = self.skip_head()?;
            if within > 0 {
                open.push(within);
                if open.len() > DEPTH_MAX {
                    return Err(invalid("The message is nested too deeply."));
                }
            }
        }
        Ok(())
    }

    /// Passes over a value's own bytes; answers how many values follow that are in it.
    fn skip_head(&mut self) -> Result<u64, ProtocolError> {
        let (bytes, within) = match Marker::from_u8(self.take_byte()?) {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                (0, 0)
            }
            Marker::Reserved => return Err(invalid("The message has a reserved marker.")),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixStr(length) => (u64::from(length), 0),
            Marker::Str8 | Marker::Bin8 => (self.take_length(1)?, 0),
            Marker::Str16 | Marker::Bin16 => (self.take_length(2)?, 0),
            Marker::Str32 | Marker::Bin32 => (self.take_length(4)?, 0),
            // An extension has its type before its bytes.
            Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::FixExt4 => (5, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::Ext8 => (self.take_length(1)? + 1, 0),
            Marker::Ext16 => (self.take_length(2)? + 1, 0),
            Marker::Ext32 => (self.take_length(4)? + 1, 0),
            Marker::FixArray(length) => (0, u64::from(length)),
            Marker::Array16 => (0, self.take_length(2)?),
            Marker::Array32 => (0, self.take_length(4)?),
            Marker::FixMap(length) => (0, u64::from(length) * 2),
            Marker::Map16 => (0, self.take_length(2)? * 2),
            Marker::Map32 => (0, self.take_length(4)? * 2),
        };
        let left = self.rest().len() as u64;
        if bytes > left || within > left {
            return Err(cut_off());
        }
        self.at += usize::try_from(bytes).map_err(|_| cut_off())?;
        Ok(within)
    }

    fn take_byte(&mut self) -> Result<u8, ProtocolError> {
        let byte = *self.rest().first().ok_or_else(cut_off)?;
        self.at += 1;
        Ok(byte)
    }

    /// A length of so many bytes.
    fn take_length(&mut self, bytes: usize) -> Result<u64, ProtocolError> {
        (0..bytes).try_fold(0, |length, _| Ok(length << 8 | u64::from(self.take_byte()?)))
    }
}

fn invalid(text: &str) -> ProtocolError {
    ProtocolError::InvalidData(text.to_owned())
}

fn cut_off() -> ProtocolError {
    invalid("A value goes beyond its message.")
}

fn ill_typed(name: &str) -> ProtocolError {
    ProtocolError::InvalidData(format!("Reading '{name}' failed: it has the wrong type."))
}

/// Writes the message behind its length.
pub(super) fn encode(message: &HubMessage, output: &mut BytesMut) {
    let mut body = Vec::with_capacity(128);
    write(message, &mut body).expect("memory takes what is written into it");
    let mut length = body.len();
    while length >= 0x80 {
        output.put_u8(0x80 | u8::try_from(length & 0x7F).expect("seven bits fit"));
        length >>= 7;
    }
    output.put_u8(u8::try_from(length).expect("less than seven bits are left"));
    output.put_slice(&body);
}

type Written = Result<(), rmp::encode::ValueWriteError>;

fn write(message: &HubMessage, output: &mut Vec<u8>) -> Written {
    match message {
        HubMessage::Invocation { invocation_id, target, arguments, stream_ids } => {
            write_call(1, invocation_id.as_deref(), target, arguments, stream_ids, output)
        }
        HubMessage::StreamInvocation { invocation_id, target, arguments, stream_ids } => {
            write_call(4, Some(invocation_id), target, arguments, stream_ids, output)
        }
        HubMessage::StreamItem { invocation_id, item } => {
            write_head(4, 2, output)?;
            write_str(output, invocation_id)?;
            write_value(item, output);
            Ok(())
        }
        HubMessage::Completion { invocation_id, outcome } => {
            let length = if matches!(outcome, CompletionOutcome::Void) { 4 } else { 5 };
            write_head(length, 3, output)?;
            write_str(output, invocation_id)?;
            match outcome {
                CompletionOutcome::Error(text) => {
                    write_uint(output, 1)?;
                    write_str(output, text)?;
                }
                CompletionOutcome::Void => {
                    write_uint(output, 2)?;
                }
                CompletionOutcome::Value(value) => {
                    write_uint(output, 3)?;
                    write_value(value, output);
                }
            }
            Ok(())
        }
        HubMessage::CancelInvocation { invocation_id } => {
            write_head(3, 5, output)?;
            write_str(output, invocation_id)
        }
        HubMessage::Ping => write_bare(1, 6, output),
        HubMessage::Close { error, allow_reconnect } => {
            write_bare(3, 7, output)?;
            write_optional(error.as_deref(), output)?;
            write_bool(output, *allow_reconnect).map_err(io_error)
        }
        HubMessage::Ack { sequence_id } => {
            write_bare(2, 8, output)?;
            write_uint(output, *sequence_id).map(drop)
        }
        HubMessage::Sequence { sequence_id } => {
            write_bare(2, 9, output)?;
            write_uint(output, *sequence_id).map(drop)
        }
    }
}

fn write_call(
    kind: u64,
    invocation_id: Option<&str>,
    target: &str,
    arguments: &[Payload],
    stream_ids: &[String],
    output: &mut Vec<u8>,
) -> Written {
    write_head(6, kind, output)?;
    write_optional(invocation_id, output)?;
    write_str(output, target)?;
    write_length(arguments.len(), output)?;
    arguments.iter().for_each(|argument| write_value(argument, output));
    write_length(stream_ids.len(), output)?;
    stream_ids.iter().try_for_each(|id| write_str(output, id))
}

/// The start of a message that has headers; ours are always empty.
fn write_head(elements: u32, kind: u64, output: &mut Vec<u8>) -> Written {
    write_bare(elements, kind, output)?;
    write_map_len(output, 0).map(drop)
}

fn write_bare(elements: u32, kind: u64, output: &mut Vec<u8>) -> Written {
    write_array_len(output, elements)?;
    write_uint(output, kind).map(drop)
}

fn write_length(length: usize, output: &mut Vec<u8>) -> Written {
    let length = u32::try_from(length).expect("a message has fewer elements");
    write_array_len(output, length).map(drop)
}

fn write_optional(text: Option<&str>, output: &mut Vec<u8>) -> Written {
    match text {
        Some(text) => write_str(output, text),
        None => write_nil(output).map_err(io_error),
    }
}

fn io_error(error: std::io::Error) -> rmp::encode::ValueWriteError {
    rmp::encode::ValueWriteError::InvalidMarkerWrite(error)
}

fn write_value(payload: &Payload, output: &mut Vec<u8>) {
    match payload.to_protocol(ProtocolKind::MessagePack).as_deref() {
        Ok(Payload::MessagePack(value)) => output.extend_from_slice(value),
        // Payloads are well formed, so they convert; if not, there is no value.
        Ok(Payload::Json(_)) | Err(_) => output.push(Marker::Null.to_u8()),
    }
}

#[cfg(test)]
#[path = "messagepack_tests.rs"]
mod tests;
