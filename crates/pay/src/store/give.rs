//! Money leaves a wallet: sending, and paying what was asked for.

use std::{sync::Arc, time::Duration};

use haechi_base::{Clock, Millis, RoomNid, UserNid};
use haechi_ledger::{Books, Outcome, TransferCode};
use haechi_store::{Addition, Locks, Result, Tx, Work};

use super::{Done, Keyed, asks, granted, locks, people, rows};
use crate::{
    Settings,
    error::Refusal,
    model::{Ask, AskId, AskState, Currency, Payment, PaymentId, PaymentKind, PaymentState},
    rules,
};

const DAY: Duration = Duration::from_hours(24);
const MONTH: Duration = Duration::from_hours(24 * 30);

/// Sends money, or pays what was asked for.
pub(crate) struct Give {
    pub(crate) request: Keyed,
    pub(crate) receiver: UserNid,
    pub(crate) currency: Currency,
    pub(crate) amount: i64,
    pub(crate) note: String,
    pub(crate) room: Option<RoomNid>,
    /// What it pays.
    pub(crate) ask: Option<AskId>,
    /// The state for which the card was prepared.
    pub(crate) shown: PaymentState,
    pub(crate) card: Option<Box<dyn Addition>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Clock,
}

impl Give {
    fn sender(&self) -> UserNid {
        self.request.key.user
    }

    fn id(&self) -> PaymentId {
        PaymentId(self.request.id("payment"))
    }

    /// Who may pay whom, and how much.
    async fn check(&self, tx: &mut Tx<'_>, now: Millis) -> Result<Result<PaymentState, Refusal>> {
        let limits = &self.currency.limits;
        if let Err(refusal) = rules::check_amount(self.amount, limits) {
            return Ok(Err(refusal));
        }
        if self.sender() == self.receiver {
            return Ok(Err(Refusal::ToOneself));
        }
        let sender = people::person(tx, self.sender()).await?;
        let receiver = people::person(tx, self.receiver).await?;
        if sender.frozen || receiver.frozen {
            return Ok(Err(Refusal::Frozen));
        }
        let since = |span: Duration| Millis(now.0.saturating_sub(Millis(0).plus(span).0));
        let ledger = self.currency.ledger;
        let day = rows::sent_since(tx, self.sender(), ledger, since(DAY)).await?;
        let month = rows::sent_since(tx, self.sender(), ledger, since(MONTH)).await?;
        if let Err(refusal) = rules::check_sums(self.amount, day, month, limits) {
            return Ok(Err(refusal));
        }
        let at_once = receiver.auto_accept || self.ask.is_some();
        Ok(Ok(if at_once { PaymentState::Accepted } else { PaymentState::OnItsWay }))
    }

    /// What is asked for, if that is what is paid.
    async fn find_ask(&self, tx: &mut Tx<'_>) -> Result<Result<Option<Ask>, Refusal>> {
        let Some(id) = self.ask else { return Ok(Ok(None)) };
        let found = asks::ask(tx, id).await?;
        let Some(ask) = found.filter(|ask| ask.payer == self.sender()) else {
            return Ok(Err(Refusal::NoSuchPayment));
        };
        if ask.state != AskState::Open {
            return Ok(Err(Refusal::AlreadyAnswered));
        }
        Ok(Ok(Some(ask)))
    }

    /// Moves the money in memory.
    async fn book(
        &self,
        tx: &mut Tx<'_>,
        state: PaymentState,
    ) -> Result<Result<(Books, Outcome), Refusal>> {
        let (id, ledger) = (self.id(), self.currency.ledger);
        let timeout_s = self.settings.return_after_s;
        let departure = rules::departure(id, ledger, self.sender(), self.amount, timeout_s);
        let arrival = rules::arrival(id, ledger, self.receiver, self.amount);
        let all = [departure, arrival[0], arrival[1]];
        let accounts = rules::accounts(ledger, &[self.sender(), self.receiver]);
        let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
        let mut books = Books::load(tx, self.clock.now(), &all, &ids, &[ledger]).await?;
        books.open_accounts(&accounts);
        let departed = books.make_transfers(&[departure])[0];
        let outcome = refused(departed.code);
        if state == PaymentState::Accepted && outcome.is_ok() {
            let arrived = books.make_transfers(&arrival);
            if let Some(code) = arrived.iter().map(|it| it.code).find(|code| !code.is_done()) {
                return Ok(Err(Refusal::Ledger(code)));
            }
            if !fits_balance(&books, &self.currency, self.receiver) {
                return Ok(Err(Refusal::LimitBalance));
            }
        }
        Ok(outcome.map(|()| (books, departed)))
    }
}

/// What the ledger's answer to a departure means to people.
pub(crate) fn refused(code: TransferCode) -> Result<(), Refusal> {
    match code {
        TransferCode::Ok => Ok(()),
        TransferCode::ExceedsCredits => Err(Refusal::NotEnough),
        other => Err(Refusal::Ledger(other)),
    }
}

/// Does a wallet hold no more than it may?
pub(crate) fn fits_balance(books: &Books, currency: &Currency, user: UserNid) -> bool {
    let wallet = books.account(rules::wallet(currency.ledger, user));
    let most = currency.limits.balance.unsigned_abs().into();
    wallet.is_none_or(|wallet| wallet.balances.available() <= most)
}

impl Work for Give {
    const NAME: &'static str = "pay.give";
    type Out = Done<Payment>;

    fn locks(&self) -> Locks {
        let people = [self.sender(), self.receiver];
        locks(&people, self.currency.ledger, self.card.as_deref())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if let Some(made) = granted!(self.request.find(tx).await?) {
            let payment = rows::payment(tx, PaymentId(made)).await?;
            return Ok(payment.map_or(Done::Refused(Refusal::KeyReused), Done::Made));
        }
        let now = self.clock.now();
        let state = granted!(self.check(tx, now).await?);
        let ask = granted!(self.find_ask(tx).await?);
        if self.card.is_some() && state != self.shown {
            return Ok(Done::Moved);
        }
        let (books, departed) = granted!(self.book(tx, state).await?);
        let mut card = None;
        if let Some(addition) = &self.card {
            card = addition.run(tx).await?;
            if card.is_none() {
                return Ok(Done::Moved);
            }
        }
        let created = departed.at.unwrap_or(now);
        let is_open = state == PaymentState::OnItsWay;
        let span = Duration::from_secs(self.settings.return_after_s.into());
        let payment = Payment {
            id: self.id(),
            pos: departed.pos.unwrap_or_default(),
            kind: if ask.is_some() { PaymentKind::Asked } else { PaymentKind::Sent },
            ledger: self.currency.ledger,
            amount: self.amount,
            sender: self.sender(),
            receiver: Some(self.receiver),
            room: self.room,
            note: self.note.clone(),
            state,
            created,
            deadline: is_open.then(|| created.plus(span)),
            ended: (!is_open).then_some(created),
            group: ask.as_ref().and_then(|ask| ask.group),
            shown: card.is_some().then_some(state),
            card,
        };
        books.write(tx).await?;
        rows::insert(tx, &payment).await?;
        if let Some(ask) = ask {
            asks::answer(tx, ask.id, AskState::Paid, Some(payment.id)).await?;
        }
        self.request.keep(tx, payment.id.0, created).await?;
        Ok(Done::Made(payment))
    }

    fn committed(&self, out: &Self::Out) {
        if let (Done::Made(_), Some(card)) = (out, &self.card) {
            card.committed();
        }
    }
}

/// Is it the reason, and not the fate of another one of the chain?
pub(crate) fn is_cause(code: TransferCode) -> bool {
    code != TransferCode::LinkedEventFailed
}
