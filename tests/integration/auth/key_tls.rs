//! Keys over TLS: from whom the system trusts, and from nobody else.

use std::fs;

use crate::support::database::TestDatabase;
use crate::support::issuer::{AUTHORITY, Key, KeyServer, Manner, OTHER_AUTHORITY};
use crate::support::program::{Program, Serve};
use crate::support::service::free_port;
use crate::support::until;

/// The program with keys from there, and the log that it writes.
struct Scene {
    _program: Program,
    _database: TestDatabase,
    folder: tempfile::TempDir,
    url: String,
}

impl Scene {
    fn start(source: &KeyServer, trusted: &str) -> Self {
        let (database, folder) = (TestDatabase::new(), tempfile::tempdir().expect("a folder"));
        let address = format!("127.0.0.1:{}", free_port());
        let into_log = format!("exec \"$@\" 2>'{}'", folder.path().join("log").display());
        let program = Serve::on(&database)
            .flag("--listen", &address)
            .flag("--jwks", &source.url())
            .environment("SSL_CERT_FILE", trusted)
            .within(&["sh", "-c", &into_log, "sh"])
            .start();
        let url = format!("http://{address}");
        Self { _program: program, _database: database, folder, url }
    }

    async fn status(&self, token: &str) -> u16 {
        let request = awc::Client::new().get(format!("{}/api/jobs", self.url));
        request.bearer_auth(token).send().await.expect("an answer").status().as_u16()
    }

    /// Waits until the log says so.
    async fn says(&self, text: &str) {
        let log = self.folder.path().join("log");
        until(text, || async { fs::read_to_string(&log).is_ok_and(|log| log.contains(text)) })
            .await;
    }
}

#[actix_web::test]
async fn keys_are_taken_from_a_server_that_the_system_trusts() {
    let key = Key::ed25519("d");
    let source = KeyServer::start_tls(Manner::keys(&[&key]));
    let scene = Scene::start(&source, AUTHORITY);
    let token = key.token();
    until("the keys are there", || async { scene.status(&token).await == 200 }).await;
}

#[actix_web::test]
async fn keys_of_a_server_that_nobody_vouches_for_are_not_taken() {
    let key = Key::ed25519("d");
    let source = KeyServer::start_tls(Manner::keys(&[&key]));
    let scene = Scene::start(&source, OTHER_AUTHORITY);
    scene.says("is not trusted: invalid peer certificate").await;
    assert_eq!(scene.status(&key.token()).await, 503);
    assert_eq!(source.asked(), 0);
}

#[actix_web::test]
async fn a_redirect_does_not_lead_out_of_tls() {
    let key = Key::ed25519("d");
    let plain = KeyServer::start(Manner::keys(&[&key]));
    let source = KeyServer::start_tls(Manner::redirect(&plain.url()));
    let scene = Scene::start(&source, AUTHORITY);
    scene.says("redirects to plain http").await;
    assert_eq!((scene.status(&key.token()).await, plain.asked()), (503, 0));
}
