//! `haechi config check|show`.

use std::io::{self, Write};

use crate::cli::ConfigCommand;

/// Checks or prints the configuration.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let (ConfigCommand::Check(flags) | ConfigCommand::Show(flags)) = command;
    let loaded = flags.load()?;
    haechi_telemetry::check_level(&loaded.config.log.level)?;
    let text = match command {
        ConfigCommand::Check(_) => {
            format!("the configuration of {} is in order\n", loaded.config.server_name)
        }
        ConfigCommand::Show(_) => loaded.show(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
