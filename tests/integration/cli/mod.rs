//! The commands that read a server's databases, as the real program in processes of
//! their own.

mod backup;
mod config;
mod events;
mod health;
mod manual;
mod verify;

use crate::store::site::Site;

/// The flags that name a site's database.
fn database(site: &Site) -> [String; 2] {
    ["--database-url".to_owned(), site.database.url()]
}

/// Runs a command on a site's database; answers exit code, standard output and standard error.
fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    crate::support::program::run(
        arguments.iter().copied().chain(database(site).iter().map(String::as_str)),
    )
}
