//! Stages the web page for embedding: the files of `static/`, and the SignalR client
//! that npm brings, go to `$OUT_DIR/static`.
//!
//! Nothing of npm's is kept in the repository; `static/package-lock.json` pins it by
//! its hash. Without the feature `board` the folder stays empty, and neither Node.js
//! nor a network is needed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a browser gets; the rest of `static/` is for the build.
const SERVED_EXTENSIONS: [&str; 5] = ["html", "css", "js", "svg", "txt"];

/// What npm reads.
const NPM_FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// A file of an npm package, and the path that it is served under.
const VENDORED: [(&str, &str); 4] = [
    ("@microsoft/signalr/dist/browser/signalr.min.js", "vendor/signalr.min.js"),
    (
        "@daypilot/daypilot-lite-javascript/daypilot-javascript.min.js",
        "vendor/daypilot-javascript.min.js",
    ),
    ("@daypilot/daypilot-lite-javascript/LICENSE.txt", "vendor/daypilot.LICENSE.txt"),
    ("@daypilot/daypilot-lite-javascript/NOTICE.txt", "vendor/daypilot.NOTICE.txt"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // They are embedded by a macro, which cannot say so itself.
    println!("cargo:rerun-if-changed=migrations");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let staged = out.join("static");
    // A file that was deleted in the source must not live on in the binary.
    if staged.exists() {
        done("empty", &staged, fs::remove_dir_all(&staged));
    }
    done("make", &staged, fs::create_dir_all(&staged));
    if env::var_os("CARGO_FEATURE_BOARD").is_none() {
        return;
    }
    let root = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let source = Path::new(&root).join("static");
    stage(&source, &staged);
    let packages = install(&source, &out.join("npm"));
    for (from, to) in VENDORED {
        copy(&packages.join(from), &staged.join(to));
    }
}

/// Copies what is served, folder by folder, and has cargo watch it.
fn stage(from: &Path, to: &Path) {
    // The folder itself is named too, so that a new file is noticed.
    println!("cargo:rerun-if-changed={}", from.display());
    for entry in done("list", from, fs::read_dir(from)) {
        let path = done("list", from, entry).path();
        let name = path.file_name().expect("a folder's entry has a name");
        if path.is_dir() {
            // Left behind by somebody who ran npm here.
            if name != "node_modules" {
                stage(&path, &to.join(name));
            }
            continue;
        }
        println!("cargo:rerun-if-changed={}", path.display());
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| SERVED_EXTENSIONS.contains(&extension)) {
            copy(&path, &to.join(name));
        }
    }
}

/// Has npm install exactly what the lock file names, unless it did so before; answers
/// the folder of the packages.
fn install(source: &Path, npm: &Path) -> PathBuf {
    let packages = npm.join("node_modules");
    // Written last, so that an install which was cut short is not taken for done.
    let receipt = npm.join("installed-lock.json");
    let lock = source.join("package-lock.json");
    let wanted = done("read", &lock, fs::read(&lock));
    if fs::read(&receipt).is_ok_and(|installed| installed == wanted) {
        return packages;
    }
    for file in NPM_FILES {
        copy(&source.join(file), &npm.join(file));
    }
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let outcome = Command::new(program)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(npm)
        .output();
    match outcome {
        Err(error) => panic!(
            "the web page needs npm, which cannot be run ({error}): \
             install Node.js, or build with --no-default-features"
        ),
        Ok(output) if !output.status.success() => panic!(
            "npm could not install the web page's packages ({}); \
             to build without the page: --no-default-features\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
        Ok(_) => copy(&lock, &receipt),
    }
    packages
}

fn copy(from: &Path, to: &Path) {
    if let Some(folder) = to.parent() {
        done("make", folder, fs::create_dir_all(folder));
    }
    // Read and written, not copied: a read-only source would make the next build fail.
    let content = done("read", from, fs::read(from));
    done("write", to, fs::write(to, content));
}

/// The result, or the end of the build with what was tried.
fn done<T>(what: &str, path: &Path, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("cannot {what} {}: {error}", path.display()))
}
