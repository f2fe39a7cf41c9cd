//! The binary as an operator types it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn haechi(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haechi"));
    command.current_dir(dir).env_clear().args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_version_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let text = stdout(&haechi(dir.path(), &["version"]));
    assert_eq!(text, format!("haechi {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_configuration_is_checked_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let refused = haechi(dir.path(), &["config", "check"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("HAECHI_SERVER_NAME"), "{}", stderr(&refused));

    fs::write(dir.path().join("haechi.toml"), "server_name = 'a.example'").unwrap();
    let text = stdout(&haechi(dir.path(), &["config", "check"]));
    assert_eq!(text, "the configuration of a.example is in order\n");

    let flags = ["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2", "--log-level", "debug"];
    let text = stdout(&haechi(dir.path(), &[&["config", "show"], &flags[..]].concat()));
    assert!(text.contains("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]  # --listen"), "{text}");
    assert!(text.contains("server_name = \"a.example\"  # haechi.toml"), "{text}");

    let refused = haechi(dir.path(), &["config", "check", "--log-level", "inof"]);
    assert!(stderr(&refused).contains("`inof` is no log level"), "{}", stderr(&refused));
}
