//! Values that are JSON already.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A value that stands in JSON text: written as it is in the JSON protocol, and as
/// the value that it says in MessagePack, its members in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(pub Arc<str>);

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        if serializer.is_human_readable() {
            let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
            raw.serialize(serializer)
        } else {
            let value: rmpv::Value = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
            value.serialize(serializer)
        }
    }
}
