//! Stands for the PostgreSQL backend in a build without it: refuses its URLs.

use std::sync::Arc;

use super::migrations::Contents;
use super::{EventLog, JobStore, JobsAndLog, StoreError};

type Refused<T> = Result<T, StoreError>;

pub(super) fn open_both(_: &str, _: &str, _: bool) -> Refused<JobsAndLog> {
    Err(refused())
}

pub(super) fn open_jobs(_: &str, _: bool) -> Refused<Arc<dyn JobStore>> {
    Err(refused())
}

pub(super) fn open_log(_: &str, _: &str, _: bool) -> Refused<Arc<dyn EventLog>> {
    Err(refused())
}

pub(super) fn read_both(_: &str) -> Refused<JobsAndLog> {
    Err(refused())
}

pub(super) fn read_jobs(_: &str) -> Refused<Arc<dyn JobStore>> {
    Err(refused())
}

pub(super) fn read_log(_: &str) -> Refused<Arc<dyn EventLog>> {
    Err(refused())
}

pub(super) fn check_built() -> Refused<()> {
    Err(refused())
}

pub(super) fn pending_migrations(_: &str, _: Contents) -> Refused<Vec<String>> {
    Err(refused())
}

fn refused() -> StoreError {
    StoreError::Url("this build has no PostgreSQL; build it with the feature postgres".to_owned())
}
