//! Which file an URL names, if any.

use super::{config, config_with_log, folder};
use signalbox::store::{StoreConfig, StoreError, open};

#[test]
fn another_name_of_the_jobs_file_is_the_same_database() {
    let folder = folder();
    let path = folder.path().display();
    let mut config = config(&folder);
    // The name counts before there is a file, and the file once there is one.
    for name in ["jobs.db", "./jobs.db", "link.db"] {
        config.event_log_database_url = Some(format!("sqlite://{path}/{name}"));
        assert!(open(&config).expect("the store opens").log_shares_database, "{name}");
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(
            folder.path().join("jobs.db"),
            folder.path().join("link.db"),
        );
    }
}

#[test]
fn urls_that_name_no_file_are_refused() {
    let folder = folder();
    for url in ["sqlite://:memory:", "mysql://ann:secret@host/db", "jobs.db"] {
        let jobs = StoreConfig { database_url: url.into(), ..config(&folder) };
        let log =
            StoreConfig { event_log_database_url: Some(url.into()), ..config_with_log(&folder) };
        for config in [jobs, log] {
            let error = open(&config).err().expect("the url is refused");
            assert!(matches!(error, StoreError::Url(_)), "{error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
