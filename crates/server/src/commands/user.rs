//! `haechi user create|list|set-password|deactivate`.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};

use crate::{
    admin::{Answer, Operator, Request},
    cli::{ConfigFlags, UserCommand},
};

/// Longest input taken for a password.
const PASSWORD_BYTES_MAX: u64 = 4_096;

/// Does what is asked, by the running server or here.
pub(crate) fn run(command: UserCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    // Before the database is opened: somebody may take long to type.
    let made_up = matches!(
        command,
        UserCommand::Create { random_password: true, .. }
            | UserCommand::SetPassword { random_password: true, .. }
    );
    let password = match command {
        UserCommand::Create { .. } | UserCommand::SetPassword { .. } => password(made_up)?,
        UserCommand::List | UserCommand::Deactivate { .. } => String::new(),
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let operator = Operator::reach(&config).await?;
        let request = match command {
            UserCommand::List => return list(&operator).await,
            UserCommand::Create { name, admin, .. } => {
                Request::CreateUser { name, password: password.clone(), is_admin: admin }
            }
            UserCommand::SetPassword { name, .. } => {
                Request::SetPassword { name, password: password.clone() }
            }
            UserCommand::Deactivate { name, erase } => Request::Deactivate { name, erase },
        };
        let Answer::Done(user_id) = operator.ask(&request).await? else {
            bail!("the server gave an unexpected answer");
        };
        let mut out = io::stdout();
        writeln!(out, "{user_id}")?;
        if made_up {
            writeln!(out, "password: {password}")?;
        }
        Ok(())
    })
}

async fn list(operator: &Operator) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut after = 0;
    loop {
        let Answer::Users(users) = operator.ask(&Request::ListUsers { after }).await? else {
            bail!("the server gave an unexpected answer");
        };
        let Some(last) = users.last() else { return Ok(()) };
        after = last.number;
        for user in users {
            let admin = if user.is_admin { " admin" } else { "" };
            let deactivated = if user.is_deactivated { " deactivated" } else { "" };
            writeln!(out, "{}{admin}{deactivated}", user.id)?;
        }
    }
}

fn password(made_up: bool) -> anyhow::Result<String> {
    if made_up {
        return Ok(random_text(20));
    }
    if io::stdin().is_terminal() {
        eprint!("Password (it will be seen; end with Enter): ");
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let mut text = String::new();
    io::stdin().take(PASSWORD_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Random small letters and digits without those that look alike.
pub(crate) fn random_text(chars: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let pick = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
    (0..chars).map(pick).collect()
}
