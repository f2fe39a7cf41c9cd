//! Each result code, by the shortest way to it.

mod common;

use std::collections::BTreeSet;

use common::{WON, account, advance, ledger, pending, settle, transfer, wallet};
use haechi_ledger::{
    AccountCode, AccountFlags, AccountId, Ledger, LedgerId, NewAccount, NewTransfer, SCHEMA,
    TransferCode as Code, TransferFlags, TransferId, UserData,
};
use haechi_store::testing::{TestDb, store_test};

const POST: TransferFlags = TransferFlags::POST_PENDING;
const VOID: TransferFlags = TransferFlags::VOID_PENDING;

/// Accounts: 1 and 2 are free, 3 may not owe, 4 may not be owed, 9 is of another ledger.
async fn accounts(ledger: &Ledger) {
    let accounts = vec![
        account(1, AccountFlags::NONE),
        account(2, AccountFlags::NONE),
        wallet(3),
        account(4, AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS),
        account(5, AccountFlags::NONE),
        account(6, AccountFlags::NONE),
        NewAccount { ledger: LedgerId(840), ..account(9, AccountFlags::NONE) },
        NewAccount { ledger: LedgerId(840), ..account(10, AccountFlags::NONE) },
    ];
    let codes = ledger.open_accounts(accounts).await.unwrap();
    assert!(codes.iter().all(|code| *code == AccountCode::Ok), "{codes:?}");
}

async fn code(ledger: &Ledger, new: NewTransfer) -> Code {
    ledger.make_transfer(new).await.unwrap().code
}

#[store_test(schemas(SCHEMA))]
async fn every_code_of_an_account_is_given(db: TestDb) {
    let (ledger, _) = ledger(&db);
    let one = NewAccount {
        user_data: UserData { long: 1, middle: 2, short: 3 },
        ..account(1, AccountFlags::NONE)
    };
    let data = |long, middle, short| UserData { long, middle, short };
    let both =
        AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS | AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS;
    let linked = AccountFlags::LINKED;
    let cases: Vec<(Vec<NewAccount>, Vec<AccountCode>)> = vec![
        (vec![one], vec![AccountCode::Ok]),
        (vec![one], vec![AccountCode::Exists]),
        (
            vec![account(7, linked), account(0, AccountFlags::NONE)],
            vec![AccountCode::LinkedEventFailed, AccountCode::IdMustNotBeZero],
        ),
        (
            vec![account(7, linked), account(8, linked)],
            vec![AccountCode::LinkedEventFailed, AccountCode::LinkedEventChainOpen],
        ),
        (vec![account(7, AccountFlags(1 << 9))], vec![AccountCode::ReservedFlag]),
        (vec![account(u128::MAX, AccountFlags::NONE)], vec![AccountCode::IdMustNotBeIntMax]),
        (
            vec![NewAccount { flags: AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS, ..one }],
            vec![AccountCode::ExistsWithDifferentFlags],
        ),
        (
            vec![NewAccount { user_data: data(9, 2, 3), ..one }],
            vec![AccountCode::ExistsWithDifferentUserDataLong],
        ),
        (
            vec![NewAccount { user_data: data(1, 9, 3), ..one }],
            vec![AccountCode::ExistsWithDifferentUserDataMiddle],
        ),
        (
            vec![NewAccount { user_data: data(1, 2, 9), ..one }],
            vec![AccountCode::ExistsWithDifferentUserDataShort],
        ),
        (
            vec![NewAccount { ledger: LedgerId(1), ..one }],
            vec![AccountCode::ExistsWithDifferentLedger],
        ),
        (vec![NewAccount { code: 2, ..one }], vec![AccountCode::ExistsWithDifferentCode]),
        (vec![account(7, both)], vec![AccountCode::FlagsAreMutuallyExclusive]),
        (
            vec![NewAccount { ledger: LedgerId(0), ..account(7, linked) }, one],
            vec![AccountCode::LedgerMustNotBeZero, AccountCode::LinkedEventFailed],
        ),
        (
            vec![NewAccount { ledger: LedgerId(LedgerId::MAX.0 + 1), ..wallet(7) }],
            vec![AccountCode::LedgerOutOfRange],
        ),
        (vec![NewAccount { code: 0, ..wallet(7) }], vec![AccountCode::CodeMustNotBeZero]),
    ];
    let mut given = BTreeSet::new();
    for (request, wanted) in cases {
        given.extend(wanted.iter().copied());
        assert_eq!(ledger.open_accounts(request).await.unwrap(), wanted);
    }
    let all: BTreeSet<_> = AccountCode::ALL.iter().copied().collect();
    assert_eq!(given, all, "a code is not tested");
    assert_eq!(ledger.accounts(vec![AccountId(7), AccountId(8)]).await.unwrap(), []);
}

/// What is wrong with a transfer as such, or with its accounts.
fn plain_cases() -> Vec<(NewTransfer, Code)> {
    let id = TransferId;
    let base = transfer(100, 1, 2, 5);
    vec![
        (NewTransfer { flags: TransferFlags(1 << 9), ..base }, Code::ReservedFlag),
        (NewTransfer { id: id(0), ..base }, Code::IdMustNotBeZero),
        (NewTransfer { id: id(u128::MAX), ..base }, Code::IdMustNotBeIntMax),
        (transfer(100, 0, 2, 5), Code::DebitAccountIdMustNotBeZero),
        (transfer(100, u128::MAX, 2, 5), Code::DebitAccountIdMustNotBeIntMax),
        (transfer(100, 1, 0, 5), Code::CreditAccountIdMustNotBeZero),
        (transfer(100, 1, u128::MAX, 5), Code::CreditAccountIdMustNotBeIntMax),
        (transfer(100, 1, 1, 5), Code::AccountsMustBeDifferent),
        (NewTransfer { pending_id: id(3), ..base }, Code::PendingIdMustBeZero),
        (NewTransfer { timeout_s: 3, ..base }, Code::TimeoutReservedForPendingTransfer),
        (NewTransfer { ledger: LedgerId(0), ..base }, Code::LedgerMustNotBeZero),
        (NewTransfer { ledger: LedgerId(u32::MAX), ..base }, Code::LedgerOutOfRange),
        (NewTransfer { code: 0, ..base }, Code::CodeMustNotBeZero),
        (transfer(101, 77, 2, 5), Code::DebitAccountNotFound),
        (transfer(102, 1, 77, 5), Code::CreditAccountNotFound),
        (transfer(100, 1, 9, 5), Code::AccountsMustHaveTheSameLedger),
        (transfer(100, 9, 10, 5), Code::TransferMustHaveTheSameLedgerAsAccounts),
        (transfer(103, 3, 1, 5), Code::ExceedsCredits),
        (transfer(104, 1, 4, 5), Code::ExceedsDebits),
        (transfer(103, 3, 1, 6), Code::IdAlreadyFailed),
        (transfer(103, 3, 1, 5), Code::ExceedsCredits),
        (base, Code::Ok),
        (base, Code::Exists),
        (NewTransfer { amount: 6, ..base }, Code::ExistsWithDifferentAmount),
        (pending(100, 1, 2, 5, 0), Code::ExistsWithDifferentFlags),
        (NewTransfer { pending_id: id(3), ..base }, Code::ExistsWithDifferentPendingId),
        (NewTransfer { timeout_s: 3, ..base }, Code::ExistsWithDifferentTimeout),
        (transfer(100, 5, 2, 5), Code::ExistsWithDifferentDebitAccountId),
        (transfer(100, 1, 5, 5), Code::ExistsWithDifferentCreditAccountId),
        (
            NewTransfer { user_data: UserData { long: 1, ..UserData::default() }, ..base },
            Code::ExistsWithDifferentUserDataLong,
        ),
        (
            NewTransfer { user_data: UserData { middle: 1, ..UserData::default() }, ..base },
            Code::ExistsWithDifferentUserDataMiddle,
        ),
        (
            NewTransfer { user_data: UserData { short: 1, ..UserData::default() }, ..base },
            Code::ExistsWithDifferentUserDataShort,
        ),
        (NewTransfer { ledger: LedgerId(840), ..base }, Code::ExistsWithDifferentLedger),
        (NewTransfer { code: 9, ..base }, Code::ExistsWithDifferentCode),
    ]
}

/// What is wrong with posting and voiding. 200 is pending; 201 has been posted, 202 voided, and 203
/// has expired.
fn settling_cases() -> Vec<(NewTransfer, Code)> {
    let id = TransferId;
    let post = settle(300, 200, POST);
    vec![
        (NewTransfer { flags: POST | VOID, ..post }, Code::FlagsAreMutuallyExclusive),
        (NewTransfer { pending_id: id(0), ..post }, Code::PendingIdMustNotBeZero),
        (NewTransfer { pending_id: id(u128::MAX), ..post }, Code::PendingIdMustNotBeIntMax),
        (NewTransfer { pending_id: id(300), ..post }, Code::PendingIdMustBeDifferent),
        (settle(301, 999, POST), Code::PendingTransferNotFound),
        (settle(300, 100, POST), Code::PendingTransferNotPending),
        (
            NewTransfer { debit: AccountId(5), ..post },
            Code::PendingTransferHasDifferentDebitAccountId,
        ),
        (
            NewTransfer { credit: AccountId(5), ..post },
            Code::PendingTransferHasDifferentCreditAccountId,
        ),
        (NewTransfer { ledger: LedgerId(840), ..post }, Code::PendingTransferHasDifferentLedger),
        (NewTransfer { code: 9, ..post }, Code::PendingTransferHasDifferentCode),
        (NewTransfer { amount: 51, ..post }, Code::ExceedsPendingTransferAmount),
        (
            NewTransfer { amount: 49, ..settle(300, 200, VOID) },
            Code::PendingTransferHasDifferentAmount,
        ),
        (settle(300, 201, VOID), Code::PendingTransferAlreadyPosted),
        (settle(300, 202, POST), Code::PendingTransferAlreadyVoided),
        (settle(300, 203, POST), Code::PendingTransferExpired),
        (NewTransfer { amount: 20, ..post }, Code::Ok),
        (NewTransfer { amount: 20, ..post }, Code::Exists),
        (settle(302, 200, VOID), Code::PendingTransferAlreadyPosted),
    ]
}

async fn prepare_pendings(ledger: &Ledger, clock: &haechi_base::Clock) {
    let made = [
        pending(200, 1, 2, 50, 0),
        pending(201, 1, 2, 50, 0),
        pending(202, 1, 2, 50, 0),
        pending(203, 1, 2, 50, 2),
        settle(211, 201, POST),
        settle(212, 202, VOID),
    ];
    for new in made {
        assert_eq!(code(ledger, new).await, Code::Ok);
    }
    advance(clock, 2);
}

/// Amounts that do not fit 128 bits; the accounts of the other ledger hold nothing else.
async fn overflows(ledger: &Ledger, given: &mut BTreeSet<Code>) {
    let other = |new: NewTransfer| NewTransfer { ledger: LedgerId(840), ..new };
    let third = NewAccount { ledger: LedgerId(840), ..account(11, AccountFlags::NONE) };
    ledger.open_accounts(vec![third]).await.unwrap();
    let half = u128::MAX / 2 + 1;
    let cases = [
        (pending(400, 9, 10, half, 0), Code::Ok),
        (pending(401, 9, 11, half, 0), Code::OverflowsDebitsPending),
        (pending(402, 11, 10, half, 0), Code::OverflowsCreditsPending),
        (transfer(403, 9, 11, half), Code::OverflowsDebits),
        (transfer(404, 11, 10, half), Code::OverflowsCredits),
        (other(settle(405, 400, POST)), Code::Ok),
        (transfer(406, 9, 11, half), Code::OverflowsDebitsPosted),
        (transfer(407, 11, 10, half), Code::OverflowsCreditsPosted),
    ];
    for (new, wanted) in cases {
        assert_eq!(code(ledger, other(new)).await, wanted, "{new:?}");
        given.insert(wanted);
    }
}

#[store_test(schemas(SCHEMA))]
async fn every_code_of_a_transfer_is_given(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    accounts(&ledger).await;
    let mut given = BTreeSet::new();
    for (number, (new, wanted)) in plain_cases().into_iter().enumerate() {
        assert_eq!(code(&ledger, new).await, wanted, "case {number}: {new:?}");
        given.insert(wanted);
    }
    prepare_pendings(&ledger, &clock).await;
    for (number, (new, wanted)) in settling_cases().into_iter().enumerate() {
        assert_eq!(code(&ledger, new).await, wanted, "case {number}: {new:?}");
        given.insert(wanted);
    }
    overflows(&ledger, &mut given).await;
    let linked = NewTransfer { flags: TransferFlags::LINKED, ..transfer(500, 1, 2, 1) };
    let codes = |outcomes: Vec<haechi_ledger::Outcome>| -> Vec<Code> {
        outcomes.iter().map(|outcome| outcome.code).collect()
    };
    let chain = ledger.make_transfers(vec![linked]).await.unwrap();
    assert_eq!(codes(chain), [Code::LinkedEventChainOpen]);
    let chain = ledger.make_transfers(vec![linked, transfer(501, 1, 1, 1)]).await.unwrap();
    assert_eq!(codes(chain), [Code::LinkedEventFailed, Code::AccountsMustBeDifferent]);
    given.extend([Code::LinkedEventChainOpen, Code::LinkedEventFailed]);
    // Two ledgers apart: the log's time would have to end.
    let end_of_time = haechi_base::Clock::manual(haechi_base::Millis(i64::MAX));
    let late = Ledger::new((*db).clone(), end_of_time);
    let lone = [20, 21].map(|id| NewAccount { ledger: LedgerId(7), ..wallet(id) });
    late.open_accounts(lone.to_vec()).await.unwrap();
    let new = NewTransfer { ledger: LedgerId(7), ..pending(600, 20, 21, 0, 1) };
    assert_eq!(code(&late, new).await, Code::OverflowsTimeout);
    given.insert(Code::OverflowsTimeout);
    let all: BTreeSet<_> = Code::ALL.iter().copied().collect();
    assert_eq!(all.difference(&given).collect::<Vec<_>>(), Vec::<&Code>::new());
    common::verified(&db, WON, &clock).await;
}
