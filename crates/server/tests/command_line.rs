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
fn an_operator_works_without_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("haechi.toml"), "server_name = 'a.example'").unwrap();
    let made = stdout(&haechi(dir.path(), &["user", "create", "Mina", "--random-password"]));
    assert!(made.starts_with("@mina:a.example\npassword: "), "{made}");
    assert_eq!(stdout(&haechi(dir.path(), &["user", "list"])), "@mina:a.example\n");
    assert_eq!(stdout(&haechi(dir.path(), &["report", "list"])), "");
    assert_eq!(stdout(&haechi(dir.path(), &["media", "list", "mina"])), "");
    for (args, why) in [
        (&["media", "delete", "mxc://a.example/x"][..], "there is no mxc://a.example/x"),
        (&["media", "delete", "mxc://b.example/x"], "media of b.example is not kept here"),
        (&["media", "delete", "--everywhere", "x"], "`x` is no mxc:// address"),
        (&["media", "list", "nobody"], "no such user"),
        (&["report", "close", "7"], "there is no open report 7"),
    ] {
        let refused = haechi(dir.path(), args);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(why), "{}", stderr(&refused));
    }
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
