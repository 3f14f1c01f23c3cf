//! What was not checked cannot be used: each of these programs must not compile, for the reason given in its `.stderr`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

/// The library that was built last beside this test, which is what it was linked with, and the folder of all that it needs.
fn library() -> (PathBuf, PathBuf) {
    let folder = env::current_exe().expect("this test's own path").parent().expect("a folder").to_owned();
    let made = |path: &PathBuf| {
        fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libtilemark-") && name.ends_with(".rlib")
    };
    let files = fs::read_dir(&folder).expect("its folder").map(|file| file.expect("a listed file").path());
    (files.filter(is_library).max_by_key(made).expect("the library, beside this test"), folder)
}

/// What the compiler says of a program, a line for each error.
fn errors(program: &Path) -> String {
    let (library, dependencies) = library();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(env!("CARGO_MANIFEST_DIR"));
    rustc
        .args(["--edition", "2024", "--emit", "metadata", "--error-format", "short", "-o", "-"])
        .arg(program);
    rustc.arg("--extern").arg(format!("tilemark={}", library.display()));
    rustc.arg("-L").arg(format!("dependency={}", dependencies.display()));
    let output = rustc.output().expect("the compiler that made this test");
    assert!(!output.status.success(), "{} compiles", program.display());
    let text = String::from_utf8(output.stderr).expect("text");
    text.lines().filter(|line| line.contains(": error")).fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn misuse_does_not_compile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let mut programs: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    programs.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    assert!(programs.len() >= 9, "{} programs", programs.len());
    for path in programs {
        let program = Path::new("tests/compile_fail").join(path.file_name().unwrap());
        let expected = fs::read_to_string(path.with_extension("stderr")).unwrap();
        assert_eq!(errors(&program), expected, "{}", program.display());
    }
}
