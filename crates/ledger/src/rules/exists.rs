//! Checks that need no balances: of a request as such, against what was made under its id, and against
//! the pending transfer it settles.

use crate::{
    codes::{AccountCode, TransferCode},
    model::{AMOUNT_MAX, LedgerId, NewAccount, NewTransfer, TransferFlags, TransferId, UserData},
};

/// What is wrong with an account before anything else is looked at.
pub(super) fn account_as_such(new: &NewAccount) -> Option<AccountCode> {
    if new.flags.has_unknown() {
        return Some(AccountCode::ReservedFlag);
    }
    match new.id.0 {
        0 => Some(AccountCode::IdMustNotBeZero),
        u128::MAX => Some(AccountCode::IdMustNotBeIntMax),
        _ => None,
    }
}

/// Is the account that is there the one that was asked for?
pub(super) fn account(new: &NewAccount, there: &NewAccount) -> AccountCode {
    let (wanted, has) = (&new.user_data, &there.user_data);
    let differences = [
        (new.flags != there.flags, AccountCode::ExistsWithDifferentFlags),
        (wanted.long != has.long, AccountCode::ExistsWithDifferentUserDataLong),
        (wanted.middle != has.middle, AccountCode::ExistsWithDifferentUserDataMiddle),
        (wanted.short != has.short, AccountCode::ExistsWithDifferentUserDataShort),
        (new.ledger != there.ledger, AccountCode::ExistsWithDifferentLedger),
        (new.code != there.code, AccountCode::ExistsWithDifferentCode),
    ];
    let difference = differences.iter().find(|(differs, _)| *differs);
    difference.map_or(AccountCode::Exists, |(_, code)| *code)
}

/// Is the transfer that was made the one that was asked for? `pending` is what it settled.
pub(super) fn transfer(
    new: &NewTransfer,
    made: &NewTransfer,
    pending: Option<&NewTransfer>,
) -> TransferCode {
    let balancing = TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT;
    let settles = pending.is_some();
    // What is left out on settling is as the pending one has it, and was filled in.
    let id = |wanted: u128, has: u128| wanted != has && !(settles && wanted == 0);
    let amount = match pending {
        Some(pending) => {
            let posts = new.flags.has(TransferFlags::POST_PENDING);
            let all = new.amount == if posts { AMOUNT_MAX } else { 0 };
            made.amount != if all { pending.amount } else { new.amount }
        }
        None if new.flags.has(balancing) => new.amount < made.amount,
        None => new.amount != made.amount,
    };
    let none = UserData::default();
    let from = pending.map_or(&none, |pending| &pending.user_data);
    let (wanted, has) = (inherited(&new.user_data, from), &made.user_data);
    let differences = [
        (new.flags != made.flags, TransferCode::ExistsWithDifferentFlags),
        (new.pending_id != made.pending_id, TransferCode::ExistsWithDifferentPendingId),
        (new.timeout_s != made.timeout_s, TransferCode::ExistsWithDifferentTimeout),
        (id(new.debit.0, made.debit.0), TransferCode::ExistsWithDifferentDebitAccountId),
        (id(new.credit.0, made.credit.0), TransferCode::ExistsWithDifferentCreditAccountId),
        (amount, TransferCode::ExistsWithDifferentAmount),
        (wanted.long != has.long, TransferCode::ExistsWithDifferentUserDataLong),
        (wanted.middle != has.middle, TransferCode::ExistsWithDifferentUserDataMiddle),
        (wanted.short != has.short, TransferCode::ExistsWithDifferentUserDataShort),
        (new.ledger != made.ledger, TransferCode::ExistsWithDifferentLedger),
        (id(new.code.into(), made.code.into()), TransferCode::ExistsWithDifferentCode),
    ];
    let difference = differences.iter().find(|(differs, _)| *differs);
    difference.map_or(TransferCode::Exists, |(_, code)| *code)
}

/// The owner's data, with what was left out taken from the pending transfer.
pub(super) fn inherited(wanted: &UserData, from: &UserData) -> UserData {
    UserData {
        long: if wanted.long == 0 { from.long } else { wanted.long },
        middle: if wanted.middle == 0 { from.middle } else { wanted.middle },
        short: if wanted.short == 0 { from.short } else { wanted.short },
    }
}

type Checks<'a> = &'a [(bool, TransferCode)];

fn first(checks: Checks<'_>) -> Result<(), TransferCode> {
    match checks.iter().find(|(wrong, _)| *wrong) {
        Some((_, code)) => Err(*code),
        None => Ok(()),
    }
}

/// What is wrong with a transfer of its own before its accounts are looked at.
pub(super) fn as_such(new: &NewTransfer) -> Result<(), TransferCode> {
    let pending = new.flags.has(TransferFlags::PENDING);
    first(&[
        (new.debit.0 == 0, TransferCode::DebitAccountIdMustNotBeZero),
        (new.debit.0 == u128::MAX, TransferCode::DebitAccountIdMustNotBeIntMax),
        (new.credit.0 == 0, TransferCode::CreditAccountIdMustNotBeZero),
        (new.credit.0 == u128::MAX, TransferCode::CreditAccountIdMustNotBeIntMax),
        (new.debit == new.credit, TransferCode::AccountsMustBeDifferent),
        (new.pending_id != TransferId(0), TransferCode::PendingIdMustBeZero),
        (new.timeout_s != 0 && !pending, TransferCode::TimeoutReservedForPendingTransfer),
        (new.ledger.0 == 0, TransferCode::LedgerMustNotBeZero),
        (new.ledger > LedgerId::MAX, TransferCode::LedgerOutOfRange),
        (new.code == 0, TransferCode::CodeMustNotBeZero),
    ])
}

/// What is wrong with a settling transfer before the pending one is looked at.
pub(super) fn settling_as_such(new: &NewTransfer) -> Result<(), TransferCode> {
    let both = TransferFlags::POST_PENDING | TransferFlags::VOID_PENDING;
    let others =
        TransferFlags::PENDING | TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT;
    let contradicts = new.flags.0 & both.0 == both.0 || new.flags.has(others);
    first(&[
        (contradicts, TransferCode::FlagsAreMutuallyExclusive),
        (new.pending_id.0 == 0, TransferCode::PendingIdMustNotBeZero),
        (new.pending_id.0 == u128::MAX, TransferCode::PendingIdMustNotBeIntMax),
        (new.pending_id == new.id, TransferCode::PendingIdMustBeDifferent),
        (new.timeout_s != 0, TransferCode::TimeoutReservedForPendingTransfer),
        (new.ledger.0 == 0, TransferCode::LedgerMustNotBeZero),
        (new.ledger > LedgerId::MAX, TransferCode::LedgerOutOfRange),
    ])
}

/// Does it say of the pending transfer only what is so?
pub(super) fn fits_pending(new: &NewTransfer, pending: &NewTransfer) -> Result<(), TransferCode> {
    let differs = |wanted: u128, has: u128| wanted != 0 && wanted != has;
    first(&[
        (!pending.flags.has(TransferFlags::PENDING), TransferCode::PendingTransferNotPending),
        (
            differs(new.debit.0, pending.debit.0),
            TransferCode::PendingTransferHasDifferentDebitAccountId,
        ),
        (
            differs(new.credit.0, pending.credit.0),
            TransferCode::PendingTransferHasDifferentCreditAccountId,
        ),
        (new.ledger != pending.ledger, TransferCode::PendingTransferHasDifferentLedger),
        (
            differs(new.code.into(), pending.code.into()),
            TransferCode::PendingTransferHasDifferentCode,
        ),
    ])
}
