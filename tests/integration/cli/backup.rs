use std::fs;

use tempfile::TempDir;

use crate::store::site::{Site, hours};
use crate::support::database::TestDatabase;
use crate::support::program;

#[test]
fn a_copy_is_made_once_for_its_owner_alone_and_checked() {
    let site = Site::on(TestDatabase::sqlite());
    site.job(hours(9, 10), &[]);
    let folder = TempDir::new().expect("a folder");
    let (copy, url) = (folder.path().join("copy"), site.database.url());
    let to = copy.display().to_string();
    let back_up = || program::run(["backup", "--to", &to, "--database-url", &url]);
    let (code, said, complaints) = back_up();
    assert_eq!((code, complaints.as_str()), (Some(0), ""), "{said}");
    assert!(said.ends_with(&format!("backed up to {to}: all up to event 1\n")), "{said}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&copy).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else reads it: {mode:o}");
    }
    let before = fs::read(copy.join("signalbox.db")).expect("the copy is there");

    let (code, said, complaints) = back_up();
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(complaints.contains("is there already"), "{complaints}");
    assert_eq!(fs::read(copy.join("signalbox.db")).expect("the copy is there"), before);
    let names = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 1, "nothing is left over");
}

#[test]
fn a_copy_with_a_fault_is_not_called_a_backup() {
    let site = Site::on(TestDatabase::sqlite());
    site.job(hours(9, 10), &[]);
    site.database.open().run("UPDATE jobs SET version = 7");
    let folder = TempDir::new().expect("a folder");
    let (to, url) = (folder.path().join("copy").display().to_string(), site.database.url());
    let (code, said, complaints) = program::run(["backup", "--to", &to, "--database-url", &url]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("verified: 1 fault"), "{said}");
    assert!(complaints.contains("the copy has faults"), "{complaints}");
}

#[test]
fn what_cannot_be_copied_is_said_and_leaves_no_copy() {
    let absent = TestDatabase::absent_sqlite();
    let folder = TempDir::new().expect("a folder");
    let to = folder.path().join("copy").display().to_string();
    for (url, complaint) in [
        (absent.url(), "cannot be opened"),
        ("postgres://ann:hush@host/db".to_owned(), "backed up by its own pg_dump"),
        ("mysql://host/db".to_owned(), "is of neither form"),
    ] {
        let (code, said, complaints) =
            program::run(["backup", "--to", &to, "--database-url", &url]);
        assert_eq!((code, said.as_str()), (Some(1), ""), "{url}");
        assert!(complaints.contains(complaint) && !complaints.contains("hush"), "{complaints}");
        assert!(!folder.path().join("copy").exists());
    }
}
