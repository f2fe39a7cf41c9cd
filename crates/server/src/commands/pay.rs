//! `haechi pay issue|freeze|unfreeze|unlock-pin|audit`.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};

use crate::{
    admin::{Answer, Operator, Request, Wallets},
    cli::{ConfigFlags, PayCommand},
};

/// Does what is asked, by the running server or here.
pub(crate) fn run(command: &PayCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let operator = Operator::reach(&config).await?;
        let who = who();
        let intervene = |name: &String, what, reason: &String| Request::Intervene {
            name: name.clone(),
            what,
            reason: reason.clone(),
            who: who.clone(),
        };
        let request = match command {
            PayCommand::Issue { name, currency, amount, key } => Request::IssueMoney {
                name: name.clone(),
                currency: currency.clone(),
                amount: *amount,
                key: key.clone(),
                who: who.clone(),
            },
            PayCommand::Freeze { name, reason } => intervene(name, Wallets::Freeze, reason),
            PayCommand::Unfreeze { name, reason } => intervene(name, Wallets::Unfreeze, reason),
            PayCommand::UnlockPin { name, reason } => intervene(name, Wallets::UnlockPin, reason),
            PayCommand::Audit => return audit(&operator).await,
        };
        let Answer::Done(done) = operator.ask(&request).await? else {
            bail!("the server gave an unexpected answer");
        };
        writeln!(io::stdout(), "{done}")?;
        Ok(())
    })
}

async fn audit(operator: &Operator) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let Answer::Audit(lines) = operator.ask(&Request::ListAudit { after }).await? else {
            bail!("the server gave an unexpected answer");
        };
        let Some((last, _)) = lines.last() else { return Ok(()) };
        after = *last;
        for (number, line) in &lines {
            writeln!(io::stdout(), "{number}  {line}")?;
        }
    }
}

/// Who runs the command, by the number of the system's user.
fn who() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let uid = std::fs::metadata("/proc/self").map(|it| it.uid());
    uid.map_or_else(|_| "operator".to_owned(), |uid| format!("uid {uid}"))
}
