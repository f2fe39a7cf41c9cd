//! How entries, facts and balances are stored and hashed.
//!
//! Numbers are written seven bits at a time, lowest first, the top bit saying that more follow
//! (LEB128): most amounts are small. There is one encoding of each value, so equal entries have equal
//! hashes.

use haechi_base::Millis;
use sha2::{Digest as _, Sha256};

use crate::{
    Hash,
    model::{
        AccountFlags, AccountId, Balances, Entry, EntryKind, EntryPos, LedgerId, NewAccount,
        NewTransfer, TransferFlags, TransferId, UserData,
    },
};

/// First byte of what an entry's hash covers; inner nodes of the tree begin with 1 (RFC 6962).
const ENTRY_TAG: u8 = 0;
/// Version of the layout, part of every hash.
const LAYOUT: u8 = 1;

pub(crate) fn write_number(out: &mut Vec<u8>, mut value: u128) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Reads numbers one after the other; `None` at the end, or of what does not fit.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn long(&mut self) -> Option<u128> {
        let mut value = 0;
        for shift in (0..=126).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            if shift == 126 && *byte > 3 {
                return None;
            }
            value |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return (*byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    fn get<T: TryFrom<u128>>(&mut self) -> Option<T> {
        T::try_from(self.long()?).ok()
    }

    fn user_data(&mut self) -> Option<UserData> {
        Some(UserData { long: self.long()?, middle: self.get()?, short: self.get()? })
    }

    fn balances(&mut self) -> Option<Balances> {
        Some(Balances {
            debits_pending: self.long()?,
            debits_posted: self.long()?,
            credits_pending: self.long()?,
            credits_posted: self.long()?,
        })
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn write_user_data(out: &mut Vec<u8>, data: &UserData) {
    for number in [data.long, data.middle.into(), data.short.into()] {
        write_number(out, number);
    }
}

fn write_balances(out: &mut Vec<u8>, balances: &Balances) {
    for number in [
        balances.debits_pending,
        balances.debits_posted,
        balances.credits_pending,
        balances.credits_posted,
    ] {
        write_number(out, number);
    }
}

/// Balances as they stand in the account's row.
pub(crate) fn balances(balances: &Balances) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    write_balances(&mut out, balances);
    out
}

pub(crate) fn read_balances(bytes: &[u8]) -> Option<Balances> {
    let mut numbers = Numbers(bytes);
    let balances = numbers.balances()?;
    numbers.end().map(|()| balances)
}

/// What the account's row holds of it beside id and ledger.
pub(crate) fn facts(account: &NewAccount) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    write_number(&mut out, account.code.into());
    write_number(&mut out, account.flags.0.into());
    write_user_data(&mut out, &account.user_data);
    out
}

pub(crate) fn read_facts(id: AccountId, ledger: LedgerId, bytes: &[u8]) -> Option<NewAccount> {
    let mut numbers = Numbers(bytes);
    let (code, flags) = (numbers.get()?, AccountFlags(numbers.get()?));
    let user_data = numbers.user_data()?;
    numbers.end().map(|()| NewAccount { id, ledger, code, flags, user_data })
}

/// What the entry's row holds of it beside its other columns.
pub(crate) fn body(entry: &Entry) -> Vec<u8> {
    let transfer = &entry.transfer;
    let mut out = Vec::with_capacity(64);
    for number in [
        transfer.amount,
        transfer.pending_id.0,
        transfer.timeout_s.into(),
        transfer.code.into(),
        transfer.flags.0.into(),
    ] {
        write_number(&mut out, number);
    }
    write_user_data(&mut out, &transfer.user_data);
    write_balances(&mut out, &entry.debit_after);
    write_balances(&mut out, &entry.credit_after);
    out
}

/// An entry as its row holds it.
pub(crate) struct StoredEntry {
    pub(crate) pos: EntryPos,
    pub(crate) kind: i64,
    pub(crate) id: Vec<u8>,
    pub(crate) debit: Vec<u8>,
    pub(crate) credit: Vec<u8>,
    pub(crate) at: Millis,
    pub(crate) body: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

fn id(bytes: &[u8]) -> Option<u128> {
    Some(u128::from_be_bytes(bytes.try_into().ok()?))
}

impl StoredEntry {
    /// The entry; `None` when the row is none.
    pub(crate) fn decode(&self) -> Option<Entry> {
        let mut numbers = Numbers(&self.body);
        let (amount, pending_id) = (numbers.long()?, TransferId(numbers.long()?));
        let (timeout_s, code) = (numbers.get()?, numbers.get()?);
        let flags = TransferFlags(numbers.get()?);
        let user_data = numbers.user_data()?;
        let (debit_after, credit_after) = (numbers.balances()?, numbers.balances()?);
        numbers.end()?;
        let transfer = NewTransfer {
            id: TransferId(id(&self.id)?),
            debit: AccountId(id(&self.debit)?),
            credit: AccountId(id(&self.credit)?),
            amount,
            pending_id,
            user_data,
            timeout_s,
            ledger: self.pos.ledger(),
            code,
            flags,
        };
        let kind = EntryKind::of(self.kind)?;
        Some(Entry { pos: self.pos, kind, at: self.at, transfer, debit_after, credit_after })
    }
}

/// The bytes that an entry's hash covers after the hash of the entry before: what a receipt holds.
pub fn entry_bytes(entry: &Entry) -> Vec<u8> {
    let transfer = &entry.transfer;
    let mut out = Vec::with_capacity(160);
    out.push(LAYOUT);
    out.push(entry.kind as u8);
    out.extend_from_slice(&entry.pos.0.to_be_bytes());
    out.extend_from_slice(&entry.at.0.to_be_bytes());
    for id in [transfer.id.0, transfer.debit.0, transfer.credit.0] {
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(&body(entry));
    out
}

/// The hash of an entry: it commits to the one before, and through it to all before.
pub fn entry_hash(before: &Hash, bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([ENTRY_TAG])
        .chain_update(before)
        .chain_update(bytes)
        .finalize()
        .into()
}

/// A fingerprint of all that a request said of a transfer.
pub(crate) fn digest(transfer: &NewTransfer) -> Hash {
    let mut bytes = Vec::with_capacity(96);
    for number in [
        transfer.id.0,
        transfer.debit.0,
        transfer.credit.0,
        transfer.amount,
        transfer.pending_id.0,
        transfer.timeout_s.into(),
        transfer.ledger.0.into(),
        transfer.code.into(),
        transfer.flags.0.into(),
    ] {
        write_number(&mut bytes, number);
    }
    write_user_data(&mut bytes, &transfer.user_data);
    Sha256::digest(&bytes).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn balances_come_back(numbers: [u128; 4]) {
            let [debits_pending, debits_posted, credits_pending, credits_posted] = numbers;
            let given = Balances { debits_pending, debits_posted, credits_pending, credits_posted };
            prop_assert_eq!(read_balances(&balances(&given)), Some(given));
        }

        #[test]
        fn what_is_not_ours_is_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = read_balances(&bytes);
            let _ = read_facts(AccountId(1), LedgerId(1), &bytes);
        }
    }

    #[test]
    fn the_largest_number_fits_and_no_larger_one() {
        let largest = Balances { debits_pending: u128::MAX, ..Balances::default() };
        let mut bytes = balances(&largest);
        assert_eq!(read_balances(&bytes), Some(largest));
        bytes[18] += 1;
        assert_eq!(read_balances(&bytes), None);
    }
}
