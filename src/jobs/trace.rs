//! The trace that a request belongs to, as the W3C's Trace Context has it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in a trace: which trace it is, and whose child comes next. Written and read as
/// the header `traceparent` (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    /// Names the trace; not all zeros.
    pub trace_id: [u8; 16],
    /// Names the piece of work; not all zeros.
    pub span_id: [u8; 8],
    /// Whether whoever began the trace writes it down.
    pub is_sampled: bool,
}

/// The text is no place in a trace. By the specification the caller has to go on as if
/// there were none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent")]
pub struct NoTrace;

/// The length of a text of version 00: two digits, and three parts behind dashes.
const VERSION_00_BYTES: usize = 55;

impl FromStr for TraceContext {
    type Err = NoTrace;

    fn from_str(text: &str) -> Result<Self, NoTrace> {
        let bytes = text.as_bytes();
        let (known, more) = bytes.split_at_checked(VERSION_00_BYTES).ok_or(NoTrace)?;
        let [version] = hex(&known[..2])?;
        // A later version may have more behind what is known of it.
        let is_whole = match (version, more) {
            (0xff, _) => false,
            (_, []) => true,
            (0, _) => false,
            (_, [next, ..]) => *next == b'-',
        };
        if !is_whole || [2, 35, 52].iter().any(|place| known[*place] != b'-') {
            return Err(NoTrace);
        }
        let trace = Self {
            trace_id: hex(&known[3..35])?,
            span_id: hex(&known[36..52])?,
            is_sampled: hex::<1>(&known[53..55])?[0] & 1 == 1,
        };
        let is_named = trace.trace_id != [0; 16] && trace.span_id != [0; 8];
        is_named.then_some(trace).ok_or(NoTrace)
    }
}

/// Lower case alone: the specification refuses the other.
fn hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], NoTrace> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(NoTrace),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(self.span_id);
        write!(f, "00-{number:032x}-{span:016x}-{:02x}", u8::from(self.is_sampled))
    }
}

impl TryFrom<String> for TraceContext {
    type Error = NoTrace;

    fn try_from(text: String) -> Result<Self, NoTrace> {
        text.parse()
    }
}

impl From<TraceContext> for String {
    fn from(trace: TraceContext) -> Self {
        trace.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_the_specification_allows_is_read_and_written_again() {
        for (text, is_sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what the future brings"), true),
        ] {
            let trace: TraceContext = text.parse().unwrap_or_else(|_| panic!("{text} is one"));
            assert_eq!(trace.is_sampled, is_sampled, "{text}");
            let flags = if is_sampled { "01" } else { "00" };
            assert_eq!(trace.to_string(), format!("00-{TRACE}-{SPAN}-{flags}"));
        }
    }

    #[test]
    fn what_is_no_place_in_a_trace_is_refused() {
        let zeros = |count| "0".repeat(count);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{}-{SPAN}-01", zeros(32)),
            format!("00-{TRACE}-{}-01", zeros(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0é"),
            "é".repeat(40),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTrace), "{text}");
        }
    }
}
