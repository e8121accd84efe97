use diesel::pg::Pg;
use diesel::prelude::*;

use super::*;

const MIGRATIONS: [&str; 2] = [
    include_str!("../../../migrations/postgres/jobs/2026-11-24-000000_create_jobs/up.sql"),
    include_str!(
        "../../../migrations/postgres/event_log/2026-11-24-000100_create_event_log/up.sql"
    ),
];

/// The tables that the migrations make, each with its columns in their order.
fn migrated() -> Vec<(String, Vec<String>)> {
    let tables = MIGRATIONS.iter().flat_map(|text| text.split("CREATE TABLE ").skip(1));
    tables
        .map(|text| {
            let (name, rest) = text.split_once(" (\n").expect("a table's name");
            let (body, _) = rest.split_once("\n)").expect("a table's end");
            // What belongs to the line before is indented further.
            let lines = body.lines().filter(|line| !line.starts_with("     "));
            let names = lines.filter_map(|line| line.split_whitespace().next());
            let columns = names.filter(|name| *name != "CONSTRAINT").map(str::to_owned);
            (name.to_owned(), columns.collect())
        })
        .collect()
}

/// The names between the quotes of a select clause, in their order.
fn selected(statement: &str) -> Vec<String> {
    let columns = statement.split(" FROM ").next().unwrap_or_default();
    let name = |column: &str| column.rsplit('"').nth(1).map(str::to_owned);
    columns.split(", ").filter_map(name).collect()
}

macro_rules! table_and_columns {
    ($table:ident) => {{
        let query = $table::table.select($table::all_columns);
        let statement = diesel::debug_query::<Pg, _>(&query).to_string();
        (stringify!($table).to_owned(), selected(&statement))
    }};
}

#[test]
fn each_table_has_the_columns_that_the_migrations_give_it() {
    let mut declared = vec![
        table_and_columns!(contractors),
        table_and_columns!(jobs),
        table_and_columns!(job_assignments),
        table_and_columns!(outbox),
        table_and_columns!(idempotency_keys),
        table_and_columns!(event_sequence),
        table_and_columns!(event_log),
        table_and_columns!(event_log_groups),
    ];
    let mut migrated = migrated();
    declared.sort();
    migrated.sort();
    assert_eq!(declared, migrated);
}
