//! The write-ahead log does not grow for ever.

use std::fs;
use std::time::Instant;

use super::super::site::{Site, hours, reschedule};
use crate::support::PATIENCE;

/// How often a write-ahead log has begun anew, as its header counts: four bytes from
/// the thirteenth on (SQLite's file format, section 4.1).
fn begun_anew(site: &Site) -> u32 {
    let log = fs::read(site.database.file().with_extension("db-wal")).expect("a write-ahead log");
    u32::from_be_bytes(log[12..16].try_into().expect("four bytes"))
}

#[test]
fn the_write_ahead_log_begins_anew_while_commands_go_on() {
    let site = super::site();
    let job = site.job(hours(9, 10), &[]);
    let (first, since) = (begun_anew(&site), Instant::now());
    let mut moves = 0;
    while begun_anew(&site) < first + 2 {
        moves += 1;
        site.accept(reschedule(job, hours(10 + moves % 2, 12)));
        assert!(since.elapsed() < PATIENCE, "it only grew");
    }
}
