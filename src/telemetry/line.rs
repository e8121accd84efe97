//! A record as one line, whatever is in it.
//!
//! Texts in a record may come from anybody: paths, request ids, names in tokens. What
//! could end the line, colour a terminal or turn the reading direction is written as an
//! escape, and a text has a bound.

use std::fmt::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

/// Bytes of one text within a line, be it the message or a field; the rest is left out. A
/// path or a database's complaint has room, and a backtrace's first half.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Stands where something was left out.
const LEFT_OUT: &str = "…";

/// What the members of every line are called; a field of such a name gets an underscore.
const RESERVED: [&str; 4] = ["time", "level", "target", "message"];

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// For people: `[time LEVEL target] message field=value`.
    Text {
        /// Whether the level has a colour.
        has_colours: bool,
    },
    /// An object, for programs.
    Json,
}

impl Shape {
    /// Adds the record and the end of its line to the text.
    pub(super) fn write(self, record: &Record<'_>, line: &mut String) {
        let written = match self {
            Self::Text { has_colours } => write_text(record, has_colours, line),
            Self::Json => write_json(record, line),
        };
        // A text does not refuse what is added to it; a value that cannot be formatted
        // leaves its line without it.
        let _ = written;
        line.push('\n');
    }
}

fn write_text(record: &Record<'_>, has_colours: bool, line: &mut String) -> fmt::Result {
    let level = record.level();
    let (colour, plain) = if has_colours { (colour_of(level), "\x1b[0m") } else { ("", "") };
    write!(line, "[{} {colour}{level:<5}{plain} ", now())?;
    write_bare(record.target(), line);
    line.push_str("] ");
    write_formatted(*record.args(), line, write_bare);
    // Its failure is a field's that cannot be read.
    let _ = record.key_values().visit(&mut TextFields(line));
    Ok(())
}

fn write_json(record: &Record<'_>, line: &mut String) -> fmt::Result {
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    write!(line, "{{\"time\":\"{}\",\"level\":\"{level}\",\"target\":", now())?;
    write_json_string(record.target(), line);
    line.push_str(",\"message\":");
    write_formatted(*record.args(), line, write_json_string);
    let _ = record.key_values().visit(&mut JsonFields(line));
    line.push('}');
    Ok(())
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => "\x1b[36m",
    }
}

/// Most messages are constants, and need no copy.
fn write_formatted(arguments: fmt::Arguments<'_>, line: &mut String, write: fn(&str, &mut String)) {
    match arguments.as_str() {
        Some(text) => write(text, line),
        None => write(&arguments.to_string(), line),
    }
}

struct TextFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let before = self.0.len();
        let _ = write!(self.0, " {key}=");
        visit_value(&value, self.0, before, |text, line| {
            if is_word(text) { line.push_str(text) } else { write_quoted(text, line, write_escape) }
        })
    }
}

struct JsonFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let before = self.0.len();
        self.0.push(',');
        if RESERVED.contains(&key.as_str()) {
            write_json_string(&format!("{key}_"), self.0);
        } else {
            write_json_string(key.as_str(), self.0);
        }
        self.0.push(':');
        visit_value(&value, self.0, before, write_json_string)
    }
}

/// Writes a value, texts by `write`. An absent one is taken back to where the field began.
fn visit_value(
    value: &Value<'_>,
    line: &mut String,
    before: usize,
    write: fn(&str, &mut String),
) -> Result<(), kv::Error> {
    let mut visit = OneValue { line, write, is_absent: false };
    value.visit(&mut visit)?;
    if visit.is_absent {
        line.truncate(before);
    }
    Ok(())
}

struct OneValue<'a> {
    line: &'a mut String,
    write: fn(&str, &mut String),
    is_absent: bool,
}

impl OneValue<'_> {
    fn number(&mut self, number: impl fmt::Display) -> Result<(), kv::Error> {
        write!(self.line, "{number}").map_err(kv::Error::from)
    }
}

impl<'v> VisitValue<'v> for OneValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        (self.write)(&value.to_string(), self.line);
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.is_absent = true;
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.number(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.number(value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        if value.is_finite() { self.number(value) } else { self.visit_any(Value::from(value)) }
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.number(value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        (self.write)(value, self.line);
        Ok(())
    }
}

/// Whether the text can stand as a value without quotes.
fn is_word(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+@,*~%!$&'()[]|#<>?^".contains(&b);
    !text.is_empty() && text.len() <= TEXT_BYTES_MAX && text.bytes().all(is_plain)
}

/// What ends a line, moves a cursor, or makes a reader see another order than there is.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text without quotes, unsafe characters escaped.
fn write_bare(text: &str, line: &mut String) {
    let (text, is_cut) = bounded(text);
    for c in text.chars() {
        if is_unsafe(c) { write_escape(c, line) } else { line.push(c) }
    }
    line.push_str(if is_cut { LEFT_OUT } else { "" });
}

fn write_json_string(text: &str, line: &mut String) {
    write_quoted(text, line, |c, line| {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            let _ = write!(line, "\\u{unit:04x}");
        }
    });
}

/// The text within quotes, as JSON and Rust write it but for what `escape` does.
fn write_quoted(text: &str, line: &mut String, escape: fn(char, &mut String)) {
    let (text, is_cut) = bounded(text);
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_unsafe(c) => escape(c, line),
            c => line.push(c),
        }
    }
    line.push_str(if is_cut { LEFT_OUT } else { "" });
    line.push('"');
}

fn write_escape(c: char, line: &mut String) {
    line.extend(c.escape_default());
}

/// As much of the text as a line may have, and whether that is not all.
fn bounded(text: &str) -> (&str, bool) {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    (&text[..end], end < text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(shape: Shape, message: &str, fields: &[(&str, Value<'_>)]) -> String {
        let mut line = String::new();
        let record = |arguments: fmt::Arguments<'_>, line: &mut String| {
            let mut record = Record::builder();
            record.args(arguments).level(Level::Warn).target("here").key_values(&fields);
            shape.write(&record.build(), line);
        };
        record(format_args!("{message}"), &mut line);
        line
    }

    const TEXT: Shape = Shape::Text { has_colours: false };

    #[test]
    fn a_line_of_text_has_its_fields_behind_the_message() {
        let fields = [
            ("count", Value::from(3)),
            ("word", Value::from("a/b")),
            ("text", Value::from("two \"words\"")),
            ("empty", Value::from("")),
            ("absent", Value::null()),
            ("share", Value::from(0.5)),
        ];
        let line = line(TEXT, "it happened", &fields);
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.starts_with("[20") && time.ends_with('Z'), "{time}");
        let expected = "WARN  here] it happened count=3 word=a/b text=\"two \\\"words\\\"\" empty=\"\" share=0.5\n";
        assert_eq!(rest, expected);
    }

    #[test]
    fn a_line_of_json_has_numbers_as_numbers_and_no_member_twice() {
        let fields = [
            ("count", 3.into()),
            ("message", "mine".into()),
            ("yes", true.into()),
            ("f", 0.5.into()),
        ];
        let line = line(Shape::Json, "it happened", &fields);
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read["message"], "it happened");
        assert_eq!((&read["count"], &read["yes"]), (&3.into(), &true.into()));
        assert_eq!((&read["message_"], &read["f"]), (&"mine".into(), &0.5.into()));
        assert_eq!((&read["level"], &read["target"]), (&"warn".into(), &"here".into()));
    }

    #[test]
    fn nothing_in_a_text_ends_the_line_or_reaches_the_terminal() {
        let evil =
            "a\nb\r\nc\u{1b}[31md\u{9b}31me\u{85}f\u{2028}g\u{2029}h\u{202e}i\u{7f}j\0k\u{feff}";
        for shape in [TEXT, Shape::Json] {
            let line = line(shape, evil, &[("field", evil.into())]);
            let (last, others) = line.as_bytes().split_last().expect("a line");
            assert_eq!(*last, b'\n');
            assert!(others.iter().all(|b| (b' '..=b'~').contains(b)), "{line}");
        }
        let json = line(Shape::Json, evil, &[("field", evil.into())]);
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&read["message"], &read["field"]), (&evil.into(), &evil.into()));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        let line = line(Shape::Json, "", &[("field", long.as_str().into())]);
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let field = read["field"].as_str().expect("text");
        assert_eq!(field.chars().filter(|c| *c == 'é').count(), TEXT_BYTES_MAX / 2);
        assert!(field.ends_with(LEFT_OUT));
    }
}
