//! Envelopes: shares by chance for the first ones who open them.

use std::time::Duration;

use haechi_base::{Clock, RoomNid, UserNid};
use haechi_ledger::{Books, NewTransfer, PendingState, TransferFlags, TransferId};
use haechi_store::{Locks, Result, Tx, Work};

use super::{Done, Keyed, give, granted, locks, people, rows};
use crate::{
    error::Refusal,
    model::{Currency, GroupId, Payment, PaymentId, PaymentKind, PaymentState},
    rules,
};

/// How long an envelope can be opened.
pub(crate) const OPEN_S: u32 = 600;

/// Puts money into an envelope: a payment for each share, none with a receiver yet.
pub(crate) struct Seal {
    pub(crate) request: Keyed,
    pub(crate) currency: Currency,
    pub(crate) shares: Vec<i64>,
    pub(crate) note: String,
    pub(crate) room: RoomNid,
    pub(crate) clock: Clock,
}

impl Seal {
    pub(crate) fn group(&self) -> GroupId {
        GroupId(self.request.id("envelope"))
    }

    fn departures(&self) -> Vec<NewTransfer> {
        let last = self.shares.len() - 1;
        let one = |(number, amount): (usize, &i64)| {
            let id = PaymentId(self.request.id(&format!("share {number}")));
            let sender = self.request.key.user;
            let mut new = rules::departure(id, self.currency.ledger, sender, *amount, OPEN_S);
            if number < last {
                new.flags = new.flags | TransferFlags::LINKED;
            }
            new
        };
        self.shares.iter().enumerate().map(one).collect()
    }
}

impl Work for Seal {
    const NAME: &'static str = "pay.seal_envelope";
    type Out = Done<Vec<Payment>>;

    fn locks(&self) -> Locks {
        locks(&[self.request.key.user], self.currency.ledger, None)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if let Some(made) = granted!(self.request.find(tx).await?) {
            return Ok(Done::Made(rows::group(tx, GroupId(made)).await?));
        }
        let (sender, ledger) = (self.request.key.user, self.currency.ledger);
        if people::person(tx, sender).await?.frozen {
            return Ok(Done::Refused(Refusal::Frozen));
        }
        let departures = self.departures();
        let accounts = rules::accounts(ledger, &[sender]);
        let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
        let mut books = Books::load(tx, self.clock.now(), &departures, &ids, &[ledger]).await?;
        books.open_accounts(&accounts);
        let outcomes = books.make_transfers(&departures);
        let codes = outcomes.iter().map(|outcome| outcome.code);
        let why = codes.filter(|code| !code.is_done()).find(|code| give::is_cause(*code));
        if let Some(code) = why {
            return Ok(Done::Refused(allow_not(give::refused(code))));
        }
        let mut made = Vec::with_capacity(self.shares.len());
        for (departure, outcome) in departures.iter().zip(&outcomes) {
            let created = outcome.at.unwrap_or_else(|| books.time_of(ledger));
            made.push(Payment {
                id: PaymentId(departure.id.0),
                pos: outcome.pos.unwrap_or_default(),
                kind: PaymentKind::Share,
                ledger,
                amount: i64::try_from(departure.amount).unwrap_or(i64::MAX),
                sender,
                receiver: None,
                room: Some(self.room),
                note: self.note.clone(),
                state: PaymentState::OnItsWay,
                created,
                deadline: Some(created.plus(Duration::from_secs(OPEN_S.into()))),
                ended: None,
                group: Some(self.group()),
                card: None,
                shown: None,
            });
        }
        let now = books.time_of(ledger);
        books.write(tx).await?;
        for payment in &made {
            rows::insert(tx, payment).await?;
        }
        self.request.keep(tx, self.group().0, now).await?;
        Ok(Done::Made(made))
    }
}

/// The refusal of what was refused.
fn allow_not(outcome: Result<(), Refusal>) -> Refusal {
    outcome.err().unwrap_or(Refusal::BadAmount)
}

/// Takes a share out of an envelope.
pub(crate) struct Open {
    pub(crate) group: GroupId,
    pub(crate) user: UserNid,
    pub(crate) currency: Currency,
    pub(crate) clock: Clock,
}

impl Work for Open {
    const NAME: &'static str = "pay.open_envelope";
    type Out = Done<Payment>;

    fn locks(&self) -> Locks {
        locks(&[self.user], self.currency.ledger, None)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let shares = rows::group(tx, self.group).await?;
        if shares.is_empty() {
            return Ok(Done::Refused(Refusal::NoSuchPayment));
        }
        if shares.iter().any(|share| share.sender == self.user) {
            return Ok(Done::Refused(Refusal::ToOneself));
        }
        // Once is enough: whoever got no answer asks again, and is told of his share.
        if let Some(mine) = shares.iter().find(|share| share.receiver == Some(self.user)) {
            return Ok(Done::Made(mine.clone()));
        }
        if people::person(tx, self.user).await?.frozen {
            return Ok(Done::Refused(Refusal::Frozen));
        }
        let Some(next) = shares.into_iter().find(|share| share.state == PaymentState::OnItsWay)
        else {
            return Ok(Done::Refused(Refusal::EnvelopeEmpty));
        };
        let ledger = self.currency.ledger;
        let arrival = rules::arrival(next.id, ledger, self.user, next.amount);
        let accounts = rules::accounts(ledger, &[self.user]);
        let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
        let mut books = Books::load(tx, self.clock.now(), &arrival, &ids, &[ledger]).await?;
        books.open_accounts(&accounts);
        if books.pending(TransferId(next.id.0)) != Some(PendingState::Pending) {
            return Ok(Done::Refused(Refusal::EnvelopeEmpty));
        }
        let outcomes = books.make_transfers(&arrival);
        if let Some(outcome) = outcomes.iter().find(|outcome| !outcome.code.is_done()) {
            return Ok(Done::Refused(Refusal::Ledger(outcome.code)));
        }
        if !give::fits_balance(&books, &self.currency, self.user) {
            return Ok(Done::Refused(Refusal::LimitBalance));
        }
        let mut share = next;
        share.state = PaymentState::Accepted;
        share.receiver = Some(self.user);
        share.ended = Some(books.time_of(ledger));
        books.write(tx).await?;
        rows::end(tx, &share).await?;
        Ok(Done::Made(share))
    }
}
