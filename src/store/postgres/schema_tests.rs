use diesel::pg::Pg;
use diesel::prelude::*;

use super::*;

const MIGRATIONS: [&str; 4] = [
    include_str!("../../../migrations/postgres/jobs/2026-11-24-000000_create_jobs/up.sql"),
    include_str!(
        "../../../migrations/postgres/event_log/2026-11-24-000100_create_event_log/up.sql"
    ),
    include_str!("../../../migrations/postgres/jobs/2026-11-24-000200_keep_traces/up.sql"),
    include_str!("../../../migrations/postgres/event_log/2026-11-24-000300_keep_traces/up.sql"),
];

/// What a later migration adds to a table: its name, and the column's.
fn added(text: &str) -> Vec<(&str, &str)> {
    let changes = text.split("ALTER TABLE ").skip(1);
    let parts = changes.filter_map(|change| change.split_once(" ADD COLUMN "));
    parts.filter_map(|(table, column)| Some((table, column.split_whitespace().next()?))).collect()
}

/// The tables that the migrations make, each with its columns in their order.
fn migrated() -> Vec<(String, Vec<String>)> {
    let tables = MIGRATIONS.iter().flat_map(|text| text.split("CREATE TABLE ").skip(1));
    let tables = tables.map(|text| {
        let (name, rest) = text.split_once(" (\n").expect("a table's name");
        let (body, _) = rest.split_once("\n)").expect("a table's end");
        // What belongs to the line before is indented further.
        let lines = body.lines().filter(|line| !line.starts_with("     "));
        let names = lines.filter_map(|line| line.split_whitespace().next());
        let columns = names.filter(|name| *name != "CONSTRAINT").map(str::to_owned);
        (name.to_owned(), columns.collect::<Vec<_>>())
    });
    let mut tables: Vec<_> = tables.collect();
    for (table, column) in MIGRATIONS.iter().flat_map(|text| added(text)) {
        let changed = tables.iter_mut().find(|(name, _)| name == table);
        changed.expect("a table that was made before").1.push(column.to_owned());
    }
    tables
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
