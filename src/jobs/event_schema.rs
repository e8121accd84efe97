//! The published schemas of the events, made from [`Event`] and its parts.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{Discriminator, Object, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::event::{Event, EventDetail};
use super::{ContractorId, EventType, SCHEMA_VERSION};

/// Where `$ref`s lead in a description of the whole interface.
const COMPONENTS: &str = "#/components/schemas/";

/// An event of any type, as descriptions of the whole interface name it: one of a
/// component per type.
pub struct AnyEvent;

impl PartialSchema for AnyEvent {
    fn schema() -> RefOr<Schema> {
        let names = EventType::ALL.map(EventType::as_str);
        let mapping = names.map(|name| (name, format!("{COMPONENTS}{name}")));
        let event = OneOfBuilder::new()
            .description(Some("An immutable fact about a job, as every client gets it."))
            .discriminator(Some(Discriminator::with_mapping("type", mapping)));
        names.into_iter().map(Ref::from_schema_name).fold(event, OneOfBuilder::item).into()
    }
}

impl ToSchema for AnyEvent {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(components());
        schemas.extend(EventType::ALL.map(|event_type| {
            (event_type.as_str().to_owned(), RefOr::T(event_type.component().into()))
        }));
    }
}

impl EventType {
    /// The events of this type, as a component.
    fn component(self) -> Object {
        let mut event = common_fields();
        let detail = detail_fields(self);
        event.description = Some(self.meaning().to_owned());
        event.properties.insert("type".to_owned(), self.discriminator());
        event.properties.extend(detail.properties);
        event.required.extend(detail.required);
        event
    }

    /// The name of the current version's schema: `JobCreated.v1`.
    #[must_use]
    pub fn schema_name(self) -> String {
        format!("{}.v{SCHEMA_VERSION}", self.as_str())
    }

    /// The JSON Schema (2020-12) of this type's events, which stands for itself.
    #[must_use]
    pub fn schema(self) -> Value {
        let components: Map<String, Value> = components()
            .into_iter()
            .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
            .collect();
        let mut body = serde_json::to_value(self.component()).unwrap_or_default();
        inline(&mut body, &components);
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": format!("urn:signalbox:schema:{}", self.schema_name()),
            "title": self.as_str(),
        });
        if let (Some(schema), Value::Object(body)) = (schema.as_object_mut(), body) {
            schema.extend(body);
        }
        schema
    }

    /// What an event of this type says, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::JobCreated => "A job was made.",
            Self::JobAssigned => "A job's contractors were replaced.",
            Self::JobRescheduled => "A job was moved to another window.",
            Self::JobCancelled => "A job was called off.",
        }
    }

    /// The field that tells the types apart.
    fn discriminator(self) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What happened; also the name of the hub method."))
            .enum_values(Some([self.as_str()]))
            .build()
            .into()
    }
}

/// What the events' components refer to, by name.
fn components() -> Vec<(String, RefOr<Schema>)> {
    // Named in lists of theirs, which do not say so.
    let mut components = vec![(ContractorId::name().into_owned(), ContractorId::schema())];
    Event::schemas(&mut components);
    components.retain(|(name, _)| name != "EventDetail");
    components
}

/// The object among the parts that make up an event: the rest is what differs.
fn common_fields() -> Object {
    let RefOr::T(Schema::AllOf(event)) = Event::schema() else {
        unreachable!("an event is its common fields and its detail")
    };
    let object = event.items.into_iter().find_map(|part| match part {
        RefOr::T(Schema::Object(object)) => Some(object),
        _ => None,
    });
    object.expect("an event has common fields")
}

/// The variant of the detail that is titled as the type is named.
fn detail_fields(event_type: EventType) -> Object {
    let RefOr::T(Schema::OneOf(detail)) = EventDetail::schema() else {
        unreachable!("a detail is one of its variants")
    };
    let object = detail.items.into_iter().find_map(|variant| match variant {
        RefOr::T(Schema::Object(object)) => {
            (object.title.as_deref() == Some(event_type.as_str())).then_some(object)
        }
        _ => None,
    });
    object.expect("every type has a variant of the detail")
}

/// Puts in place of each reference what it refers to, where what stands beside it wins,
/// and closes objects: what is more than this is another version.
fn inline(schema: &mut Value, components: &Map<String, Value>) {
    if let Some(members) = schema.as_object_mut() {
        let name = members.remove("$ref");
        let name = name.as_ref().and_then(Value::as_str);
        let referred = name.and_then(|name| components.get(name.strip_prefix(COMPONENTS)?));
        for (member, value) in referred.and_then(Value::as_object).into_iter().flatten() {
            members.entry(member.clone()).or_insert_with(|| value.clone());
        }
        if members.contains_key("properties") {
            members.insert("additionalProperties".to_owned(), false.into());
        }
        members.values_mut().for_each(|value| inline(value, components));
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(|item| inline(item, components));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_stands_for_itself_and_has_the_fields_of_its_type() {
        for event_type in EventType::ALL {
            let schema = event_type.schema();
            assert!(!schema.to_string().contains("$ref"), "{schema:#}");
            assert_eq!(schema["properties"]["type"]["enum"], json!([event_type.as_str()]));
            let required = schema["required"].as_array().expect("required fields");
            let properties = schema["properties"].as_object().expect("fields");
            assert_eq!(required.len(), properties.len(), "{schema:#}");
        }
    }
}
