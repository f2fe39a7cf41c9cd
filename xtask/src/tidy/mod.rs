//! `tidy`: our own rules, checked on the sources and on cargo's view of the workspace.

use anyhow::Result;

use crate::cargo;

/// Checks all rules.
pub(crate) fn tidy() -> Result<()> {
    cargo::metadata().map(drop)
}
