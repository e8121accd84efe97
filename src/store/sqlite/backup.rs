//! Copies of a file that others write.

use std::path::Path;

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, RunQueryDsl as _, sql_query};
use r2d2::ManageConnection as _;

use super::connection::{FileManager, OpenFile};
use crate::store::StoreError;

/// Copies the file as it is now; there must be none of the copy's name.
///
/// It is one transaction that reads, so nobody waits for it; the write-ahead log cannot be
/// emptied before it has ended.
pub(in crate::store) fn copy(path: &Path, to: &Path) -> Result<(), StoreError> {
    let to = to.to_str().ok_or_else(|| {
        StoreError::Unavailable(format!("the path '{}' is not UTF-8", to.display()))
    })?;
    let mut file = FileManager::existing(path)?.connect()?;
    sql_query("VACUUM INTO ?").bind::<Text, _>(to).execute(file.connection())?;
    Ok(())
}

/// Removes the events that a copy of the log has and a copy of the jobs has not.
pub(in crate::store) fn cut_log_behind_jobs(log: &Path, jobs: &Path) -> Result<(), StoreError> {
    let open =
        |path: &Path| -> Result<OpenFile, StoreError> { FileManager::existing(path)?.connect() };
    let last = sql_query("SELECT last FROM event_sequence")
        .get_result::<Last>(open(jobs)?.connection())?;
    open(log)?.connection().transaction(|connection| {
        for table in ["event_log_groups", "event_log"] {
            sql_query(format!("DELETE FROM {table} WHERE sequence > ?"))
                .bind::<BigInt, _>(last.last)
                .execute(connection)?;
        }
        Ok(())
    })
}

#[derive(diesel::QueryableByName)]
struct Last {
    #[diesel(sql_type = BigInt)]
    last: i64,
}
