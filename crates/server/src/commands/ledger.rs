//! `haechi ledger verify|export`.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
};

use anyhow::{Context as _, bail};
use haechi_base::Clock;
use haechi_ledger::{Format, LedgerId, Report, export, to_hex, verify};
use haechi_store::Db;

use crate::{
    cli::{ConfigFlags, ExportFormat, LedgerCommand},
    compose,
};

/// Does what is asked, on the database itself: it only reads.
pub(crate) fn run(command: &LedgerCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let db = compose::reading(&config).await?;
        let done = match command {
            LedgerCommand::Verify { ledger } => verify_all(&db, *ledger).await,
            LedgerCommand::Export { ledger, format, output } => match output {
                Some(path) => {
                    let shown = path.display();
                    let file = File::create(path);
                    let file = file.with_context(|| format!("cannot write to {shown}"))?;
                    write_out(&db, *ledger, *format, &mut BufWriter::new(file)).await
                }
                None => write_out(&db, *ledger, *format, &mut BufWriter::new(io::stdout())).await,
            },
        };
        db.close().await;
        done
    })
}

async fn verify_all(db: &Db, only: Option<u32>) -> anyhow::Result<()> {
    let books = haechi_ledger::Ledger::new(db.clone(), Clock::System);
    let ledgers = match only {
        Some(ledger) => vec![LedgerId(ledger)],
        None => books.ledgers().await?,
    };
    if ledgers.is_empty() {
        writeln!(io::stdout(), "no ledger has an entry yet")?;
    }
    let mut problems = 0;
    for ledger in ledgers {
        let progress = Progress::new(format!("ledger {}", ledger.0));
        let now = Clock::System.now();
        let report = verify(db, ledger, now, |done, all| progress.tell(done, all)).await?;
        progress.end();
        print_report(ledger, &report)?;
        problems += report.problems_count;
    }
    if problems > 0 {
        bail!(
            "{problems} problems: stop all writes, keep this database as it is, and compare it with \
             a backup (`haechi ledger export` on both)"
        );
    }
    Ok(())
}

fn print_report(ledger: LedgerId, report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let state = if report.is_clean() { "all is well" } else { "NOT as it must be" };
    writeln!(out, "ledger {}: {state}", ledger.0)?;
    writeln!(out, "  entries   {}", report.entries)?;
    writeln!(out, "  accounts  {}", report.accounts)?;
    if report.accounts_moved > 0 {
        let moved = report.accounts_moved;
        writeln!(out, "            {moved} of them moved on during the check")?;
    }
    writeln!(out, "  posted    {}", report.posted)?;
    writeln!(out, "  pending   {}", report.pending)?;
    writeln!(out, "  hash      {}", to_hex(&report.hash))?;
    writeln!(out, "  root      {}", to_hex(&report.root))?;
    for problem in &report.problems {
        writeln!(out, "  problem: {problem}")?;
    }
    let more = report.problems_count - report.problems.len() as u64;
    if more > 0 {
        writeln!(out, "  and {more} more")?;
    }
    Ok(())
}

async fn write_out(
    db: &Db,
    ledger: u32,
    format: ExportFormat,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    let format = match format {
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Json => Format::JsonLines,
    };
    let progress = Progress::new(format!("ledger {ledger}"));
    let tell = |done, all| progress.tell(done, all);
    let count = export(db, LedgerId(ledger), format, out, tell).await?;
    progress.end();
    eprintln!("{count} entries");
    Ok(())
}

/// A line that tells how far a long work has come, for people only.
struct Progress {
    what: String,
    shown: bool,
}

impl Progress {
    fn new(what: String) -> Self {
        Self { what, shown: io::stderr().is_terminal() }
    }

    fn tell(&self, done: u64, all: u64) {
        if self.shown {
            eprint!("\r{}: {done} of {all} entries", self.what);
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}
