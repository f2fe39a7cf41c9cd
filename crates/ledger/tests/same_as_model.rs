//! The same random requests, with crashes and retries in between, to the plain model and to the ledger
//! on both engines: answers, balances, histories and past balances are the same everywhere.

#![expect(clippy::await_holding_refcell_ref, reason = "one task alone uses it")]

mod common;

use std::{cell::RefCell, time::Duration};

use common::model::Model;
use haechi_base::{Clock, Millis};
use haechi_ledger::{
    AccountFlags, AccountId, EntryKind, EntryPos, HistoryQuery, Ledger, LedgerId, NewAccount,
    NewTransfer, Order, Pending, PendingState, SCHEMA, TransferFlags, TransferId,
};
use haechi_store::testing::{TestDb, on_postgres, sqlite_config};
use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};

const ACCOUNTS: u128 = 6;
const START: i64 = 1_000_000;

#[derive(Clone, Debug)]
enum Op {
    Request(Vec<NewTransfer>),
    /// Sent, and the server killed before it could answer.
    Crash(Vec<NewTransfer>),
    /// An earlier request once more.
    Again(prop::sample::Index),
    Wait(u64),
    Expire,
}

/// Small numbers, so that requests meet: the same ids, the same accounts, little money.
fn transfers() -> impl Strategy<Value = NewTransfer> {
    let flags = prop_oneof![
        4 => Just(TransferFlags::NONE),
        4 => Just(TransferFlags::PENDING),
        3 => Just(TransferFlags::POST_PENDING),
        2 => Just(TransferFlags::VOID_PENDING),
        1 => Just(TransferFlags::BALANCING_DEBIT),
        1 => Just(TransferFlags::BALANCING_CREDIT | TransferFlags::PENDING),
        1 => (0..64_u16).prop_map(TransferFlags),
    ];
    let amount = prop_oneof![
        8 => 0..30_u128,
        1 => Just(u128::MAX),
        1 => Just(u128::MAX / 2),
    ];
    let accounts = (0..=ACCOUNTS + 1, 0..=ACCOUNTS + 1);
    let ids = (1..24_u128, 0..24_u128);
    let rest = (
        prop_oneof![9 => Just(1_u32), 1 => Just(2)],
        prop_oneof![2 => Just(0_u32), 1 => 1..5_u32],
        prop_oneof![6 => Just(1_u16), 1 => 0..3_u16],
        prop_oneof![4 => Just(false), 1 => Just(true)],
    );
    (flags, amount, accounts, ids, rest).prop_map(|(flags, amount, accounts, ids, rest)| {
        let (ledger, timeout_s, code, linked) = rest;
        let settles = flags.has(TransferFlags::POST_PENDING | TransferFlags::VOID_PENDING);
        // Most that settle leave out what the pending one says.
        let left_out = settles && ids.0 % 3 != 0;
        NewTransfer {
            id: TransferId(ids.0),
            debit: AccountId(if left_out { 0 } else { accounts.0.max(1) }),
            credit: AccountId(if left_out { 0 } else { accounts.1.max(1) }),
            amount: if settles && amount > 15 { u128::MAX } else { amount },
            pending_id: TransferId(if settles { ids.1 } else { 0 }),
            timeout_s: if flags.has(TransferFlags::PENDING) { timeout_s } else { 0 },
            ledger: LedgerId(ledger),
            code: if left_out { 0 } else { code.max(1) },
            flags: if linked { flags | TransferFlags::LINKED } else { flags },
            ..NewTransfer::default()
        }
    })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let request = || prop::collection::vec(transfers(), 1..7);
    prop::collection::vec(
        prop_oneof![
            12 => request().prop_map(Op::Request),
            1 => request().prop_map(Op::Crash),
            2 => any::<prop::sample::Index>().prop_map(Op::Again),
            2 => (0..4_u64).prop_map(Op::Wait),
            2 => Just(Op::Expire),
        ],
        1..30,
    )
}

/// Each case has its own accounts, transfers and ledgers, so that all share one database.
struct Space {
    case: u32,
}

impl Space {
    fn id(&self, small: u128) -> u128 {
        if small == 0 { 0 } else { u128::from(self.case) << 64 | small }
    }

    fn ledger(&self, small: LedgerId) -> LedgerId {
        LedgerId(self.case * 2 + small.0)
    }

    fn request(&self, request: &[NewTransfer]) -> Vec<NewTransfer> {
        let place = |new: &NewTransfer| NewTransfer {
            id: TransferId(self.id(new.id.0)),
            debit: AccountId(self.id(new.debit.0)),
            credit: AccountId(self.id(new.credit.0)),
            pending_id: TransferId(self.id(new.pending_id.0)),
            ledger: self.ledger(new.ledger),
            ..*new
        };
        request.iter().map(place).collect()
    }

    /// One funds all, two may owe nothing, one may not be owed; the last is of the other ledger.
    fn accounts(&self) -> Vec<NewAccount> {
        let flags = [
            AccountFlags::NONE,
            AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
            AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
            AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS,
            AccountFlags::NONE,
            AccountFlags::NONE,
        ];
        (1..=ACCOUNTS)
            .zip(flags)
            .map(|(id, flags)| NewAccount {
                id: AccountId(self.id(id)),
                ledger: self.ledger(LedgerId(if id == ACCOUNTS { 2 } else { 1 })),
                code: 1,
                flags,
                ..NewAccount::default()
            })
            .collect()
    }
}

struct Engine {
    db: RefCell<TestDb>,
    clock: Clock,
}

impl Engine {
    fn ledger(&self) -> Ledger {
        Ledger::new((**self.db.borrow()).clone(), self.clock.clone())
    }

    /// Sends a request and kills the server; tells how many entries there are then.
    async fn crash(&self, request: Vec<NewTransfer>) {
        let ledger = self.ledger();
        let sent = tokio::spawn(async move { ledger.make_transfers(request).await.is_ok() });
        tokio::task::yield_now().await;
        self.db.borrow_mut().crash().await;
        // Who has no answer by now will have none: the server is gone.
        sent.abort();
    }
}

async fn entries(ledger: &Ledger, space: &Space) -> [u64; 2] {
    let of = async |small| ledger.end(space.ledger(LedgerId(small))).await.unwrap().entries;
    [of(1).await, of(2).await]
}

async fn run(engine: &Engine, space: &Space, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut model = Model { now: engine.clock.now().0, ..Model::default() };
    let accounts = space.accounts();
    let codes = engine.ledger().open_accounts(accounts.clone()).await.unwrap();
    prop_assert_eq!(codes, accounts.iter().map(|new| model.open(new)).collect::<Vec<_>>());
    let mut sent: Vec<Vec<NewTransfer>> = Vec::new();
    for op in ops {
        let ledger = engine.ledger();
        match op {
            Op::Wait(seconds) => {
                engine.clock.advance(Duration::from_secs(*seconds));
                model.now = engine.clock.now().0;
            }
            Op::Expire => {
                ledger.expire().await.unwrap();
                model.expire();
            }
            Op::Crash(request) => {
                let request = space.request(request);
                let mut after = model.clone();
                after.request(&request);
                engine.crash(request.clone()).await;
                let wanted = |model: &Model| {
                    [1, 2].map(|small| {
                        let id = space.ledger(LedgerId(small));
                        model.entries.get(&id).copied().unwrap_or(0)
                    })
                };
                // All of it happened or nothing of it.
                let found = entries(&engine.ledger(), space).await;
                prop_assert!([wanted(&model), wanted(&after)].contains(&found));
                let again = engine.ledger().make_transfers(request.clone()).await.unwrap();
                let again: Vec<_> = again.iter().map(|outcome| outcome.code).collect();
                // What was refused leaves no entry: the answers tell which of the two it was.
                let mut first = model.clone();
                let mut second = after.clone();
                let (once, twice) = (first.request(&request), second.request(&request));
                prop_assert!(again == once || again == twice, "{again:?} {once:?} {twice:?}");
                model = if again == twice { second } else { first };
                sent.push(request);
            }
            Op::Again(_) if sent.is_empty() => {}
            Op::Request(_) | Op::Again(_) => {
                let request = match op {
                    Op::Again(which) => which.get(&sent).clone(),
                    Op::Request(request) => space.request(request),
                    _ => Vec::new(),
                };
                let outcomes = ledger.make_transfers(request.clone()).await.unwrap();
                let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
                prop_assert_eq!(codes, model.request(&request), "{:#?}", request);
                sent.push(request);
            }
        }
    }
    compare(engine, space, &model).await
}

/// Holds everything that can be read against the model.
async fn compare(engine: &Engine, space: &Space, model: &Model) -> Result<(), TestCaseError> {
    let ledger = engine.ledger();
    let ids: Vec<AccountId> = space.accounts().iter().map(|account| account.id).collect();
    for account in ledger.accounts(ids.clone()).await.unwrap() {
        prop_assert_eq!(account.balances, model.balances(account.facts.id));
    }
    let made: Vec<TransferId> = model.made.iter().map(|made| made.facts.id).collect();
    let found = ledger.transfers(made.clone()).await.unwrap();
    prop_assert_eq!(found.len(), made.len());
    for (transfer, pending) in found {
        let made = model.find(transfer.facts.id).unwrap();
        prop_assert_eq!(&transfer.facts, &made.facts);
        let state = model.ended.get(&made.facts.id).copied().unwrap_or(PendingState::Pending);
        let wanted = made.facts.flags.has(TransferFlags::PENDING).then_some(state);
        prop_assert_eq!(pending.map(|Pending { state, .. }| state), wanted);
    }
    for id in ids {
        let query =
            HistoryQuery { account: id, after: None, before: None, limit: 900, order: Order::Up };
        let history = ledger.history(query).await.unwrap();
        let transfers: Vec<TransferId> = history
            .iter()
            .filter(|entry| entry.kind == EntryKind::Transfer)
            .map(|entry| entry.transfer.id)
            .collect();
        let touches =
            |made: &&common::model::Made| made.facts.debit == id || made.facts.credit == id;
        let wanted: Vec<_> = model.made.iter().filter(touches).map(|made| made.facts.id).collect();
        prop_assert_eq!(transfers, wanted);
        for entry in &history {
            let there = ledger.balances_at(id, entry.pos).await.unwrap();
            prop_assert_eq!(there, entry.balances_of(id));
        }
        let last = history.last().and_then(|entry| entry.balances_of(id)).unwrap_or_default();
        prop_assert_eq!(last, model.balances(id));
    }
    for small in [1, 2] {
        let id = space.ledger(LedgerId(small));
        let entries = model.entries.get(&id).copied().unwrap_or(0);
        prop_assert_eq!(ledger.end(id).await.unwrap().entries, entries);
        common::verified(&engine.db.borrow(), id, &engine.clock).await;
        for number in 1..=entries {
            let receipt = ledger.receipt(EntryPos::new(id, number)).await.unwrap().unwrap();
            prop_assert!(receipt.is_valid());
        }
    }
    Ok(())
}

/// Runs the cases on one engine.
fn cases(db: TestDb, count: u32) {
    let engine = Engine { db: RefCell::new(db), clock: Clock::manual(Millis(START)) };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(count));
    let case = std::cell::Cell::new(0);
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&ops(), |ops| {
            case.set(case.get() + 1);
            let space = Space { case: case.get() };
            runtime.block_on(run(&engine, &space, &ops))
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn on_sqlite_it_is_the_same_as_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        cases(TestDb::open(sqlite_config(folder.path()), &[&SCHEMA]).await.unwrap(), 120);
    });
}

#[test]
fn on_postgresql_it_is_the_same_as_the_model() {
    on_postgres(&[&SCHEMA], async |db| cases(db, 30));
}
