//! Bounds of the free texts. They are counted as the text stands in JSON, because
//! what they protect is the size of an event.

use super::FieldError;

/// Bytes of a job's title.
pub const TITLE_BYTES_MAX: usize = 160;
/// Bytes of a customer's name.
pub const CUSTOMER_BYTES_MAX: usize = 300;
/// Bytes of a site's address.
pub const ADDRESS_BYTES_MAX: usize = 300;
/// Bytes of the reason of a change.
pub const REASON_BYTES_MAX: usize = 300;
/// Bytes of an actor's name, as a token carries it.
pub const ACTOR_NAME_BYTES_MAX: usize = 100;
/// Bytes of a contractor's name.
pub const CONTRACTOR_NAME_BYTES_MAX: usize = 100;
/// Bytes of a token's subject, which every event carries as the actor's id.
pub const SUBJECT_BYTES_MAX: usize = 128;
/// Bytes of a request id, which every event carries as its correlation id.
pub const CORRELATION_ID_BYTES_MAX: usize = 64;

/// Whether a text keeps its bound in UTF-8 bytes as written in JSON (a quote
/// counts as two), and has no control character.
pub fn bounded_text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), FieldError> {
    if text.chars().any(char::is_control) {
        return Err(FieldError::new(field, "has a control character"));
    }
    let escapes = text.bytes().filter(|b| matches!(b, b'"' | b'\\')).count();
    let bytes = text.len() + escapes;
    if bytes > bytes_max {
        return Err(FieldError::new(
            field,
            format!("is {bytes} bytes long, more than {bytes_max}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_json_text() {
        for text in ["plain", "a \"quoted\" word", "back\\slash", "Zürich 東京 🙂", "<b>&amp;</b>"]
        {
            let written = serde_json::to_string(text).expect("a string is JSON").len() - 2;
            assert!(bounded_text("title", text, written).is_ok(), "{text}");
            assert!(bounded_text("title", text, written - 1).is_err(), "{text}");
        }
    }

    #[test]
    fn control_characters_are_refused() {
        for text in ["a\nb", "\u{0}", "\u{7f}", "\u{85}"] {
            assert!(bounded_text("title", text, 100).is_err(), "{text:?}");
        }
    }
}
