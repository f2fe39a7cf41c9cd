//! The ledger as plainly as it can be said: lists, and balances added up from the beginning each time.
//! Nothing here is shared with the ledger but the types of requests and the names of codes.

use std::collections::HashMap;

use haechi_ledger::{
    AccountCode, AccountFlags, AccountId, Balances, LedgerId, NewAccount, NewTransfer,
    PendingState, TransferCode as Code, TransferFlags, TransferId,
};

/// A transfer that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) facts: NewTransfer,
    pub(crate) at: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) accounts: Vec<NewAccount>,
    pub(crate) made: Vec<Made>,
    /// Which pending transfers have ended, and how.
    pub(crate) ended: HashMap<TransferId, PendingState>,
    pub(crate) refused: HashMap<TransferId, (Code, NewTransfer)>,
    /// Entries of each journal.
    pub(crate) entries: HashMap<LedgerId, u64>,
}

impl Model {
    pub(crate) fn account(&self, id: AccountId) -> Option<&NewAccount> {
        self.accounts.iter().find(|account| account.id == id)
    }

    pub(crate) fn find(&self, id: TransferId) -> Option<&Made> {
        self.made.iter().find(|made| made.facts.id == id)
    }

    /// What went through an account: each transfer counts for what it is now.
    pub(crate) fn balances(&self, id: AccountId) -> Balances {
        let mut sum = Balances::default();
        for made in &self.made {
            let facts = &made.facts;
            let (pending, posted) = if facts.flags.has(TransferFlags::PENDING) {
                let open = !self.ended.contains_key(&facts.id);
                (if open { facts.amount } else { 0 }, 0)
            } else if facts.flags.has(TransferFlags::VOID_PENDING) {
                (0, 0)
            } else {
                (0, facts.amount)
            };
            if facts.debit == id {
                sum.debits_pending += pending;
                sum.debits_posted += posted;
            }
            if facts.credit == id {
                sum.credits_pending += pending;
                sum.credits_posted += posted;
            }
        }
        sum
    }

    fn enter(&mut self, ledger: LedgerId) {
        *self.entries.entry(ledger).or_default() += 1;
    }

    pub(crate) fn open(&mut self, new: &NewAccount) -> AccountCode {
        if let Some(there) = self.account(new.id) {
            return if there.flags != new.flags {
                AccountCode::ExistsWithDifferentFlags
            } else if there.ledger != new.ledger {
                AccountCode::ExistsWithDifferentLedger
            } else if there.code != new.code {
                AccountCode::ExistsWithDifferentCode
            } else {
                AccountCode::Exists
            };
        }
        self.accounts.push(*new);
        self.enter(new.ledger);
        AccountCode::Ok
    }

    pub(crate) fn request(&mut self, request: &[NewTransfer]) -> Vec<Code> {
        let mut codes = vec![Code::Ok; request.len()];
        let mut at = 0;
        while at < request.len() {
            let is_linked = |index: usize| request[index].flags.has(TransferFlags::LINKED);
            let mut last = at;
            while is_linked(last) && last + 1 < request.len() {
                last += 1;
            }
            let open = is_linked(last);
            let before = self.clone();
            for index in at..=last {
                let code = if open && index == last {
                    Code::LinkedEventChainOpen
                } else {
                    self.transfer(&request[index])
                };
                codes[index] = code;
                if code != Code::Ok && last > at {
                    let refused = std::mem::take(&mut self.refused);
                    *self = before;
                    self.refused = refused;
                    for (other, code) in codes.iter_mut().enumerate().take(last + 1).skip(at) {
                        if other != index {
                            *code = Code::LinkedEventFailed;
                        }
                    }
                    if open {
                        codes[last] = Code::LinkedEventChainOpen;
                    }
                    break;
                }
            }
            at = last + 1;
        }
        codes
    }

    fn transfer(&mut self, new: &NewTransfer) -> Code {
        if let Some(made) = self.find(new.id) {
            return self.exists(new, &made.facts);
        }
        if let Some((code, first)) = self.refused.get(&new.id) {
            return if first == new { *code } else { Code::IdAlreadyFailed };
        }
        let settles = TransferFlags::POST_PENDING | TransferFlags::VOID_PENDING;
        let code = if new.flags.has(settles) { self.settle(new) } else { self.plain(new) };
        let stays = [
            Code::DebitAccountNotFound,
            Code::CreditAccountNotFound,
            Code::PendingTransferNotFound,
            Code::ExceedsCredits,
            Code::ExceedsDebits,
        ];
        if stays.contains(&code) {
            self.refused.insert(new.id, (code, *new));
        }
        code
    }

    fn exists(&self, new: &NewTransfer, made: &NewTransfer) -> Code {
        let post = made.flags.has(TransferFlags::POST_PENDING);
        let void = made.flags.has(TransferFlags::VOID_PENDING);
        let left_out = |is_zero: bool| (post || void) && is_zero;
        if new.flags != made.flags {
            return Code::ExistsWithDifferentFlags;
        }
        if new.pending_id != made.pending_id {
            return Code::ExistsWithDifferentPendingId;
        }
        if new.timeout_s != made.timeout_s {
            return Code::ExistsWithDifferentTimeout;
        }
        if new.debit != made.debit && !left_out(new.debit.0 == 0) {
            return Code::ExistsWithDifferentDebitAccountId;
        }
        if new.credit != made.credit && !left_out(new.credit.0 == 0) {
            return Code::ExistsWithDifferentCreditAccountId;
        }
        let whole = || self.find(made.pending_id).unwrap().facts.amount;
        let balancing = TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT;
        let same_amount = if post && new.amount == u128::MAX || void && new.amount == 0 {
            made.amount == whole()
        } else if new.flags.has(balancing) {
            made.amount <= new.amount
        } else {
            made.amount == new.amount
        };
        if !same_amount {
            return Code::ExistsWithDifferentAmount;
        }
        if new.ledger != made.ledger {
            return Code::ExistsWithDifferentLedger;
        }
        if new.code != made.code && !left_out(new.code == 0) {
            return Code::ExistsWithDifferentCode;
        }
        Code::Exists
    }

    fn plain(&mut self, new: &NewTransfer) -> Code {
        let pending = new.flags.has(TransferFlags::PENDING);
        if new.debit == new.credit {
            return Code::AccountsMustBeDifferent;
        }
        if new.pending_id.0 != 0 {
            return Code::PendingIdMustBeZero;
        }
        if new.timeout_s != 0 && !pending {
            return Code::TimeoutReservedForPendingTransfer;
        }
        let Some(debit) = self.account(new.debit).copied() else {
            return Code::DebitAccountNotFound;
        };
        let Some(credit) = self.account(new.credit).copied() else {
            return Code::CreditAccountNotFound;
        };
        if debit.ledger != credit.ledger {
            return Code::AccountsMustHaveTheSameLedger;
        }
        if debit.ledger != new.ledger {
            return Code::TransferMustHaveTheSameLedgerAsAccounts;
        }
        let (from, to) = (self.balances(new.debit), self.balances(new.credit));
        let mut amount = new.amount;
        if new.flags.has(TransferFlags::BALANCING_DEBIT) {
            let debits = from.debits_posted + from.debits_pending;
            amount = amount.min(from.credits_posted.saturating_sub(debits));
        }
        if new.flags.has(TransferFlags::BALANCING_CREDIT) {
            let credits = to.credits_posted + to.credits_pending;
            amount = amount.min(to.debits_posted.saturating_sub(credits));
        }
        let over = |part: u128| part.checked_add(amount).is_none();
        if pending && over(from.debits_pending) {
            return Code::OverflowsDebitsPending;
        }
        if pending && over(to.credits_pending) {
            return Code::OverflowsCreditsPending;
        }
        if over(from.debits_posted) {
            return Code::OverflowsDebitsPosted;
        }
        if over(to.credits_posted) {
            return Code::OverflowsCreditsPosted;
        }
        if over(from.debits_pending + from.debits_posted) {
            return Code::OverflowsDebits;
        }
        if over(to.credits_pending + to.credits_posted) {
            return Code::OverflowsCredits;
        }
        if debit.flags.has(AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS)
            && from.debits_pending + from.debits_posted + amount > from.credits_posted
        {
            return Code::ExceedsCredits;
        }
        if credit.flags.has(AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS)
            && to.credits_pending + to.credits_posted + amount > to.debits_posted
        {
            return Code::ExceedsDebits;
        }
        self.make(NewTransfer { amount, ..*new })
    }

    fn settle(&mut self, new: &NewTransfer) -> Code {
        let post = new.flags.has(TransferFlags::POST_PENDING);
        let void = new.flags.has(TransferFlags::VOID_PENDING);
        let others = TransferFlags::PENDING
            | TransferFlags::BALANCING_DEBIT
            | TransferFlags::BALANCING_CREDIT;
        if post && void || new.flags.has(others) {
            return Code::FlagsAreMutuallyExclusive;
        }
        if new.pending_id.0 == 0 {
            return Code::PendingIdMustNotBeZero;
        }
        if new.pending_id == new.id {
            return Code::PendingIdMustBeDifferent;
        }
        if new.timeout_s != 0 {
            return Code::TimeoutReservedForPendingTransfer;
        }
        let Some(Made { facts: reserved, at }) = self.find(new.pending_id).cloned() else {
            return Code::PendingTransferNotFound;
        };
        if !reserved.flags.has(TransferFlags::PENDING) {
            return Code::PendingTransferNotPending;
        }
        if new.debit.0 != 0 && new.debit != reserved.debit {
            return Code::PendingTransferHasDifferentDebitAccountId;
        }
        if new.credit.0 != 0 && new.credit != reserved.credit {
            return Code::PendingTransferHasDifferentCreditAccountId;
        }
        if new.ledger != reserved.ledger {
            return Code::PendingTransferHasDifferentLedger;
        }
        if new.code != 0 && new.code != reserved.code {
            return Code::PendingTransferHasDifferentCode;
        }
        let all = if post { new.amount == u128::MAX } else { new.amount == 0 };
        let amount = if all { reserved.amount } else { new.amount };
        if amount > reserved.amount {
            return Code::ExceedsPendingTransferAmount;
        }
        if void && amount != reserved.amount {
            return Code::PendingTransferHasDifferentAmount;
        }
        match self.ended.get(&new.pending_id) {
            Some(PendingState::Posted) => return Code::PendingTransferAlreadyPosted,
            Some(PendingState::Voided) => return Code::PendingTransferAlreadyVoided,
            Some(_) => return Code::PendingTransferExpired,
            None => {}
        }
        if reserved.timeout_s != 0 && self.now >= at + i64::from(reserved.timeout_s) * 1_000 {
            return Code::PendingTransferExpired;
        }
        let state = if post { PendingState::Posted } else { PendingState::Voided };
        self.ended.insert(new.pending_id, state);
        let (debit, credit, code) = (reserved.debit, reserved.credit, reserved.code);
        self.make(NewTransfer { debit, credit, amount, code, ..*new })
    }

    fn make(&mut self, facts: NewTransfer) -> Code {
        self.made.push(Made { facts, at: self.now });
        self.enter(facts.ledger);
        Code::Ok
    }

    pub(crate) fn expire(&mut self) -> usize {
        let due: Vec<NewTransfer> = self
            .made
            .iter()
            .filter(|made| made.facts.flags.has(TransferFlags::PENDING))
            .filter(|made| made.facts.timeout_s != 0)
            .filter(|made| self.now >= made.at + i64::from(made.facts.timeout_s) * 1_000)
            .filter(|made| !self.ended.contains_key(&made.facts.id))
            .map(|made| made.facts)
            .collect();
        for facts in &due {
            self.ended.insert(facts.id, PendingState::Expired);
            self.enter(facts.ledger);
        }
        due.len()
    }
}
