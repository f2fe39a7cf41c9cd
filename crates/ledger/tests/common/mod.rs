//! What the tests of the ledger share: a plain model of it, and small makers of accounts and transfers.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part")]

pub(crate) mod model;

use std::time::Duration;

use haechi_base::{Clock, Millis};
use haechi_ledger::{
    AccountFlags, AccountId, Balances, Ledger, LedgerId, NewAccount, NewTransfer, Report,
    TransferFlags, TransferId, verify,
};
use haechi_store::testing::TestDb;

/// The ledger of most tests.
pub(crate) const WON: LedgerId = LedgerId(410);

/// A clock that tests set, and the ledger on it.
pub(crate) fn ledger(db: &TestDb) -> (Ledger, Clock) {
    let clock = Clock::manual(Millis(1_000_000));
    (Ledger::new((**db).clone(), clock.clone()), clock)
}

pub(crate) fn account(id: u128, flags: AccountFlags) -> NewAccount {
    NewAccount { id: AccountId(id), ledger: WON, code: 1, flags, ..NewAccount::default() }
}

/// Accounts that may not owe.
pub(crate) fn wallet(id: u128) -> NewAccount {
    account(id, AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS)
}

pub(crate) fn transfer(id: u128, debit: u128, credit: u128, amount: u128) -> NewTransfer {
    NewTransfer {
        id: TransferId(id),
        debit: AccountId(debit),
        credit: AccountId(credit),
        amount,
        ledger: WON,
        code: 1,
        ..NewTransfer::default()
    }
}

pub(crate) fn pending(id: u128, debit: u128, credit: u128, amount: u128, s: u32) -> NewTransfer {
    let flags = TransferFlags::PENDING;
    NewTransfer { timeout_s: s, flags, ..transfer(id, debit, credit, amount) }
}

/// Posts or voids, naming nothing but the pending transfer and the ledger.
pub(crate) fn settle(id: u128, pending_id: u128, flags: TransferFlags) -> NewTransfer {
    let amount = if flags.has(TransferFlags::POST_PENDING) { u128::MAX } else { 0 };
    NewTransfer {
        id: TransferId(id),
        pending_id: TransferId(pending_id),
        amount,
        ledger: WON,
        flags,
        ..NewTransfer::default()
    }
}

pub(crate) async fn balances(ledger: &Ledger, id: u128) -> Balances {
    ledger.accounts(vec![AccountId(id)]).await.unwrap()[0].balances
}

/// Pending and posted debits, pending and posted credits.
pub(crate) fn four(balances: &Balances) -> [u128; 4] {
    [
        balances.debits_pending,
        balances.debits_posted,
        balances.credits_pending,
        balances.credits_posted,
    ]
}

/// Checks the whole journal; it must be clean.
pub(crate) async fn verified(db: &TestDb, id: LedgerId, clock: &Clock) -> Report {
    let report = verify(db, id, clock.now(), |_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.problems);
    report
}

pub(crate) fn advance(clock: &Clock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}
