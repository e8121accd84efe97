//! Reading jobs and contractors.

use diesel::PgConnection;
use diesel::pg::Pg;

use crate::store::lists::lists;

lists!(Pg on PgConnection);
