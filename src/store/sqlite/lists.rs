//! Reading jobs and contractors.

use diesel::SqliteConnection;
use diesel::sqlite::Sqlite;

use crate::store::lists::lists;

lists!(Sqlite on SqliteConnection);
