use std::fs;

use super::run;
use crate::store::site::{Site, hours, reschedule};
use crate::support::database::TestDatabase;
use crate::support::program;

#[test]
fn the_exit_code_tells_clean_from_faulty_from_unchecked() {
    let site = Site::new();
    let job = site.job(hours(9, 10), &[]);
    site.accept(reschedule(job, hours(10, 11)));
    let (code, output, complaints) = run(&site, &["verify"]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    assert!(output.starts_with("events 2, sequences 1 to 2: in order, no gap\n"), "{output}");
    assert!(output.ends_with("\nverified: clean\n"), "{output}");

    site.database.open().run("UPDATE jobs SET version = 7");
    let (code, output, complaints) = run(&site, &["verify"]);
    assert_eq!((code, complaints.as_str()), (Some(1), ""));
    let fault = format!("fault: job {job} is not as its last event, 2, says: version\n");
    assert!(output.ends_with(&format!("{fault}verified: 1 fault\n")), "{output}");
}

#[test]
fn what_cannot_be_checked_is_not_called_clean() {
    let (absent, absent_file) = (TestDatabase::absent(), TestDatabase::sqlite());
    let (empty, empty_file) = (TestDatabase::new(), TestDatabase::sqlite());
    for empty in [&empty, &empty_file] {
        // SQLite makes the file with the first thing that is written.
        empty.open().run("CREATE TABLE t (n INTEGER); DROP TABLE t");
    }
    let before = fs::read(empty_file.file()).expect("a file");
    for (url, complaint) in [
        (absent.url(), "the database is unavailable"),
        (absent_file.url(), "cannot be opened"),
        (empty.url(), "lacks the migrations"),
        (empty_file.url(), "lacks the migrations"),
        ("mysql://host/db".to_owned(), "'mysql://host/db' is of neither form"),
    ] {
        let (code, output, said) = program::run(["verify", "--database-url", &url]);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{url}");
        assert!(said.starts_with("signalbox: ") && said.contains(complaint), "{said}");
    }
    assert!(!absent_file.file().exists());
    assert_eq!(fs::read(empty_file.file()).expect("a file"), before);
}
