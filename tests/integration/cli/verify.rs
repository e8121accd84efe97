use super::run;
use crate::store::site::{Site, folder, hours, reschedule};
use crate::support::database::Database;
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

    Database::open(&site.path("jobs.db")).run("UPDATE jobs SET version = 7");
    let (code, output, complaints) = run(&site, &["verify"]);
    assert_eq!((code, complaints.as_str()), (Some(1), ""));
    let fault = format!("fault: job {job} is not as its last event, 2, says: version\n");
    assert!(output.ends_with(&format!("{fault}verified: 1 fault\n")), "{output}");
}

#[test]
fn what_cannot_be_checked_is_not_called_clean() {
    let folder = folder();
    std::fs::write(folder.path().join("empty.db"), "").expect("the file is written");
    let file = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    for (url, complaint) in [
        (file("absent.db"), "cannot be opened"),
        (file("empty.db"), "lacks the migrations"),
        ("mysql://host/db".to_owned(), "'mysql://host/db' is of neither form"),
    ] {
        let (code, output, said) = program::run(["verify", "--database-url", &url]);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{url}");
        assert!(said.starts_with("signalbox: ") && said.contains(complaint), "{said}");
    }
    assert!(!folder.path().join("absent.db").exists());
    let empty = std::fs::metadata(folder.path().join("empty.db")).expect("a file");
    assert_eq!(empty.len(), 0);
}
