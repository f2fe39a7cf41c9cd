//! `run`: a server on this machine to try and to develop with.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    cargo::{self, cargo},
    install, shell, web,
};

/// Where the server of `run` listens.
const LISTEN: &str = "127.0.0.1:8008";

/// Builds the server and serves `./data`; `rest` goes to `haechi serve`, but for `--dev`.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    install::ensure(&[install::C_COMPILER, install::NPM])?;
    web::build()?;
    let (dev, rest): (Vec<_>, Vec<_>) = rest.iter().partition(|arg| *arg == "--dev");
    let profile = if dev.is_empty() { "quick" } else { "dev" };
    let haechi = build_server(profile)?;
    let listen = value_of("--listen", &rest).unwrap_or(LISTEN);
    eprintln!(
        "
Haechi, its data in ./data. Stop it by Ctrl-C.
    The web app: open http://{listen} in a browser
    Element Web or Cinny: choose \"Edit\" beside the homeserver and enter http://{listen}
    Element X and phones want https: see \"Point a client at it\" in README.md
    Registration is open: whoever reaches this address may make an account.
"
    );
    let mut serve = Command::new(haechi);
    serve.arg("serve");
    for (flag, value) in [
        ("--server-name", "localhost"),
        ("--public-base-url", &format!("http://{listen}")),
        ("--listen", listen),
        ("--data-dir", "data"),
        ("--registration", "open"),
    ] {
        if value_of(flag, &rest).is_none() {
            serve.args([flag, value]);
        }
    }
    shell::become_it(serve.args(rest))
}

/// What stands after `flag`, or after `flag=`.
fn value_of<'a>(flag: &str, args: &[&'a String]) -> Option<&'a str> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.strip_prefix(flag) {
            Some("") => return args.next().map(|value| value.as_str()),
            Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
            _ => {}
        }
    }
    None
}

/// Builds the binary `haechi` and says where it is.
pub(crate) fn build_server(profile: &str) -> Result<PathBuf> {
    let metadata = cargo::metadata()?;
    cargo::package(&metadata, "haechi-server").context("the workspace has no haechi-server")?;
    let what = ["--package", "haechi-server", "--bin", "haechi", "--profile", profile];
    shell::run(cargo(&["build"]).args(what))?;
    Ok(cargo::built(&metadata, profile, "haechi"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_both_forms() {
        let args: Vec<String> = ["--listen", "[::]:1", "--data-dir=x"].map(String::from).into();
        let args: Vec<&String> = args.iter().collect();
        assert_eq!(value_of("--listen", &args), Some("[::]:1"));
        assert_eq!(value_of("--data-dir", &args), Some("x"));
        assert_eq!(value_of("--data", &args), None);
    }
}
