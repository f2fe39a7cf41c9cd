//! Transfers in the ledger as fast as they are taken, on a database of its own: tb-perf's workload of
//! 100,000 accounts of which some are used far more often than others (Zipf).
//!
//! There is no network between, as there is none between a service and the ledger. Each transfer
//! counts when it is durable. At the end the journal is verified; a problem fails the run.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use haechi_base::Clock;
use haechi_ledger::{
    AccountFlags, AccountId, Ledger, LedgerId, NewAccount, NewTransfer, SCHEMA, TransferId, verify,
};
use haechi_store::{Db, DbConfig};
use rand::RngExt as _;
use tempfile::TempDir;

use crate::{
    error::{Error, Result},
    figures::{Report, Times},
    server::{Database, Postgres},
};

/// Accounts opened in one request.
const OPEN_AT_ONCE: u128 = 8_000;
/// The ledger of the load.
const LEDGER: LedgerId = LedgerId(410);

/// How the load looks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Accounts
    #[arg(long, default_value_t = 100_000)]
    accounts: u32,
    /// Transfers of one request
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Callers at the same time, each waiting for its answer before it asks again
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Exponent of the Zipf distribution of accounts; 0: all alike
    #[arg(long, default_value_t = 1.0)]
    skew: f64,
    /// Every transfer pays into one account
    #[arg(long)]
    hot: bool,
    /// Where the SQLite file is made, instead of the folder for temporary files
    #[arg(long, value_name = "FOLDER")]
    folder: Option<std::path::PathBuf>,
}

/// Measures once.
pub(crate) fn run(
    database: &Database,
    threads: Option<usize>,
    options: &Options,
) -> Result<Report> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().map_err(Error::io("start a runtime"))?;
    let place = Place::make(database, options)?;
    runtime.block_on(measure(&place.config, options))
}

/// Where the database is; removed when dropped.
struct Place {
    config: DbConfig,
    _folder: Option<TempDir>,
    _postgres: Option<Postgres>,
}

impl Place {
    fn make(database: &Database, options: &Options) -> Result<Self> {
        let readers = NonZeroUsize::new(2).unwrap_or(NonZeroUsize::MIN);
        let (url, postgres) = match database {
            Database::Sqlite => {
                let folder = match &options.folder {
                    Some(folder) => TempDir::with_prefix_in("haechi-bench-", folder),
                    None => TempDir::with_prefix("haechi-bench-"),
                };
                let folder = folder.map_err(Error::io("make a folder"))?;
                let config = DbConfig::Sqlite { path: folder.path().join("haechi.db"), readers };
                return Ok(Self { config, _folder: Some(folder), _postgres: None });
            }
            Database::OwnPostgres => {
                let postgres = Postgres::start(None)?;
                (postgres.url(), Some(postgres))
            }
            Database::Url(url) => (url.clone(), None),
        };
        let config = DbConfig::Postgres {
            url: url.as_str().into(),
            local: None,
            pool: readers,
            committers: DbConfig::COMMITTERS,
            node: "bench".to_owned(),
        };
        Ok(Self { config, _folder: None, _postgres: postgres })
    }
}

/// Draws accounts: the first ones more often.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: u32, skew: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: u32| f64::from(rank).powf(-skew);
        Self(
            (1..=count)
                .map(|rank| {
                    sum += weight(rank);
                    sum
                })
                .collect(),
        )
    }

    /// A number from 1.
    fn draw(&self) -> u128 {
        let all = self.0.last().copied().unwrap_or(1.0);
        let point = rand::rng().random_range(0.0..all);
        self.0.partition_point(|sum| *sum <= point) as u128 + 1
    }
}

fn failed(error: &impl ToString) -> Error {
    Error::Start(error.to_string())
}

async fn measure(config: &DbConfig, options: &Options) -> Result<Report> {
    let opened = Db::open(config, &[&SCHEMA]).await;
    let (db, mut feed) = opened.map_err(|error| failed(&error))?;
    tokio::spawn(async move { while feed.recv().await.is_some() {} });
    let ledger = Ledger::new(db.clone(), Clock::System);
    open_accounts(&ledger, options.accounts.into()).await?;
    let zipf = Arc::new(Zipf::new(options.accounts, options.skew));
    let next = Arc::new(AtomicU64::new(1));
    let begun = Instant::now();
    let until = begun + Duration::from_secs(options.seconds);
    let callers: Vec<_> = (0..options.callers)
        .map(|_| {
            let load = Load {
                ledger: ledger.clone(),
                zipf: Arc::clone(&zipf),
                next: Arc::clone(&next),
                batch: options.batch,
                hot: options.hot,
            };
            tokio::spawn(load.call(until))
        })
        .collect();
    let (mut times, mut made, mut refused) = (Times::new(), 0, 0);
    for caller in callers {
        let called = caller.await.map_err(|error| failed(&error))??;
        times.merge(&called.times);
        made += called.made;
        refused += called.refused;
    }
    let took = begun.elapsed();
    let clock = Clock::System;
    let checked = verify(&db, LEDGER, clock.now(), |_, _| {}).await;
    let checked = checked.map_err(|error| failed(&error))?;
    db.close().await;
    if !checked.is_clean() || checked.entries != made + u64::from(options.accounts) {
        return Err(Error::Start(format!("the journal is wrong: {:?}", checked.problems)));
    }
    Ok(report(options, took, made, refused, &times))
}

#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
fn report(options: &Options, took: Duration, made: u64, refused: u64, times: &Times) -> Report {
    let Options { accounts, batch, callers, skew, hot, .. } = options;
    let shape = if *hot { "one hot account".to_owned() } else { format!("zipf {skew}") };
    let title = format!("ledger: {accounts} accounts, {shape}, {callers} callers × {batch}");
    let mut report = Report::new(title);
    report.add("transfers_per_s", made as f64 / took.as_secs_f64());
    report.times("request_ms", times);
    report.count("transfers", made);
    report.count("refused", refused);
    report
}

async fn open_accounts(ledger: &Ledger, count: u128) -> Result<()> {
    let mut first = 1;
    while first <= count {
        let last = count.min(first + OPEN_AT_ONCE - 1);
        let account = |id| NewAccount {
            id: AccountId(id),
            ledger: LEDGER,
            code: 1,
            flags: AccountFlags::NONE,
            ..NewAccount::default()
        };
        let codes = ledger.open_accounts((first..=last).map(account).collect()).await;
        if !codes.map_err(|error| failed(&error))?.iter().all(|code| code.is_done()) {
            return Err(Error::Start("an account was refused".to_owned()));
        }
        first = last + 1;
    }
    Ok(())
}

struct Load {
    ledger: Ledger,
    zipf: Arc<Zipf>,
    next: Arc<AtomicU64>,
    batch: usize,
    hot: bool,
}

struct Called {
    times: Times,
    made: u64,
    refused: u64,
}

impl Load {
    async fn call(self, until: Instant) -> Result<Called> {
        let mut called = Called { times: Times::new(), made: 0, refused: 0 };
        while Instant::now() < until {
            let request: Vec<NewTransfer> = (0..self.batch).map(|_| self.transfer()).collect();
            let asked = Instant::now();
            let outcomes = self.ledger.make_transfers(request).await;
            let outcomes = outcomes.map_err(|error| failed(&error))?;
            called.times.record(asked.elapsed());
            let made = outcomes.iter().filter(|outcome| outcome.code.is_done()).count();
            called.made += made as u64;
            called.refused += (outcomes.len() - made) as u64;
        }
        Ok(called)
    }

    /// Ids as TigerBeetle advises them: ascending in time, with chance behind.
    fn transfer(&self) -> NewTransfer {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = u128::from(number) << 64 | u128::from(rand::rng().random::<u64>());
        let debit = if self.hot { self.zipf.draw().max(2) } else { self.zipf.draw() };
        let mut credit = if self.hot { 1 } else { self.zipf.draw() };
        while credit == debit {
            credit = self.zipf.draw();
        }
        NewTransfer {
            id: TransferId(id),
            debit: AccountId(debit),
            credit: AccountId(credit),
            amount: 1,
            ledger: LEDGER,
            code: 1,
            ..NewTransfer::default()
        }
    }
}
