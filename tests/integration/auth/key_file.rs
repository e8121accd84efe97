//! Keys from a file, which is read again when it changes.

use std::fs;
use std::path::PathBuf;

use signalbox::auth::{Authenticator, KeysState, Reason};
use tempfile::TempDir;

use super::{authenticator, by_keys, reason};
use crate::support::issuer::{Key, key_set};
use crate::support::{program, until};

/// A file of keys in a folder of its own.
struct KeyFile {
    folder: TempDir,
}

impl KeyFile {
    fn new(keys: &[&Key]) -> Self {
        let file = Self { folder: TempDir::new().expect("a temporary folder") };
        file.write(&key_set(keys).to_string());
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("the file is written");
    }

    /// In one step, as whoever deploys files does it.
    fn replace(&self, text: &str) {
        let next = self.folder.path().join("next.json");
        fs::write(&next, text).expect("the file is written");
        fs::rename(next, self.path()).expect("the file is replaced");
    }

    fn checks(&self) -> Authenticator {
        authenticator(&by_keys(&self.path().display().to_string()))
    }
}

async fn is_in(checks: &Authenticator, state: KeysState) {
    until("the file was looked at", || async { checks.keys().expect("keys").state == state }).await;
}

#[actix_web::test]
async fn a_file_that_changes_is_read_again() {
    let (first, second, third) = (Key::p256("1"), Key::p256("2"), Key::p256("3"));
    let file = KeyFile::new(&[&first]);
    let checks = file.checks();
    assert!(checks.authenticate(&first.token()).await.is_ok());
    file.write(&key_set(&[&first, &second]).to_string());
    assert!(checks.authenticate(&second.token()).await.is_ok(), "it is looked up when asked for");
    file.replace(&key_set(&[&third]).to_string());
    until("the first key is gone", || async {
        reason(checks.authenticate(&first.token()).await) == Some(Reason::UnknownKey)
    })
    .await;
    assert!(checks.authenticate(&third.token()).await.is_ok());
}

#[actix_web::test]
async fn what_was_in_the_file_stays_while_it_is_garbage_empty_or_gone() {
    let key = Key::ed25519("d");
    let file = KeyFile::new(&[&key]);
    let checks = file.checks();
    for garbage in ["", "{", "{\"keys\":[]}", "<html>"] {
        file.write(garbage);
        is_in(&checks, KeysState::Kept).await;
        assert!(checks.authenticate(&key.token()).await.is_ok(), "{garbage:?}");
        file.write(&key_set(&[&key]).to_string());
        is_in(&checks, KeysState::Current).await;
    }
    fs::remove_file(file.path()).expect("it was there");
    is_in(&checks, KeysState::Kept).await;
    assert!(checks.authenticate(&key.token()).await.is_ok());
}

#[test]
fn a_file_that_is_missing_or_has_no_keys_is_a_fault_of_the_settings() {
    let file = KeyFile::new(&[&Key::ed25519("d")]);
    let path = file.path().display().to_string();
    let check = |name: &str| program::run(["config", "check", "--jwks", name]);
    let (code, said, _) = check(&path);
    assert_eq!((code, said.as_str()), (Some(0), "the settings are in order\n"));
    for (text, reason) in [
        ("{\"keys\":[]}", "the JWKS has no keys"),
        ("garbage", "the JWKS is no JSON Web Key Set"),
        (
            r#"{"keys":[{"kty":"oct","kid":"s","k":"c2VjcmV0"}]}"#,
            "the JWKS has no key that can be used: 's' is a symmetric key",
        ),
    ] {
        file.write(text);
        let (code, _, said) = check(&path);
        assert!(
            code == Some(1) && said.starts_with(&format!("signalbox: jwks: {reason}")),
            "{said}"
        );
    }
    for (wrong, reason) in [
        ("nowhere.json", "the JWKS cannot be read: No such file"),
        ("ftp://login.example/keys", "the JWKS is neither a file nor a URL"),
        ("https://ann:hush@login.example/keys", "the JWKS has a user name"),
    ] {
        let (code, _, said) = check(wrong);
        assert!(
            code == Some(1) && said.starts_with(&format!("signalbox: jwks: {reason}")),
            "{said}"
        );
        assert!(!said.contains("hush"), "{said}");
    }
    let (code, said, _) = program::run(["config", "check", "--jwks", "https://login.example/keys"]);
    assert_eq!((code, said.as_str()), (Some(0), "the settings are in order\n"), "nobody is asked");
}
