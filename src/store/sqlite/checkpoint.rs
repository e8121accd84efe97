//! Copies the write-ahead log back into its database, beside the writers.
//!
//! By itself SQLite does this within the commit that fills the log: whoever waits for
//! that one waits for megabytes to reach the disk. Here a thread does it. Most is copied
//! while writers go on; the little that they added meanwhile is copied in a turn of its
//! own, after which the log begins anew.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use r2d2::ManageConnection;

use super::connection::FileManager;
use super::gate::Gate;
use crate::store::StoreError;

/// How often it is looked whether there is something to copy.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Write transactions after which the log is copied back: some megabytes under load,
/// where a batch touches many pages.
const TURNS_MAX: u64 = 100;

/// After fewer of them it is copied back once it is this old.
const AGE_MAX: Duration = Duration::from_secs(2);

/// Starts the thread. It ends when nobody holds the gate any more.
pub(super) fn start(file: FileManager, gate: &Arc<Gate>) {
    let gate = Arc::downgrade(gate);
    let started =
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || run(&file, &gate));
    if let Err(error) = started {
        // SQLite copies the log back by itself, only later.
        log::warn!(error:%; "there is no thread to copy the write-ahead log back");
    }
}

fn run(file: &FileManager, gate: &Weak<Gate>) {
    let (mut turns_copied, mut copied_at) = (0, Instant::now());
    loop {
        std::thread::sleep(LOOK_INTERVAL);
        let Some(gate) = gate.upgrade() else {
            return;
        };
        let turns = gate.turns();
        let is_due = turns - turns_copied >= TURNS_MAX
            || (turns > turns_copied && copied_at.elapsed() >= AGE_MAX);
        if !is_due {
            continue;
        }
        // A connection per time is cheap beside the copying, and follows the file when
        // it is replaced.
        if let Err(error) = copy_back(file, &gate) {
            log::debug!(error:%; "the write-ahead log is not copied back for now");
        }
        // The copying's own turn is none that is to be copied.
        (turns_copied, copied_at) = (gate.turns().min(turns + 1), Instant::now());
    }
}

fn copy_back(file: &FileManager, gate: &Gate) -> Result<(), StoreError> {
    let mut open = file.connect()?;
    checkpoint(open.connection())?;
    let _turn = gate.enter();
    checkpoint(open.connection())
}

/// Copies what no reader holds back, and waits for nobody.
fn checkpoint(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    connection.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?;
    Ok(())
}
