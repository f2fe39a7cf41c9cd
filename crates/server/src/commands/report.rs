//! `haechi report list|close`.

use std::io::{self, Write};

use anyhow::{Context as _, bail};

use super::moment;
use crate::{
    admin::{Answer, Operator, Report, Request},
    cli::{ConfigFlags, ReportCommand},
};

/// Does what is asked, by the running server or here.
pub(crate) fn run(command: &ReportCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let operator = Operator::reach(&config).await?;
        match *command {
            ReportCommand::List => list(&operator).await,
            ReportCommand::Close { number } => {
                operator.ask(&Request::CloseReport { number }).await?;
                writeln!(io::stdout(), "report {number} is closed")?;
                Ok(())
            }
        }
    })
}

async fn list(operator: &Operator) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut after = 0;
    loop {
        let Answer::Reports(reports) = operator.ask(&Request::ListReports { after }).await? else {
            bail!("the server gave an unexpected answer");
        };
        let Some(last) = reports.last() else { return Ok(()) };
        after = last.number;
        for report in &reports {
            write(&mut out, report)?;
        }
    }
}

/// The reason is what a user typed: quoted, so that it cannot move the cursor or pose as a line of
/// ours.
fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Report { number, at_ms, by, what, reason, media } = report;
    writeln!(out, "{number}  {}  {by} reports {what}", moment(*at_ms))?;
    writeln!(out, "    reason: {reason:?}")?;
    media.iter().try_for_each(|uri| writeln!(out, "    media: {uri}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_when_who_what_and_why() {
        let report = Report {
            number: 7,
            at_ms: 1_700_000_000_000,
            by: "@mina:haechi.example".to_owned(),
            what: "the event $e by @jun:haechi.example in !r".to_owned(),
            reason: "spam\n8  \u{1b}[2J".to_owned(),
            media: vec!["mxc://haechi.example/a".to_owned()],
        };
        let mut out = Vec::new();
        write(&mut out, &report).unwrap();
        let expected = "\
7  2023-11-14T22:13:20Z  @mina:haechi.example reports the event $e by @jun:haechi.example in !r
    reason: \"spam\\n8  \\u{1b}[2J\"
    media: mxc://haechi.example/a
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
