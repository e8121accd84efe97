use std::io::Write as _;
use std::net::TcpListener;

use crate::support::database::TestDatabase;
use crate::support::program::{self, Serve};
use crate::support::service::free_port;

#[test]
fn the_exit_code_says_whether_a_server_is_well() {
    let address = format!("127.0.0.1:{}", free_port());
    let ask = |url: &str| program::run(["health", "--url", url]);
    let (alive, ready) = (format!("http://{address}/healthz"), format!("http://{address}/readyz"));
    let (code, _, complaint) = ask(&alive);
    assert_eq!(code, Some(1), "nobody is there");
    assert!(complaint.contains(&alive), "{complaint}");

    let database = TestDatabase::new();
    let server = Serve::on(&database).flag("--listen", &address).start();
    for url in [&alive, &ready] {
        assert_eq!(ask(url), (Some(0), String::new(), String::new()));
    }
    let absent = format!("http://{address}/nothing");
    assert_eq!(
        ask(&absent),
        (Some(1), String::new(), format!("signalbox: {absent} answered 404\n"))
    );
    assert!(server.stop());
}

#[test]
fn what_is_no_server_of_ours_is_not_well() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").expect("written");
    });
    let (code, _, complaint) = program::run(["health", "--url", &url]);
    other.join().expect("it ends");
    assert_eq!(code, Some(1));
    assert!(complaint.contains("does not speak HTTP"), "{complaint}");
    let (code, _, complaint) = program::run(["health", "--url", "ftp://host/"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("is not of the form"), "{complaint}");
}
