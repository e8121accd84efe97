use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

use super::*;
use crate::store::migrations::Contents;
use crate::store::sqlite::migrations;

fn migrated() -> SqliteConnection {
    let mut connection = SqliteConnection::establish(":memory:").expect("SQLite is built in");
    migrations::apply(&mut connection, Contents::JobsAndEventLog).expect("migrations apply");
    connection
}

/// The names between the quotes of a select clause, in their order.
fn selected(statement: &str) -> Vec<String> {
    let columns = statement.split(" FROM ").next().unwrap_or_default();
    let name = |column: &str| column.rsplit('`').nth(1).map(str::to_owned);
    columns.split(", ").filter_map(name).collect()
}

macro_rules! table_and_columns {
    ($table:ident) => {{
        let query = $table::table.select($table::all_columns);
        (stringify!($table), diesel::debug_query::<Sqlite, _>(&query).to_string())
    }};
}

fn declared() -> [(&'static str, String); 8] {
    [
        table_and_columns!(contractors),
        table_and_columns!(jobs),
        table_and_columns!(job_assignments),
        table_and_columns!(outbox),
        table_and_columns!(idempotency_keys),
        table_and_columns!(event_sequence),
        table_and_columns!(event_log),
        table_and_columns!(event_log_groups),
    ]
}

#[test]
fn each_table_has_the_columns_that_the_migrations_give_it() {
    let connection = &mut migrated();
    for (table, statement) in declared() {
        let names = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid");
        let migrated: Vec<String> = sql::<Text>(&names).load(connection).expect("a table");
        assert_eq!(selected(&statement), migrated, "{table}");
    }
}

#[test]
fn every_migrated_table_is_declared() {
    let connection = &mut migrated();
    let names = "SELECT name FROM sqlite_master
                 WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '__diesel*'
                 ORDER BY name";
    let migrated: Vec<String> = sql::<Text>(names).load(connection).expect("the list of tables");
    let mut declared: Vec<String> = declared().iter().map(|(name, _)| (*name).to_owned()).collect();
    declared.sort();
    assert_eq!(declared, migrated);
}

#[test]
fn garbled_rows_are_told_from_trouble_that_may_pass() {
    let connection = &mut migrated();
    let broken = connection.batch_execute("UPDATE event_sequence SET last = -1");
    let missing = connection.batch_execute("SELECT * FROM absent");
    for outcome in [broken, missing] {
        let error = outcome.expect_err("the statement is wrong").into();
        assert!(matches!(error, crate::store::StoreError::Corrupt(_)), "{error:?}");
    }
    connection.batch_execute("PRAGMA query_only = ON").expect("a pragma");
    let error = connection
        .batch_execute("UPDATE event_sequence SET last = 1")
        .expect_err("nothing can be written")
        .into();
    assert!(matches!(error, crate::store::StoreError::Unavailable(_)), "{error:?}");
}
