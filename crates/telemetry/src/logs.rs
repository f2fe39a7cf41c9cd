//! Where log lines go and how they look.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::TelemetryError;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Is `level` a level, or a list of levels by part?
pub fn check_level(level: &str) -> Result<(), TelemetryError> {
    filter(level).map(drop)
}

/// Sends the log of the whole process to standard error, panics included. Once in a process.
pub fn init_logs(level: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let lines = match format {
        LogFormat::Text => {
            fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_span_list(false);
            lines.with_writer(io::stderr).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter(level)?))
        .try_init()
        .map_err(|_| TelemetryError::LogsTwice)?;
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(at, message, "a panic, which is a bug: please report it");
    }));
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    // A lone word that is no level would be taken for the name of a part, and log nothing.
    let names_a_level = level.split(',').any(|part| {
        part.trim().rsplit('=').next().is_some_and(|word| {
            ["off", "error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(word))
        })
    });
    if !names_a_level {
        return Err(TelemetryError::Level {
            level: level.to_owned(),
            why: "it names no level".to_owned(),
        });
    }
    // Ruma tells at `info` how it judged each event; who wants that says so.
    EnvFilter::try_new(format!("ruma_state_res=warn,{level}"))
        .map_err(|error| TelemetryError::Level { level: level.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked() {
        for good in ["info", "WARN", "info,haechi_store=debug", "haechi_rooms=trace"] {
            check_level(good).unwrap();
        }
        for bad in ["", "inof", "info,haechi_store=loud"] {
            assert!(check_level(bad).is_err(), "{bad}");
        }
    }
}
