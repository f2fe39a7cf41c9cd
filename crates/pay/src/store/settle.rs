//! What becomes of a payment: accepted, refused, cancelled, or returned because its time has passed.

use haechi_base::{Clock, UserNid};
use haechi_ledger::{Books, PendingState, TransferId};
use haechi_store::{Addition, Locks, Result, Tx, Work};

use super::{Done, give::fits_balance, granted, locks, people, rows};
use crate::{
    error::Refusal,
    model::{Currency, Payment, PaymentState},
    rules,
};

/// Who ends a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A person; it must be his to do.
    User(UserNid),
    /// Time.
    Time,
}

/// Ends a payment. Asked again it tells how it ended.
pub(crate) struct Settle {
    pub(crate) payment: Payment,
    pub(crate) currency: Currency,
    pub(crate) by: By,
    /// How it is to end.
    pub(crate) to: PaymentState,
    /// Its edited card.
    pub(crate) card: Option<Box<dyn Addition>>,
    pub(crate) clock: Clock,
}

impl Settle {
    /// Has it ended already? Then that is the answer.
    fn ended(&self, payment: &Payment) -> Option<Done<Payment>> {
        let same = payment.state == self.to;
        match payment.state {
            PaymentState::OnItsWay => None,
            _ if same => Some(Done::Made(payment.clone())),
            PaymentState::Accepted => Some(Done::Refused(Refusal::AlreadyAccepted)),
            _ => Some(Done::Refused(Refusal::AlreadyBack)),
        }
    }

    /// Is it the person's to end in this way?
    async fn may(&self, tx: &mut Tx<'_>, payment: &Payment) -> Result<Result<(), Refusal>> {
        let By::User(user) = self.by else { return Ok(Ok(())) };
        let whose = match self.to {
            PaymentState::Cancelled => Some(payment.sender),
            _ => payment.receiver,
        };
        if whose != Some(user) {
            return Ok(Err(Refusal::NotYours));
        }
        if self.to == PaymentState::Accepted {
            let sender = people::person(tx, payment.sender).await?;
            if sender.frozen || people::person(tx, user).await?.frozen {
                return Ok(Err(Refusal::Frozen));
            }
        }
        Ok(Ok(()))
    }

    /// Moves the money in memory; tells the state that it came to.
    fn book(&self, books: &mut Books, payment: &Payment) -> Result<PaymentState, Refusal> {
        let (id, ledger) = (payment.id, payment.ledger);
        match books.pending(TransferId(id.0)) {
            Some(PendingState::Pending) => {}
            Some(PendingState::Expired) => {
                // Perhaps the ledger has entered it already.
                books.expire(TransferId(id.0));
                return Ok(PaymentState::Returned);
            }
            Some(PendingState::Posted) => return Err(Refusal::AlreadyAccepted),
            Some(PendingState::Voided) | None => return Err(Refusal::AlreadyBack),
        }
        if self.to == PaymentState::Returned {
            // Not yet: this node's clock is ahead of the log's.
            return Ok(PaymentState::OnItsWay);
        }
        let outcomes = match (self.to, payment.receiver) {
            (PaymentState::Accepted, Some(receiver)) => {
                books.make_transfers(&rules::arrival(id, ledger, receiver, payment.amount))
            }
            _ => books.make_transfers(&[rules::way_back(id, ledger)]),
        };
        match outcomes.iter().find(|outcome| !outcome.code.is_done()) {
            Some(outcome) => Err(Refusal::Ledger(outcome.code)),
            None => Ok(self.to),
        }
    }
}

impl Work for Settle {
    const NAME: &'static str = "pay.settle";
    type Out = Done<Payment>;

    fn locks(&self) -> Locks {
        let mut people = vec![self.payment.sender];
        people.extend(self.payment.receiver);
        locks(&people, self.payment.ledger, self.card.as_deref())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let Some(mut payment) = rows::payment(tx, self.payment.id).await? else {
            return Ok(Done::Refused(Refusal::NoSuchPayment));
        };
        granted!(self.may(tx, &payment).await?);
        if let Some(ended) = self.ended(&payment) {
            return Ok(ended);
        }
        let ledger = payment.ledger;
        let receiver = payment.receiver.unwrap_or(payment.sender);
        let arrival = rules::arrival(payment.id, ledger, receiver, payment.amount);
        let all = [arrival[0], arrival[1], rules::way_back(payment.id, ledger)];
        let mut books = Books::load(tx, self.clock.now(), &all, &[], &[ledger]).await?;
        let state = granted!(self.book(&mut books, &payment));
        if state == PaymentState::OnItsWay {
            return Ok(Done::Made(payment));
        }
        if state == PaymentState::Accepted && !fits_balance(&books, &self.currency, receiver) {
            return Ok(Done::Refused(Refusal::LimitBalance));
        }
        payment.state = state;
        payment.ended = Some(books.time_of(ledger));
        if state == self.to
            && let Some(card) = &self.card
        {
            if card.run(tx).await?.is_none() {
                return Ok(Done::Moved);
            }
            payment.shown = Some(state);
        }
        books.write(tx).await?;
        rows::end(tx, &payment).await?;
        Ok(if state == self.to { Done::Made(payment) } else { Done::Refused(Refusal::AlreadyBack) })
    }

    fn committed(&self, out: &Self::Out) {
        if let (Done::Made(_), Some(card)) = (out, &self.card) {
            card.committed();
        }
    }
}
