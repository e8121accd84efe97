//! Good input, changed.

use serde_json::Value;

use crate::support::random::Random;

/// Bytes that mean something to one decoder or another.
const WORDS: [&[u8]; 28] = [
    b"\x1e",
    b"\x00",
    b"\xff",
    b"\xc1",
    b"\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\x7f\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xd9\xff",
    b"\x80\x80\x80\x80\x80",
    b"\xff\xff\xff\xff\x07",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\ud800",
    b"null",
    b"-0",
    b"1e999",
    b",",
    b":",
    b"\r\n",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"%00",
];

/// One of these, whole or with a few changes, or bytes that have nothing to do with them.
pub fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    if random.one_in(10) {
        let length = random.index(200);
        return random.bytes(length);
    }
    let mut bytes = random.pick(corpus).clone();
    for _ in 0..random.between(0, 4) {
        mutate(random, &mut bytes, corpus);
    }
    bytes
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.index(bytes.len() + 1);
    let length = random.index(1 + (bytes.len() - at).min(12));
    match random.between(0, 9) {
        0 => flip(random, bytes),
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..at + length)),
        3 => insert(bytes, at, &bytes[at..at + length].repeat(3)),
        4 => {
            let count = random.index(9);
            insert(bytes, at, &random.bytes(count));
        }
        5 | 6 => insert(bytes, at, random.pick::<&[u8]>(&WORDS)),
        7 => {
            let other = random.pick(corpus);
            let start = random.index(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[start..]);
        }
        // A word in place of what stood there.
        _ => drop(bytes.splice(at..at + length, random.pick(&WORDS).iter().copied())),
    }
}

fn flip(random: &mut Random, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let at = random.index(bytes.len());
        bytes[at] ^= 1 << random.between(0, 8);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

/// The bytes cut into pieces, here and there.
pub fn cut<'a>(random: &mut Random, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> =
        (0..random.between(0, 8)).map(|_| random.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|place| &bytes[place[0]..place[1]]).collect()
}

/// JSON texts that have no place in a request, and some that look as if they had.
const ODD_VALUES: [&str; 44] = [
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "-1e-999",
    "1.5",
    "18446744073709551616",
    "9223372036854775808",
    "\"\"",
    "\" \"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "{\"a\":{}}",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\\u007f\"",
    "\"\\u2028\"",
    "\"\\u202e\"",
    "\"\\\\\"",
    "\"\u{feff}\"",
    "\"\u{1f600}\u{1f600}\u{1f600}\"",
    "\"'; DROP TABLE jobs; --\"",
    "\"<script>alert(1)</script>\"",
    "\"2026-13-01T00:00:00Z\"",
    "\"2026-03-01 09:00:00Z\"",
    "\"2026-03-01T09:00:00+23:59\"",
    "\"2026-03-01T09:00:00.999999999999Z\"",
    "\"1969-12-31T23:59:59.999Z\"",
    "\"9999-12-31T23:59:59.999Z\"",
    "\"9999-12-31T23:59:60Z\"",
    "\"2016-12-31T23:59:60.5Z\"",
    "\"+10000-01-01T00:00:00Z\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"NORTH\"",
    "\"north/../south\"",
    "\"-\"",
    "\"UTC\"",
    "\"Europe/../Berlin\"",
    "\"{0198c5e0-0000-7000-8000-000000000001}\"",
    "\"urn:uuid:0198c5e0-0000-7000-8000-000000000001\"",
    "\"00000000-0000-0000-0000-000000000000\"",
];

/// JSON text that means something else than this value, most of the time; sometimes none.
pub fn mutated_json(random: &mut Random, value: &Value) -> String {
    match random.between(0, 12) {
        0 => return odd_value(random),
        1 => {
            let corpus = [value.to_string().into_bytes()];
            let bytes = mutated(random, &corpus);
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        _ => {}
    }
    let Value::Object(members) = value else {
        return if random.one_in(2) { value.to_string() } else { odd_value(random) };
    };
    let mut written = Vec::new();
    for (name, value) in members {
        let name = Value::from(name.as_str()).to_string();
        match random.between(0, 20) {
            0 => {}
            1 => written.push(format!("{name}:{}", odd_value(random))),
            2 => written.push(format!("{name}:{}", mutated_json(random, value))),
            3 => written.extend([format!("{name}:{value}"), format!("{name}:{value}")]),
            4 => written.push(format!("\"{}\":{value}", random.pick(&["x", "", "__proto__"]))),
            _ => written.push(format!("{name}:{value}")),
        }
    }
    format!("{{{}}}", written.join(","))
}

fn odd_value(random: &mut Random) -> String {
    match random.between(0, 12) {
        0 => format!("{}{}", "[".repeat(200), "]".repeat(200)),
        1 => format!("{}1{}", "{\"a\":".repeat(150), "}".repeat(150)),
        2 => "9".repeat(400),
        3 => format!("\"{}\"", "x".repeat(random.index(2_000))),
        4 => format!("\"{}\"", "\u{e9}".repeat(random.index(400))),
        _ => (*random.pick(&ODD_VALUES)).to_owned(),
    }
}
