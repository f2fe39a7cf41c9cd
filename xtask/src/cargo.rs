//! Calling cargo and asking it about the workspace.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::shell;

/// The folder of the workspace's `Cargo.toml`.
///
/// Asked for when it runs: one target folder may serve several clones.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells it in the environment; it is no setting"
)]
pub(crate) fn workspace_root() -> PathBuf {
    let own =
        std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo, which runs this, says where it lies");
    Path::new(&own).parent().expect("xtask lies in the root").to_owned()
}

/// A command that runs the cargo which started us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(shell::variable("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// The workspace as cargo sees it, without third-party packages.
pub(crate) fn metadata() -> Result<Metadata> {
    MetadataCommand::new()
        .no_deps()
        .exec()
        .context("`cargo metadata` failed: is a Cargo.toml not well-formed?")
}

/// Our package of this name, if the workspace has it.
pub(crate) fn package<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a Package> {
    metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name)
}

/// Where `program` lies after a build with `profile`.
pub(crate) fn built(metadata: &Metadata, profile: &str, program: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    metadata.target_directory.join(folder).join(program).into_std_path_buf()
}
