//! Every direct dependency is documented with its reason, and no other is.

use std::collections::BTreeSet;

#[test]
fn the_list_of_dependencies_is_whole() {
    let manifest: toml::Table =
        include_str!("../../Cargo.toml").parse().expect("the manifest is TOML");
    let named = ["dependencies", "dev-dependencies"].into_iter().flat_map(|section| {
        let section = manifest[section].as_table().expect("a section");
        section.keys().cloned().collect::<Vec<_>>()
    });
    let rows = include_str!("../../docs/dependencies.md").lines();
    let documented = rows.filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let (named, documented): (BTreeSet<String>, BTreeSet<String>) =
        (named.collect(), documented.map(|(name, _)| name.to_owned()).collect());
    assert_eq!(named, documented);
}
