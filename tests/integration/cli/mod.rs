//! The commands that read a server's databases, as the real program in processes of
//! their own.

mod events;
mod verify;

use tempfile::TempDir;

use crate::store::site::Site;

/// The flags that name a site's database, `jobs.db`.
fn database(folder: &TempDir) -> [String; 2] {
    ["--database-url".to_owned(), format!("sqlite://{}/jobs.db", folder.path().display())]
}

/// Runs a command on a site's database; answers exit code, standard output and standard error.
fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    crate::support::program::run(
        arguments.iter().copied().chain(database(&site.folder).iter().map(String::as_str)),
    )
}
