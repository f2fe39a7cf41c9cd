//! matrix-sdk against a homeserver under test, with the services that Element X uses.
//!
//! Without arguments: runs the suite against `HAECHI_URL`. With `talk`: obeys commands on standard
//! input, so that another program can let this client chat with others.

mod encryption;
mod person;
mod rooms;
mod suite;
mod talk;

use std::process::ExitCode;

use anyhow::Result;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")),
        )
        .with_writer(std::io::stderr)
        .init();
    if std::env::args().nth(1).as_deref() == Some("talk") {
        talk::run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(suite::run().await)
}
