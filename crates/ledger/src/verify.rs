//! Checking a journal from its first entry to its last: hashes, sums, rules and balances.
//!
//! What is checked does not rest on the code that made the entries: balances are added up anew.

use std::collections::HashMap;

use haechi_base::Millis;
use haechi_store::{Db, Result, StoreError};

use crate::{
    encode::{entry_bytes, entry_hash},
    merkle::{Hash, Tree, to_hex},
    model::{
        AccountFlags, AccountId, Balances, Entry, EntryKind, EntryPos, LedgerId, NewAccount,
        NewTransfer, PendingState, TransferFlags, TransferId,
    },
    store::read::{AccountsAfter, End, Entries, JournalEnd, Overdue, ReadEntry, Transfers},
};

/// Rows read at once.
const PAGE: i64 = 2_000;
/// Problems listed; more are only counted.
const PROBLEMS_MAX: usize = 100;
/// How long a pending transfer may stay open after its time before that is a problem.
const OVERDUE_MS: i64 = 60_000;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A row that is no entry.
    #[error("an entry cannot be read: {0}")]
    Unreadable(String),
    /// Numbers of entries must follow one another.
    #[error("entry {wanted} is missing: {found} comes next")]
    Gap {
        /// The number that should come.
        wanted: u64,
        /// The number that does.
        found: u64,
    },
    /// An entry was changed, or one before it was.
    #[error("entry {0}: the hash is not that of its content and the entry before")]
    Hash(u64),
    /// Time went back.
    #[error("entry {0}: its time lies before that of the entry before")]
    Time(u64),
    /// It does not add up.
    #[error("entry {0}: the balances of {1} after it are not what the entries add up to")]
    Balance(u64, AccountId),
    /// Something that the rules forbid.
    #[error("entry {0}: {1}")]
    Rule(u64, &'static str),
    /// The end of the journal is not where its entries end.
    #[error("the journal's end says {0}")]
    End(String),
    /// An account's row is not what its entries add up to.
    #[error("account {0}: its row is not what its entries add up to")]
    Account(AccountId),
    /// Debits and credits differ.
    #[error("the sums of debits and credits differ")]
    Sums,
    /// A pending transfer's state is not what its entries say.
    #[error("pending transfer {0}: its state is not what its entries say")]
    Pending(TransferId),
    /// A pending transfer is undecided long past its time.
    #[error("pending transfer {0} is undecided more than a minute past its time")]
    Overdue(TransferId),
}

/// What came of checking a ledger.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Entries looked at.
    pub entries: u64,
    /// Accounts looked at.
    pub accounts: u64,
    /// Accounts whose rows have moved on during the check, so that they could not be held against it.
    pub accounts_moved: u64,
    /// Posted debits of all accounts, which is also their posted credits.
    pub posted: u128,
    /// Debits of all accounts that are reserved.
    pub pending: u128,
    /// Hash of the last entry looked at.
    pub hash: Hash,
    /// Root of the Merkle tree over them.
    pub root: Hash,
    /// How many problems there are.
    pub problems_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
}

impl Report {
    fn note(&mut self, problem: Problem) {
        self.problems_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// Is everything as it must be?
    pub fn is_clean(&self) -> bool {
        self.problems_count == 0
    }
}

/// A ledger as its entries add up.
#[derive(Default)]
struct Sums {
    accounts: HashMap<AccountId, (NewAccount, Balances, EntryPos)>,
    pendings: HashMap<TransferId, (NewTransfer, PendingState)>,
}

/// Checks a ledger, live or at rest. `progress` is called with how many entries are done and how many
/// there are; `now` is for pending transfers that should long have ended.
pub async fn verify(
    db: &Db,
    ledger: LedgerId,
    now: Millis,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Report> {
    let mut report = Report::default();
    let mut sums = Sums::default();
    let end = db.read(End(ledger)).await?;
    let mut tree = Tree::default();
    let (mut before, mut at) = ([0; 32], Millis(0));
    let mut after = EntryPos::new(ledger, 0);
    let upto = EntryPos::new(ledger, end.entries);
    loop {
        let page = match db.read(Entries { after, upto, limit: PAGE }).await {
            Ok(page) => page,
            Err(StoreError::Corrupt { reason, .. }) => {
                report.note(Problem::Unreadable(reason));
                return Ok(report);
            }
            Err(error) => return Err(error),
        };
        let Some(last) = page.last() else { break };
        after = last.entry.pos;
        for read in &page {
            let ReadEntry { entry, hash } = read;
            report.entries += 1;
            let number = entry.pos.number();
            if number != report.entries {
                report.note(Problem::Gap { wanted: report.entries, found: number });
                report.entries = number;
            }
            if *hash != entry_hash(&before, &entry_bytes(entry)) {
                report.note(Problem::Hash(number));
            }
            if entry.at < at {
                report.note(Problem::Time(number));
            }
            (before, at) = (*hash, entry.at);
            tree.push(*hash, |_| {});
            sums.add(entry, &mut report);
        }
        progress(report.entries, end.entries);
    }
    (report.hash, report.root) = (before, tree.root());
    check_end(&mut report, &end, at);
    sums.check_totals(&mut report);
    check_accounts(db, ledger, &sums, upto, &mut report).await?;
    check_pendings(db, ledger, &sums, now, &mut report).await?;
    Ok(report)
}

fn check_end(report: &mut Report, end: &JournalEnd, at: Millis) {
    if end.entries != report.entries {
        let text = format!("{} entries where there are {}", end.entries, report.entries);
        report.note(Problem::End(text));
    }
    if end.hash != report.hash {
        report.note(Problem::End(format!("hash {}", to_hex(&end.hash))));
    }
    if end.root != report.root {
        report.note(Problem::End(format!("root {}", to_hex(&end.root))));
    }
    if end.at != at {
        report.note(Problem::End(format!("time {}", end.at.0)));
    }
}

impl Sums {
    /// Adds an entry, and checks it against what came before.
    fn add(&mut self, entry: &Entry, report: &mut Report) {
        let number = entry.pos.number();
        let transfer = &entry.transfer;
        if let Err(why) = match entry.kind {
            EntryKind::Opened => self.open(entry),
            EntryKind::Transfer => self.transfer(transfer, entry.pos),
            EntryKind::Expired => self.settle(transfer.id, 0, PendingState::Expired, entry.pos),
        } {
            report.note(Problem::Rule(number, why));
        }
        for id in [transfer.debit, transfer.credit] {
            if id.0 == 0 {
                continue;
            }
            let Some((facts, balances, _)) = self.accounts.get(&id) else {
                report.note(Problem::Rule(number, "it names an account that was not opened"));
                continue;
            };
            if entry.balances_of(id) != Some(*balances) {
                report.note(Problem::Balance(number, id));
            }
            if !keeps_limits(facts, balances) {
                report.note(Problem::Rule(number, "an account is beyond its limit after it"));
            }
        }
    }

    fn open(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let facts = NewAccount {
            id: entry.transfer.debit,
            ledger: entry.pos.ledger(),
            code: entry.transfer.code,
            flags: AccountFlags(entry.transfer.flags.0),
            user_data: entry.transfer.user_data,
        };
        let opened = (facts, Balances::default(), entry.pos);
        match self.accounts.insert(facts.id, opened) {
            None => Ok(()),
            Some(_) => Err("an account is opened for the second time"),
        }
    }

    fn transfer(&mut self, transfer: &NewTransfer, pos: EntryPos) -> Result<(), &'static str> {
        if transfer.flags.has(TransferFlags::POST_PENDING) {
            let state = PendingState::Posted;
            return self.settle(transfer.pending_id, transfer.amount, state, pos);
        }
        if transfer.flags.has(TransferFlags::VOID_PENDING) {
            return self.settle(transfer.pending_id, 0, PendingState::Voided, pos);
        }
        let is_pending = transfer.flags.has(TransferFlags::PENDING);
        self.change(transfer, pos, |from, to| {
            let (debits, credits) = if is_pending {
                (&mut from.debits_pending, &mut to.credits_pending)
            } else {
                (&mut from.debits_posted, &mut to.credits_posted)
            };
            *debits = debits.checked_add(transfer.amount)?;
            *credits = credits.checked_add(transfer.amount)?;
            Some(())
        })?;
        if is_pending {
            self.pendings.insert(transfer.id, (*transfer, PendingState::Pending));
        }
        Ok(())
    }

    /// Ends a pending transfer, moving `amount` of it.
    fn settle(
        &mut self,
        id: TransferId,
        amount: u128,
        state: PendingState,
        pos: EntryPos,
    ) -> Result<(), &'static str> {
        let (reserved, before) =
            self.pendings.get_mut(&id).ok_or("it ends a pending transfer that is none")?;
        if *before != PendingState::Pending {
            return Err("it ends a pending transfer that has ended");
        }
        *before = state;
        let reserved = *reserved;
        self.change(&reserved, pos, |from, to| {
            from.debits_pending = from.debits_pending.checked_sub(reserved.amount)?;
            to.credits_pending = to.credits_pending.checked_sub(reserved.amount)?;
            from.debits_posted = from.debits_posted.checked_add(amount)?;
            to.credits_posted = to.credits_posted.checked_add(amount)?;
            (amount <= reserved.amount).then_some(())
        })
    }

    fn change(
        &mut self,
        transfer: &NewTransfer,
        pos: EntryPos,
        change: impl FnOnce(&mut Balances, &mut Balances) -> Option<()>,
    ) -> Result<(), &'static str> {
        let unknown = "it names an account that was not opened";
        let (_, mut from, _) = *self.accounts.get(&transfer.debit).ok_or(unknown)?;
        let (_, mut to, _) = *self.accounts.get(&transfer.credit).ok_or(unknown)?;
        change(&mut from, &mut to).ok_or("its amount does not fit the balances")?;
        for (id, balances) in [(transfer.debit, from), (transfer.credit, to)] {
            if let Some(account) = self.accounts.get_mut(&id) {
                (account.1, account.2) = (balances, pos);
            }
        }
        Ok(())
    }

    fn check_totals(&self, report: &mut Report) {
        let mut sums = [Some(0_u128); 4];
        for (_, balances, _) in self.accounts.values() {
            let parts = [
                balances.debits_posted,
                balances.credits_posted,
                balances.debits_pending,
                balances.credits_pending,
            ];
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum = sum.and_then(|sum| sum.checked_add(part));
            }
        }
        let [debits, credits, debits_pending, credits_pending] = sums;
        if debits != credits || debits_pending != credits_pending {
            report.note(Problem::Sums);
        }
        report.posted = debits.unwrap_or(u128::MAX);
        report.pending = debits_pending.unwrap_or(u128::MAX);
    }
}

fn keeps_limits(facts: &NewAccount, balances: &Balances) -> bool {
    let debits = balances.debits_pending.saturating_add(balances.debits_posted);
    let credits = balances.credits_pending.saturating_add(balances.credits_posted);
    let within = |flag, sum, limit| !facts.flags.has(flag) || sum <= limit;
    within(AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS, debits, balances.credits_posted)
        && within(AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS, credits, balances.debits_posted)
}

async fn check_accounts(
    db: &Db,
    ledger: LedgerId,
    sums: &Sums,
    upto: EntryPos,
    report: &mut Report,
) -> Result<()> {
    let mut after = AccountId(0);
    let mut seen = 0;
    loop {
        let page = db.read(AccountsAfter { after, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = last.facts.id;
        for account in page.iter().filter(|account| account.facts.ledger == ledger) {
            report.accounts += 1;
            match sums.accounts.get(&account.facts.id) {
                Some((facts, balances, last)) if account.last <= upto => {
                    seen += 1;
                    let same = account.facts == *facts && account.balances == *balances;
                    if !same || account.last != *last {
                        report.note(Problem::Account(account.facts.id));
                    }
                }
                Some(_) => {
                    seen += 1;
                    report.accounts_moved += 1;
                }
                None if account.last > upto => report.accounts_moved += 1,
                None => report.note(Problem::Account(account.facts.id)),
            }
        }
    }
    if seen != sums.accounts.len() {
        report.note(Problem::End(format!("{} accounts, {seen} rows", sums.accounts.len())));
    }
    Ok(())
}

async fn check_pendings(
    db: &Db,
    ledger: LedgerId,
    sums: &Sums,
    now: Millis,
    report: &mut Report,
) -> Result<()> {
    let mut ids: Vec<TransferId> = sums.pendings.keys().copied().collect();
    ids.sort_unstable();
    for ids in ids.chunks(usize::try_from(PAGE).unwrap_or(1)) {
        let rows = db.read(Transfers(ids.to_vec())).await?;
        let states: HashMap<TransferId, PendingState> = rows
            .into_iter()
            .filter_map(|(made, pending)| Some((made.facts.id, pending?.state)))
            .collect();
        for id in ids {
            let wanted = sums.pendings[id].1;
            // On a live ledger an open one may have ended since.
            let fits = match states.get(id) {
                Some(state) => *state == wanted || wanted == PendingState::Pending,
                None => false,
            };
            if !fits {
                report.note(Problem::Pending(*id));
            }
        }
    }
    let before = Millis(now.0.saturating_sub(OVERDUE_MS));
    for id in db.read(Overdue { ledger, before, limit: PAGE }).await? {
        report.note(Problem::Overdue(id));
    }
    Ok(())
}
