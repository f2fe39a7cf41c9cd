//! Decisions that need nothing but numbers.

use haechi_base::UserNid;
use haechi_ledger::{
    AccountFlags, AccountId, LedgerId, NewAccount, NewTransfer, TransferFlags, TransferId, UserData,
};

use crate::{
    error::Refusal,
    model::{Limits, PaymentId},
};

/// Longest note in characters.
pub const NOTE_CHARS_MAX: usize = 200;
/// Most people among whom a bill or an envelope is split.
pub const SHARES_MAX: usize = 200;

/// Who owes what there is: the operator.
const TREASURY: u8 = 1;
/// A person's money.
const WALLET: u8 = 2;
/// Money that has left its sender and has not arrived.
const TRANSIT: u8 = 3;

/// Why money moves, in the ledger's `code`.
pub(crate) mod code {
    pub(crate) const ISSUE: u16 = 1;
    pub(crate) const PAYMENT: u16 = 2;
    pub(crate) const ARRIVAL: u16 = 3;
}

fn account(kind: u8, ledger: LedgerId, user: i64) -> AccountId {
    let user = u128::from(user.cast_unsigned());
    AccountId(u128::from(kind) << 120 | u128::from(ledger.0) << 64 | user)
}

/// The operator's account, which funds all others.
pub fn treasury(ledger: LedgerId) -> AccountId {
    account(TREASURY, ledger, 0)
}

/// The account of what is on its way.
pub fn transit(ledger: LedgerId) -> AccountId {
    account(TRANSIT, ledger, 0)
}

/// A person's account.
pub fn wallet(ledger: LedgerId, user: UserNid) -> AccountId {
    account(WALLET, ledger, user.0)
}

/// The accounts that a payment needs, to be opened where they are not there yet.
pub(crate) fn accounts(ledger: LedgerId, users: &[UserNid]) -> Vec<NewAccount> {
    let new = |id, kind: u8, flags| NewAccount {
        id,
        ledger,
        code: kind.into(),
        flags,
        ..NewAccount::default()
    };
    let no_debt = AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS;
    let mut all = vec![
        new(treasury(ledger), TREASURY, AccountFlags::NONE),
        new(transit(ledger), TRANSIT, no_debt),
    ];
    all.extend(users.iter().map(|user| new(wallet(ledger, *user), WALLET, no_debt)));
    all
}

/// The transfer that takes a payment's money out of the sender's hands.
pub(crate) fn departure(
    id: PaymentId,
    ledger: LedgerId,
    sender: UserNid,
    amount: i64,
    timeout_s: u32,
) -> NewTransfer {
    NewTransfer {
        id: TransferId(id.0),
        debit: wallet(ledger, sender),
        credit: transit(ledger),
        amount: amount.unsigned_abs().into(),
        timeout_s,
        ledger,
        code: code::PAYMENT,
        flags: TransferFlags::PENDING,
        user_data: UserData { long: id.0, ..UserData::default() },
        ..NewTransfer::default()
    }
}

/// A transfer id that belongs to a payment: each step of it has one of its own.
pub(crate) fn step_id(id: PaymentId, step: &str) -> TransferId {
    TransferId(digest(&[&id.0.to_be_bytes(), step.as_bytes()]))
}

/// The first 16 bytes of the SHA-256 of parts, each with its length before it.
pub(crate) fn digest(parts: &[&[u8]]) -> u128 {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let bytes: [u8; 32] = hash.finalize().into();
    let (first, _) = bytes.split_first_chunk().expect("a hash has 32 bytes");
    u128::from_be_bytes(*first)
}

/// Arrival of a payment: out of the hands of both, and into the receiver's wallet, or neither.
pub(crate) fn arrival(
    id: PaymentId,
    ledger: LedgerId,
    receiver: UserNid,
    amount: i64,
) -> [NewTransfer; 2] {
    let post = NewTransfer {
        id: step_id(id, "post"),
        pending_id: TransferId(id.0),
        amount: haechi_ledger::AMOUNT_MAX,
        ledger,
        flags: TransferFlags::POST_PENDING | TransferFlags::LINKED,
        ..NewTransfer::default()
    };
    let arrive = NewTransfer {
        id: step_id(id, "arrive"),
        debit: transit(ledger),
        credit: wallet(ledger, receiver),
        amount: amount.unsigned_abs().into(),
        ledger,
        code: code::ARRIVAL,
        user_data: UserData { long: id.0, ..UserData::default() },
        ..NewTransfer::default()
    };
    [post, arrive]
}

/// A payment's money goes back to the sender.
pub(crate) fn way_back(id: PaymentId, ledger: LedgerId) -> NewTransfer {
    NewTransfer {
        id: step_id(id, "void"),
        pending_id: TransferId(id.0),
        ledger,
        flags: TransferFlags::VOID_PENDING,
        ..NewTransfer::default()
    }
}

/// Is it an amount that can be paid at all?
pub(crate) fn check_amount(amount: i64, limits: &Limits) -> Result<(), Refusal> {
    if amount <= 0 {
        return Err(Refusal::BadAmount);
    }
    if amount > limits.payment {
        return Err(Refusal::LimitPayment(limits.payment));
    }
    Ok(())
}

/// May so much be sent after what was sent in the last day and month?
pub(crate) fn check_sums(
    amount: i64,
    day: i64,
    month: i64,
    limits: &Limits,
) -> Result<(), Refusal> {
    if day.saturating_add(amount) > limits.day {
        return Err(Refusal::LimitDay(limits.day));
    }
    if month.saturating_add(amount) > limits.month {
        return Err(Refusal::LimitMonth(limits.month));
    }
    Ok(())
}

/// Equal shares that add up to the total to the unit: the first ones are one larger where it does not
/// divide.
pub fn equal_shares(total: i64, people: usize) -> Result<Vec<i64>, Refusal> {
    let count = i64::try_from(people).map_err(|_| Refusal::BadSplit)?;
    if people == 0 || people > SHARES_MAX || total < count {
        return Err(Refusal::BadSplit);
    }
    let (share, rest) = (total / count, total % count);
    Ok((0..count).map(|number| share + i64::from(number < rest)).collect())
}

/// Shares by chance, each at least one unit, that add up to the total to the unit. `chance` gives a
/// number below its argument.
pub fn random_shares(
    total: i64,
    people: usize,
    mut chance: impl FnMut(i64) -> i64,
) -> Result<Vec<i64>, Refusal> {
    let count = i64::try_from(people).map_err(|_| Refusal::BadSplit)?;
    if people == 0 || people > SHARES_MAX || total < count {
        return Err(Refusal::BadSplit);
    }
    let mut shares = Vec::with_capacity(people);
    let mut left = total;
    for after in (0..count).rev() {
        // Twice the mean of what is left, so that nobody is better off for being first.
        let most =
            if after == 0 { left } else { (left - after).min(2 * left / (after + 1)).max(1) };
        let share = if after == 0 { left } else { 1 + chance(most).clamp(0, most - 1) };
        shares.push(share);
        left -= share;
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn m8_shares_add_up_to_the_total_to_the_unit(
            total in 1..2_000_000_000_i64,
            people in 1..SHARES_MAX,
            seed: u64,
        ) {
            let mut seed = seed;
            let mut chance = |below: i64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33).cast_signed() % below
            };
            match (equal_shares(total, people), random_shares(total, people, &mut chance)) {
                (Ok(equal), Ok(random)) => {
                    prop_assert_eq!((equal.len(), random.len()), (people, people));
                    prop_assert_eq!(equal.iter().sum::<i64>(), total);
                    prop_assert_eq!(random.iter().sum::<i64>(), total);
                    prop_assert!(random.iter().chain(&equal).all(|share| *share > 0));
                    let (most, least) = (equal.iter().max(), equal.iter().min());
                    prop_assert!(most.unwrap() - least.unwrap() <= 1);
                }
                (equal, random) => {
                    prop_assert_eq!(equal, Err(Refusal::BadSplit));
                    prop_assert_eq!(random, Err(Refusal::BadSplit));
                    prop_assert!(total < i64::try_from(people).unwrap());
                }
            }
        }
    }

    #[test]
    fn amounts_that_are_none_are_refused() {
        let limits = Limits { payment: 100, day: 150, month: 1_000, balance: 1_000 };
        for (amount, wanted) in [
            (0, Err(Refusal::BadAmount)),
            (-1, Err(Refusal::BadAmount)),
            (i64::MIN, Err(Refusal::BadAmount)),
            (100, Ok(())),
            (101, Err(Refusal::LimitPayment(100))),
            (i64::MAX, Err(Refusal::LimitPayment(100))),
        ] {
            assert_eq!(check_amount(amount, &limits), wanted, "{amount}");
        }
        assert_eq!(check_sums(50, 100, 100, &limits), Ok(()));
        assert_eq!(check_sums(51, 100, 100, &limits), Err(Refusal::LimitDay(150)));
        assert_eq!(check_sums(50, 0, 951, &limits), Err(Refusal::LimitMonth(1_000)));
        assert_eq!(check_sums(50, i64::MAX, 0, &limits), Err(Refusal::LimitDay(150)));
    }
}
