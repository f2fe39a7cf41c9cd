//! `bench`: measures the release build with the load generator `haechi-bench`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    cargo::{self, cargo},
    install, postgres, run, shell,
};

/// Builds server and load generator for release and runs the scenarios named in `rest`.
///
/// `--postgres` among them starts a throw-away cluster and measures on that.
pub(crate) fn bench(rest: &[String]) -> Result<()> {
    install::ensure(&[install::C_COMPILER])?;
    let haechi = run::build_server("release")?;
    let metadata = cargo::metadata()?;
    cargo::package(&metadata, "haechi-bench").context("the workspace has no haechi-bench")?;
    shell::run(&mut cargo(&["build", "--release", "--package", "haechi-bench"]))?;

    let (on_postgres, rest): (Vec<_>, Vec<_>) = rest.iter().partition(|arg| *arg == "--postgres");
    let mut bench = Command::new(cargo::built(&metadata, "release", "haechi-bench"));
    bench.arg("--server-bin").arg(haechi);
    if on_postgres.is_empty() {
        return shell::run(bench.args(rest));
    }
    install::ensure(&[install::POSTGRES])?;
    let cluster = postgres::Cluster::start()?;
    shell::run(bench.args(["--database", &cluster.url()]).args(rest))
}
