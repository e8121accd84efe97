//! SECURITY.md says of each threat which tests hold what stands against it.

use std::fs;
use std::path::Path;

/// The threat, and the tests of its row: a file below `tests/`, and a name in it.
fn rows() -> Vec<(String, Vec<(String, String)>)> {
    let document = include_str!("../../SECURITY.md");
    let (_, table) = document.split_once("| threat |").expect("a table of threats");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [threat, _, tests] = cells[..] else { panic!("three cells: {row}") };
        let named = tests.split('`').filter_map(|text| text.split_once(": "));
        let named = named.map(|(file, name)| (file.to_owned(), name.to_owned()));
        (threat.trim().to_owned(), named.collect())
    })
    .collect()
}

#[test]
fn every_threat_has_tests_and_they_are_there() {
    let rows = rows();
    assert!(rows.len() > 10, "the table was found");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (threat, tests) in rows {
        assert!(!tests.is_empty(), "nothing holds: {threat}");
        for (file, name) in tests {
            let text = fs::read_to_string(folder.join(&file));
            let text = text.unwrap_or_else(|error| panic!("{threat}: {file}: {error}"));
            let is_there =
                text.contains(&format!("fn {name}(")) || text.contains(&format!("\"{name}\""));
            assert!(is_there, "{threat}: {file} has no test '{name}'");
        }
    }
}
