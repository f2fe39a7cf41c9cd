//! `run`: a server on this machine to try and to develop with.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    cargo::{self, cargo},
    install, shell,
};

/// Where the server of `run` listens.
const LISTEN: &str = "127.0.0.1:8008";

/// Builds the server and serves `./data`; `rest` goes to `haechi serve`, but for `--dev`.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    install::ensure(&[install::C_COMPILER])?;
    let (dev, rest): (Vec<_>, Vec<_>) = rest.iter().partition(|arg| *arg == "--dev");
    let profile = if dev.is_empty() { "release" } else { "debug" };
    let haechi = build_server(profile)?;
    eprintln!(
        "
Haechi on http://{LISTEN}, its data in ./data. Stop it by Ctrl-C.
    Element Web or Cinny: choose \"Edit\" beside the homeserver and enter http://{LISTEN}
    Element X and phones want https: see \"Point a client at it\" in README.md
    Anybody who reaches it may register; it listens on this machine only.
"
    );
    let mut serve = Command::new(haechi);
    serve.arg("serve");
    for (flag, value) in [
        ("--server-name", "localhost"),
        ("--public-base-url", &format!("http://{LISTEN}")),
        ("--listen", LISTEN),
        ("--data-dir", "data"),
        ("--registration", "open"),
    ] {
        if !rest.iter().any(|arg| arg.starts_with(flag)) {
            serve.args([flag, value]);
        }
    }
    shell::become_it(serve.args(rest))
}

/// Builds the binary `haechi` and says where it is.
pub(crate) fn build_server(profile: &str) -> Result<PathBuf> {
    let metadata = cargo::metadata()?;
    cargo::package(&metadata, "haechi-server").context("the workspace has no haechi-server")?;
    let mut build = cargo(&["build", "--package", "haechi-server", "--bin", "haechi"]);
    if profile == "release" {
        build.arg("--release");
    }
    shell::run(&mut build)?;
    Ok(cargo::built(&metadata, profile, "haechi"))
}
