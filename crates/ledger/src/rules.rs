//! The decisions: what becomes of accounts and transfers, one after the other, in memory.
//!
//! [`Books`] holds all that a request can need, read from the tables beforehand, and afterwards what
//! is to be written. The order of the checks, and what each does, follow TigerBeetle's state machine.

mod chain;
mod exists;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use haechi_base::Millis;

use crate::{
    codes::{AccountCode, TransferCode},
    encode::digest,
    merkle::{Hash, Tree},
    model::{
        AMOUNT_MAX, Account, AccountFlags, AccountId, Balances, Entry, EntryKind, EntryPos,
        LedgerId, NewAccount, NewTransfer, Pending, PendingState, Transfer, TransferFlags,
        TransferId,
    },
};

/// The end of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) entries: u64,
    pub(crate) at: Millis,
    pub(crate) hash: Hash,
    pub(crate) tree: Tree,
}

impl Head {
    /// Of a journal without entries.
    pub(crate) fn empty() -> Self {
        Self { entries: 0, at: Millis(0), hash: [0; 32], tree: Tree::default() }
    }
}

/// A refusal that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: TransferCode,
    pub(crate) digest: Hash,
}

/// What became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Done, or why not.
    pub code: TransferCode,
    /// The entry that made it, now or the first time it was asked for.
    pub pos: Option<EntryPos>,
    /// When that was.
    pub at: Option<Millis>,
}

/// Parts of the ledgers in memory. See the module's documentation.
#[derive(Debug)]
pub struct Books {
    /// The node's clock; the time of the log is never before it nor before the entry in front.
    pub(crate) now: Millis,
    pub(crate) heads: BTreeMap<LedgerId, Head>,
    pub(crate) accounts: HashMap<AccountId, Account>,
    pub(crate) transfers: HashMap<TransferId, Transfer>,
    pub(crate) pendings: HashMap<TransferId, Pending>,
    pub(crate) refused: HashMap<TransferId, Refused>,
    // to be written
    pub(crate) entries: Vec<Entry>,
    pub(crate) opened: BTreeSet<AccountId>,
    pub(crate) touched: BTreeSet<AccountId>,
    pub(crate) settled: BTreeSet<TransferId>,
    pub(crate) newly_refused: BTreeMap<TransferId, Refused>,
    /// How to take back what the chain under way has done, last step last.
    undo: Vec<Undo>,
}

/// A step back.
#[derive(Debug)]
enum Undo {
    Account(Account),
    Opened(AccountId),
    Transfer(TransferId),
    Pending(TransferId, Option<Pending>),
    Entry(LedgerId),
}

impl Books {
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            now,
            heads: BTreeMap::new(),
            accounts: HashMap::new(),
            transfers: HashMap::new(),
            pendings: HashMap::new(),
            refused: HashMap::new(),
            entries: Vec::new(),
            opened: BTreeSet::new(),
            touched: BTreeSet::new(),
            settled: BTreeSet::new(),
            newly_refused: BTreeMap::new(),
            undo: Vec::new(),
        }
    }

    /// An account that the request names, as it stands after what was done so far.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// A transfer that the request names, or that was made in these books.
    pub fn transfer(&self, id: TransferId) -> Option<&Transfer> {
        self.transfers.get(&id)
    }

    /// What became of a pending transfer that the request names; expired from its deadline on.
    pub fn pending(&self, id: TransferId) -> Option<PendingState> {
        let pending = self.pendings.get(&id)?;
        let ledger = self.transfers.get(&id)?.facts.ledger;
        let due = pending.deadline.is_some_and(|deadline| deadline <= self.time_of(ledger));
        let expired = due && pending.state == PendingState::Pending;
        Some(if expired { PendingState::Expired } else { pending.state })
    }

    /// The time of the log for the next entry of the ledger.
    pub fn time_of(&self, ledger: LedgerId) -> Millis {
        self.heads.get(&ledger).map_or(self.now, |head| head.at.max(self.now))
    }

    pub(crate) fn open_one(&mut self, new: &NewAccount) -> AccountCode {
        if let Some(code) = exists::account_as_such(new) {
            return code;
        }
        if let Some(account) = self.accounts.get(&new.id) {
            return exists::account(new, &account.facts);
        }
        let both = AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS
            | AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS;
        if new.flags.0 & both.0 == both.0 {
            return AccountCode::FlagsAreMutuallyExclusive;
        }
        if new.ledger.0 == 0 {
            return AccountCode::LedgerMustNotBeZero;
        }
        if new.ledger > LedgerId::MAX {
            return AccountCode::LedgerOutOfRange;
        }
        if new.code == 0 {
            return AccountCode::CodeMustNotBeZero;
        }
        let transfer = NewTransfer {
            id: TransferId(new.id.0),
            debit: new.id,
            user_data: new.user_data,
            ledger: new.ledger,
            code: new.code,
            flags: TransferFlags(new.flags.0),
            ..NewTransfer::default()
        };
        let nothing = Balances::default();
        let pos = self.enter(EntryKind::Opened, transfer, nothing, nothing).pos;
        self.accounts.insert(new.id, Account { facts: *new, balances: nothing, last: pos });
        self.opened.insert(new.id);
        self.undo.push(Undo::Opened(new.id));
        AccountCode::Ok
    }

    pub(crate) fn transfer_one(&mut self, new: &NewTransfer) -> TransferCode {
        if new.flags.has_unknown() {
            return TransferCode::ReservedFlag;
        }
        if new.id.0 == 0 {
            return TransferCode::IdMustNotBeZero;
        }
        if new.id.0 == u128::MAX {
            return TransferCode::IdMustNotBeIntMax;
        }
        if let Some(made) = self.transfers.get(&new.id) {
            let pending = self.transfers.get(&made.facts.pending_id);
            return exists::transfer(new, &made.facts, pending.map(|pending| &pending.facts));
        }
        if let Some(refused) = self.refused.get(&new.id) {
            let same = refused.digest == digest(new);
            return if same { refused.code } else { TransferCode::IdAlreadyFailed };
        }
        let settles = TransferFlags::POST_PENDING | TransferFlags::VOID_PENDING;
        let made = if new.flags.has(settles) { self.settle(new) } else { self.move_money(new) };
        match made {
            Ok(()) => TransferCode::Ok,
            Err(code) => {
                if code.is_transient() {
                    self.refuse(new, code);
                }
                code
            }
        }
    }

    /// Remembers a refusal. Stays also when the chain is taken back: the answer was given.
    fn refuse(&mut self, new: &NewTransfer, code: TransferCode) {
        let refused = Refused { code, digest: digest(new) };
        self.refused.insert(new.id, refused);
        self.newly_refused.insert(new.id, refused);
    }

    /// A transfer of its own, pending or not.
    fn move_money(&mut self, new: &NewTransfer) -> Result<(), TransferCode> {
        exists::as_such(new)?;
        let debit = *self.accounts.get(&new.debit).ok_or(TransferCode::DebitAccountNotFound)?;
        let credit = *self.accounts.get(&new.credit).ok_or(TransferCode::CreditAccountNotFound)?;
        if debit.facts.ledger != credit.facts.ledger {
            return Err(TransferCode::AccountsMustHaveTheSameLedger);
        }
        if new.ledger != debit.facts.ledger {
            return Err(TransferCode::TransferMustHaveTheSameLedgerAsAccounts);
        }
        let amount = balanced(new, &debit.balances, &credit.balances);
        let is_pending = new.flags.has(TransferFlags::PENDING);
        check_overflow(amount, is_pending, &debit.balances, &credit.balances)?;
        let deadline = self.deadline(new)?;
        if exceeds_credits(&debit, amount) {
            return Err(TransferCode::ExceedsCredits);
        }
        if exceeds_debits(&credit, amount) {
            return Err(TransferCode::ExceedsDebits);
        }
        let (mut from, mut to) = (debit.balances, credit.balances);
        if is_pending {
            from.debits_pending += amount;
            to.credits_pending += amount;
        } else {
            from.debits_posted += amount;
            to.credits_posted += amount;
        }
        self.make(NewTransfer { amount, ..*new }, from, to);
        if is_pending {
            self.set_pending(new.id, Pending { state: PendingState::Pending, deadline });
        }
        Ok(())
    }

    fn deadline(&self, new: &NewTransfer) -> Result<Option<Millis>, TransferCode> {
        if new.timeout_s == 0 {
            return Ok(None);
        }
        let deadline = self.time_of(new.ledger).0.checked_add(i64::from(new.timeout_s) * 1_000);
        deadline.map(|at| Some(Millis(at))).ok_or(TransferCode::OverflowsTimeout)
    }

    /// Posts or voids a pending transfer.
    fn settle(&mut self, new: &NewTransfer) -> Result<(), TransferCode> {
        exists::settling_as_such(new)?;
        let pending =
            *self.transfers.get(&new.pending_id).ok_or(TransferCode::PendingTransferNotFound)?;
        let reserved = pending.facts;
        exists::fits_pending(new, &reserved)?;
        let posts = new.flags.has(TransferFlags::POST_PENDING);
        let all = new.amount == if posts { AMOUNT_MAX } else { 0 };
        let amount = if all { reserved.amount } else { new.amount };
        if amount > reserved.amount {
            return Err(TransferCode::ExceedsPendingTransferAmount);
        }
        if !posts && amount < reserved.amount {
            return Err(TransferCode::PendingTransferHasDifferentAmount);
        }
        match self.pending(new.pending_id) {
            Some(PendingState::Pending) => {}
            Some(PendingState::Posted) => return Err(TransferCode::PendingTransferAlreadyPosted),
            Some(PendingState::Voided) => return Err(TransferCode::PendingTransferAlreadyVoided),
            Some(PendingState::Expired) => return Err(TransferCode::PendingTransferExpired),
            None => return Err(TransferCode::PendingTransferNotPending),
        }
        let (mut from, mut to) = self.released(&reserved);
        if posts {
            from.debits_posted += amount;
            to.credits_posted += amount;
        }
        let facts = NewTransfer {
            debit: reserved.debit,
            credit: reserved.credit,
            amount,
            user_data: exists::inherited(&new.user_data, &reserved.user_data),
            code: reserved.code,
            ..*new
        };
        self.make(facts, from, to);
        let state = if posts { PendingState::Posted } else { PendingState::Voided };
        self.end_pending(new.pending_id, state);
        Ok(())
    }

    /// Ends a pending transfer whose time has passed; false if it has ended otherwise or is not due.
    pub fn expire(&mut self, id: TransferId) -> bool {
        let is_open =
            self.pendings.get(&id).is_some_and(|pending| pending.state == PendingState::Pending);
        let Some(Transfer { facts, .. }) = self.transfers.get(&id).copied() else { return false };
        if !is_open || self.pending(id) != Some(PendingState::Expired) {
            return false;
        }
        let (from, to) = self.released(&facts);
        self.keep(EntryKind::Expired, facts, from, to);
        self.end_pending(id, PendingState::Expired);
        true
    }

    /// The balances of both accounts without what the pending transfer holds.
    fn released(&self, reserved: &NewTransfer) -> (Balances, Balances) {
        let of = |id| self.accounts.get(id).map(|account: &Account| account.balances);
        let mut from = of(&reserved.debit).unwrap_or_default();
        let mut to = of(&reserved.credit).unwrap_or_default();
        from.debits_pending -= reserved.amount;
        to.credits_pending -= reserved.amount;
        (from, to)
    }

    fn make(&mut self, facts: NewTransfer, from: Balances, to: Balances) {
        let Entry { pos, at, .. } = self.keep(EntryKind::Transfer, facts, from, to);
        self.transfers.insert(facts.id, Transfer { facts, pos, at });
        self.undo.push(Undo::Transfer(facts.id));
    }

    /// Writes an entry and the balances after it.
    fn keep(&mut self, kind: EntryKind, facts: NewTransfer, from: Balances, to: Balances) -> Entry {
        let entry = self.enter(kind, facts, from, to);
        for (id, balances) in [(facts.debit, from), (facts.credit, to)] {
            if let Some(account) = self.accounts.get_mut(&id) {
                self.undo.push(Undo::Account(*account));
                account.balances = balances;
                account.last = entry.pos;
                self.touched.insert(id);
            }
        }
        entry
    }

    fn enter(
        &mut self,
        kind: EntryKind,
        transfer: NewTransfer,
        debit_after: Balances,
        credit_after: Balances,
    ) -> Entry {
        let at = self.time_of(transfer.ledger);
        let head = self.heads.entry(transfer.ledger).or_insert_with(Head::empty);
        head.entries += 1;
        let pos = EntryPos::new(transfer.ledger, head.entries);
        let entry = Entry { pos, kind, at, transfer, debit_after, credit_after };
        self.entries.push(entry);
        self.undo.push(Undo::Entry(transfer.ledger));
        entry
    }

    fn set_pending(&mut self, id: TransferId, pending: Pending) {
        let before = self.pendings.insert(id, pending);
        self.settled.insert(id);
        self.undo.push(Undo::Pending(id, before));
    }

    fn end_pending(&mut self, id: TransferId, state: PendingState) {
        let deadline = self.pendings.get(&id).and_then(|pending| pending.deadline);
        self.set_pending(id, Pending { state, deadline });
    }
}

/// The amount that balancing comes to.
fn balanced(new: &NewTransfer, debit: &Balances, credit: &Balances) -> u128 {
    let mut amount = new.amount;
    if new.flags.has(TransferFlags::BALANCING_DEBIT) {
        amount = amount.min(debit.available());
    }
    if new.flags.has(TransferFlags::BALANCING_CREDIT) {
        let owed = credit.debits_posted;
        let paid = credit.credits_posted.saturating_add(credit.credits_pending);
        amount = amount.min(owed.saturating_sub(paid));
    }
    amount
}

fn check_overflow(
    amount: u128,
    is_pending: bool,
    debit: &Balances,
    credit: &Balances,
) -> Result<(), TransferCode> {
    let fits = |parts: &[u128]| {
        parts.iter().try_fold(amount, |sum, part| sum.checked_add(*part)).is_some()
    };
    let pending = |part: u128| if is_pending { part } else { 0 };
    let checks: [(&[u128], TransferCode); 6] = [
        (&[pending(debit.debits_pending)], TransferCode::OverflowsDebitsPending),
        (&[pending(credit.credits_pending)], TransferCode::OverflowsCreditsPending),
        (&[debit.debits_posted], TransferCode::OverflowsDebitsPosted),
        (&[credit.credits_posted], TransferCode::OverflowsCreditsPosted),
        (&[debit.debits_pending, debit.debits_posted], TransferCode::OverflowsDebits),
        (&[credit.credits_pending, credit.credits_posted], TransferCode::OverflowsCredits),
    ];
    match checks.iter().find(|(parts, _)| !fits(parts)) {
        Some((_, code)) => Err(*code),
        None => Ok(()),
    }
}

fn exceeds_credits(account: &Account, amount: u128) -> bool {
    account.facts.flags.has(AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS)
        && account.balances.debits_pending + account.balances.debits_posted + amount
            > account.balances.credits_posted
}

fn exceeds_debits(account: &Account, amount: u128) -> bool {
    account.facts.flags.has(AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS)
        && account.balances.credits_pending + account.balances.credits_posted + amount
            > account.balances.debits_posted
}
