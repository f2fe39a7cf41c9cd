//! Requests of many, and chains in them that succeed or fail together.

use super::{Books, Outcome, Undo};
use crate::{
    codes::{AccountCode, TransferCode},
    model::{AccountFlags, NewAccount, NewTransfer, TransferFlags},
};

/// The codes of a chain, for accounts and transfers alike.
struct Codes<C> {
    ok: C,
    failed: C,
    open: C,
}

impl Books {
    /// Opens accounts, one after the other; answers in their order.
    pub fn open_accounts(&mut self, new: &[NewAccount]) -> Vec<AccountCode> {
        let codes = Codes {
            ok: AccountCode::Ok,
            failed: AccountCode::LinkedEventFailed,
            open: AccountCode::LinkedEventChainOpen,
        };
        let linked = |account: &NewAccount| account.flags.has(AccountFlags::LINKED);
        self.chains(new, &codes, linked, Self::open_one)
    }

    /// Makes transfers, one after the other; answers in their order.
    pub fn make_transfers(&mut self, new: &[NewTransfer]) -> Vec<Outcome> {
        let codes = Codes {
            ok: TransferCode::Ok,
            failed: TransferCode::LinkedEventFailed,
            open: TransferCode::LinkedEventChainOpen,
        };
        let linked = |transfer: &NewTransfer| transfer.flags.has(TransferFlags::LINKED);
        let codes = self.chains(new, &codes, linked, Self::transfer_one);
        let outcome = |(new, code): (&NewTransfer, TransferCode)| {
            let made = self.transfers.get(&new.id).filter(|_| code.is_done());
            Outcome { code, pos: made.map(|made| made.pos), at: made.map(|made| made.at) }
        };
        new.iter().zip(codes).map(outcome).collect()
    }

    fn chains<T, C: Copy + PartialEq>(
        &mut self,
        new: &[T],
        codes: &Codes<C>,
        linked: impl Fn(&T) -> bool,
        mut one: impl FnMut(&mut Self, &T) -> C,
    ) -> Vec<C> {
        let mut answers = Vec::with_capacity(new.len());
        // Where the chain under way began, and whether it has failed.
        let mut chain: Option<(usize, bool)> = None;
        self.undo.clear();
        for (index, event) in new.iter().enumerate() {
            let (is_linked, is_last) = (linked(event), index + 1 == new.len());
            if is_linked && chain.is_none() {
                chain = Some((index, false));
            }
            let code = match chain {
                Some(_) if is_linked && is_last => codes.open,
                Some((_, true)) => codes.failed,
                _ => one(self, event),
            };
            answers.push(code);
            if let Some((start, failed)) = &mut chain
                && code != codes.ok
                && !*failed
            {
                self.take_back();
                answers[*start..index].fill(codes.failed);
                *failed = true;
            }
            if !is_linked {
                chain = None;
            }
            if chain.is_none() {
                self.undo.clear();
            }
        }
        self.undo.clear();
        answers
    }

    /// Undoes what the chain has done, last first.
    fn take_back(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Account(before) => drop(self.accounts.insert(before.facts.id, before)),
                Undo::Opened(id) => {
                    self.accounts.remove(&id);
                    self.opened.remove(&id);
                    self.touched.remove(&id);
                }
                Undo::Transfer(id) => drop(self.transfers.remove(&id)),
                Undo::Pending(id, Some(before)) => drop(self.pendings.insert(id, before)),
                Undo::Pending(id, None) => {
                    self.pendings.remove(&id);
                    self.settled.remove(&id);
                }
                Undo::Entry(ledger) => {
                    self.entries.pop();
                    if let Some(head) = self.heads.get_mut(&ledger) {
                        head.entries -= 1;
                    }
                }
            }
        }
    }
}
