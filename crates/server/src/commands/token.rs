//! `haechi token create`.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};

use super::user::random_text;
use crate::{
    admin::{Answer, Operator, Request},
    cli::{ConfigFlags, TokenCommand},
};

/// Makes a registration token and prints it.
pub(crate) fn run(command: TokenCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    let TokenCommand::Create { token, uses, hours } = command;
    let token = token.unwrap_or_else(|| random_text(16));
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let operator = Operator::reach(&config).await?;
        let request = Request::CreateToken { token, uses, hours };
        let Answer::Done(token) = operator.ask(&request).await? else {
            bail!("the server gave an unexpected answer");
        };
        writeln!(io::stdout(), "{token}")?;
        Ok(())
    })
}
