//! `bench`: measures the release build with the load generator `haechi-bench`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    cargo::{self, cargo},
    install, run, shell,
};

/// Builds server and load generator for release and runs the latter with the arguments `rest`.
///
/// It starts a fresh server, and with `--database postgres` a fresh PostgreSQL beside it.
pub(crate) fn bench(rest: &[String]) -> Result<()> {
    install::ensure(&[install::C_COMPILER])?;
    if rest.iter().any(|arg| arg.ends_with("postgres")) {
        install::ensure(&[install::POSTGRES])?;
    }
    let haechi = run::build_server("release")?;
    let metadata = cargo::metadata()?;
    cargo::package(&metadata, "haechi-bench").context("the workspace has no haechi-bench")?;
    shell::run(&mut cargo(&["build", "--release", "--package", "haechi-bench"]))?;
    let mut bench = Command::new(cargo::built(&metadata, "release", "haechi-bench"));
    shell::run(bench.arg("--server-bin").arg(haechi).args(rest))
}
