//! What is mounted, by the source that mounts it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The methods of every route of the HTTP interface. The files of the page are behind no
/// route; they are the same for anybody.
pub fn mounted() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/mod.rs");
    let text = fs::read_to_string(source).expect("a source file");
    let calls = text.split("resource(").skip(1).filter(|call| call.trim_start().starts_with('"'));
    let routes: BTreeMap<String, BTreeSet<String>> = calls.map(route).collect();
    assert!(routes.len() > 10, "the routes were found");
    routes
}

/// The path and the methods of `resource("PATH", "METHOD, METHOD")`, from the bracket on.
fn route(call: &str) -> (String, BTreeSet<String>) {
    let mut texts = call.split('"').skip(1).step_by(2);
    let mut text = || texts.next().expect("a route names a path and its methods");
    (text().to_owned(), text().split(", ").map(str::to_owned).collect())
}
