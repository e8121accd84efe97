//! What a packager takes from the program: completions and manual pages.

use crate::support::program::run;

#[test]
fn each_shell_gets_completions_of_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        assert!(script.contains("verify") && script.contains("event-log-database-url"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_the_program_and_for_each_command() {
    let (code, page, _) = run(["manual"]);
    assert_eq!(code, Some(0));
    assert!(page.contains(".TH signalbox") && page.contains("signalbox\\-serve(1)"), "{page}");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().display().to_string();
    assert_eq!(run(["manual", "--into", &path]).0, Some(0));
    for name in ["signalbox", "signalbox-serve", "signalbox-events-export", "signalbox-verify"] {
        let page = folder.path().join(format!("{name}.1"));
        assert!(page.exists(), "{}", page.display());
    }
}
