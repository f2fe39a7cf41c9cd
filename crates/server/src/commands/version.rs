//! `haechi version`.

use std::io::{self, Write};

/// Prints name and version.
pub(crate) fn run() -> anyhow::Result<()> {
    writeln!(io::stdout(), "haechi {}", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
