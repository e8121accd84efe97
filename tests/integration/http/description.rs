//! The described interface and the mounted one are the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use signalbox::http::Code;

use crate::support::http_client::Api;
use crate::support::site::Site;

/// Of a described path.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

async fn document(site: &Site) -> Value {
    let answer = Api::nobody(site).get("/openapi.json").send().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.body
}

/// The methods of each described path.
fn operations(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let methods = |item: &Value| {
        let names = item.as_object().expect("operations").keys();
        names.map(|name| name.to_uppercase()).collect()
    };
    paths.map(|(path, item)| (path.clone(), methods(item))).collect()
}

/// Something that is nowhere, where the path has a part to fill in.
fn filled_in(path: &str) -> String {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1))) {
        Some((before, after)) => format!("{before}{}{after}", uuid::Uuid::now_v7()),
        None => path.to_owned(),
    }
}

#[actix_web::test]
async fn what_is_described_is_mounted_and_other_methods_are_not() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    for (path, described) in operations(&document(&site).await) {
        for method in METHODS {
            let answer = api.call(method, &filled_in(&path)).send().await;
            if described.contains(method) {
                assert_ne!(answer.status, 405, "{method} {path}");
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
                let allow: BTreeSet<String> =
                    answer.header("allow").split(", ").map(str::to_owned).collect();
                assert_eq!(allow, described, "{path}");
            }
        }
    }
}

#[test]
fn nothing_is_mounted_past_the_described_endpoints() {
    let source = |name: &str| {
        let path = format!("{}/src/http/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("a source file")
    };
    assert!(source("endpoint").contains("web::resource("), "it is there that paths are mounted");
    let configure = source("mod");
    for way in ["web::resource(", "web::scope(", ".route(", ".service("] {
        assert!(!configure.contains(way), "{way} in http/mod.rs mounts what is not described");
    }
}

/// Every member of this name, wherever it is.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name));
            object.values().for_each(|value| members(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, name, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let site = Site::start().await;
    let document = document(&site).await;
    let mut references = Vec::new();
    members(&document, "$ref", &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        assert!(pointer.and_then(|pointer| document.pointer(pointer)).is_some(), "{reference}");
    }
    let mut ids = Vec::new();
    members(&document["paths"], "operationId", &mut ids);
    let names: BTreeSet<&str> = ids.iter().filter_map(|id| id.as_str()).collect();
    assert_eq!(names.len(), ids.len(), "{ids:?}");
}

#[actix_web::test]
async fn every_code_is_described_with_its_status_and_an_example_of_it() {
    let site = Site::start().await;
    let document = document(&site).await;
    let mut references = Vec::new();
    members(&document["paths"], "$ref", &mut references);
    let used: BTreeSet<&str> = references.iter().filter_map(|name| name.as_str()).collect();
    let responses = document["components"]["responses"].as_object().expect("responses");
    let mut described = BTreeSet::new();
    for (name, response) in responses {
        let is_used = used.contains(format!("#/components/responses/{name}").as_str());
        // A method that a path does not have is no operation.
        assert!(is_used || name == "method_not_allowed", "{name} is nobody's answer");
        let examples = &response["content"]["application/problem+json"]["examples"];
        for (code, example) in examples.as_object().expect("examples") {
            assert_eq!(example["value"]["code"], code.as_str());
            described.insert((code.clone(), example["value"]["status"].as_u64()));
        }
    }
    let all = Code::ALL
        .iter()
        .map(|code| (code.as_str().to_owned(), Some(u64::from(code.status().as_u16()))));
    assert_eq!(described, all.collect());
}
