//! Payments between people: wallets, sending, asking, splitting, envelopes. All money is in the
//! [ledger](haechi_ledger); what is here says whose it is and why it moves.
//!
//! - A payment leaves the sender at once: a pending transfer to the account of what is in transit. It
//!   ends exactly once: the receiver accepts or refuses it, the sender takes it back, or its time
//!   passes, by the time of the log.
//! - Every request bears a [`Key`]: asked again it does nothing more and is answered the same.
//! - The card in a room is an [`Addition`](haechi_store::Addition) to the commit of the payment; it
//!   says what the ledger says, never the reverse. Without chat payments go on; cards follow.

mod cards;
mod error;
mod model;
mod pin;
mod rules;
mod store;

use std::{sync::Arc, time::Duration};

use haechi_base::{Clock, RoomNid, UserNid};
use haechi_ledger::{EntryPos, Ledger, LedgerId, Receipt};
use haechi_store::{Addition, Db, Schema, schema};

pub use cards::{Card, CardFuture, Cards, NoCards};
pub use error::{PayError, Refusal, Result};
pub use model::{
    Ask, AskId, AskState, Currency, GroupId, Key, Limits, Payment, PaymentId, PaymentKind,
    PaymentState, Person, Wallet,
};
pub use rules::{
    NOTE_CHARS_MAX, SHARES_MAX, equal_shares, random_shares, transit, treasury, wallet,
};
pub use store::operator::{AuditLine, Intervention};

use store::{
    Done, Keyed, asks,
    give::Give,
    operator, people, rows,
    settle::{By, Settle},
    share,
};

/// The tables of this crate; those of the ledger need to be there first.
pub static SCHEMA: Schema = schema!("pay": "0001_pay");

/// How often something is tried again while a room changes underneath.
const ATTEMPTS_MAX: usize = 16;
/// Longest `Idempotency-Key`.
const KEY_CHARS_MAX: usize = 255;
/// Payments looked at in one round of the sweep.
const SWEEP_MAX: i64 = 200;
/// Requests for money in one list.
const ASKS_MAX: i64 = 200;

/// How payments behave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the operator offers.
    pub currencies: Vec<Currency>,
    /// After how many seconds a payment that nobody accepted goes back.
    pub return_after_s: u32,
    /// Wrong PINs until it is locked.
    pub pin_tries_max: i64,
    /// How long it is locked then.
    pub pin_lock: Duration,
}

/// Payments; clones share everything.
#[derive(Clone)]
pub struct Pay(Arc<Inner>);

struct Inner {
    db: Db,
    ledger: Ledger,
    clock: Clock,
    settings: Arc<Settings>,
    pins: pin::Pins,
    cards: Arc<dyn Cards>,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct NewSend {
    /// Who sends, under which key.
    pub key: Key,
    /// To whom.
    pub to: UserNid,
    /// In which currency.
    pub currency: String,
    /// Minor units.
    pub amount: i64,
    /// The sender's words.
    pub note: String,
    /// Where its card is shown.
    pub room: Option<RoomNid>,
}

/// What is asked for: of one person, or of many who share a bill.
#[derive(Clone, Debug)]
pub struct NewAsk {
    /// Who asks, under which key.
    pub key: Key,
    /// In which currency.
    pub currency: String,
    /// Whom, and for how many minor units each.
    pub shares: Vec<(UserNid, i64)>,
    /// What for.
    pub note: String,
    /// The room it belongs to.
    pub room: Option<RoomNid>,
}

/// An envelope for a room.
#[derive(Clone, Debug)]
pub struct NewEnvelope {
    /// Who gives, under which key.
    pub key: Key,
    /// In which currency.
    pub currency: String,
    /// Minor units, all shares together.
    pub total: i64,
    /// How many can have a share.
    pub people: usize,
    /// The giver's words.
    pub note: String,
    /// For whom.
    pub room: RoomNid,
}

impl Pay {
    /// Payments on the ledgers of `db`.
    pub fn new(
        db: Db,
        ledger: Ledger,
        clock: Clock,
        settings: Settings,
        cards: Arc<dyn Cards>,
    ) -> Self {
        let (settings, pins) = (Arc::new(settings), pin::Pins::new());
        Self(Arc::new(Inner { db, ledger, clock, settings, pins, cards }))
    }

    /// What the operator offers.
    pub fn currencies(&self) -> &[Currency] {
        &self.0.settings.currencies
    }

    fn currency(&self, code: &str) -> Result<Currency, Refusal> {
        let found = self.currencies().iter().find(|currency| currency.code == code);
        found.cloned().ok_or(Refusal::UnknownCurrency)
    }

    /// The currency of a ledger.
    pub fn currency_of(&self, ledger: LedgerId) -> Result<Currency, Refusal> {
        let found = self.currencies().iter().find(|currency| currency.ledger == ledger);
        found.cloned().ok_or(Refusal::UnknownCurrency)
    }

    /// A person's wallets, one for each currency.
    pub async fn wallets(&self, user: UserNid) -> Result<Vec<Wallet>> {
        let ids = self.currencies().iter().map(|currency| wallet(currency.ledger, user)).collect();
        let accounts = self.0.ledger.accounts(ids).await?;
        let of = |currency: &Currency| {
            let id = wallet(currency.ledger, user);
            let account = accounts.iter().find(|account| account.facts.id == id);
            let balances = account.map(|account| account.balances).unwrap_or_default();
            let number = |amount: u128| i64::try_from(amount).unwrap_or(i64::MAX);
            Wallet {
                currency: currency.clone(),
                available: number(balances.available()),
                on_its_way: number(balances.debits_pending),
            }
        };
        Ok(self.currencies().iter().map(of).collect())
    }

    /// How a person wants payments handled.
    pub async fn person(&self, user: UserNid) -> Result<Person> {
        Ok(self.0.db.read(people::ReadPerson(user)).await?)
    }

    /// Sets whether payments to a person are accepted at once.
    pub async fn set_auto_accept(&self, user: UserNid, auto_accept: bool) -> Result<()> {
        Ok(self.0.db.write(people::SetAutoAccept { user, auto_accept }).await?)
    }

    /// Sets the payment PIN; where there is one, `old` must be it.
    pub async fn set_pin(&self, user: UserNid, pin: &str, old: Option<&str>) -> Result<()> {
        pin::check_form(pin)?;
        if self.person(user).await?.has_pin {
            self.check_pin(user, old.unwrap_or_default()).await?;
        }
        let hash = self.0.pins.hash(pin).await?;
        Ok(self.0.db.write(people::SetPin { user, hash }).await?)
    }

    /// Is it the person's PIN? The try counts, also when many come at once.
    pub async fn check_pin(&self, user: UserNid, pin: &str) -> Result<()> {
        let (now, settings) = (self.0.clock.now(), &self.0.settings);
        let locked_until = now.plus(settings.pin_lock);
        let tries_max = settings.pin_tries_max;
        let work = people::TryPin { user, now, tries_max, locked_until };
        let (hash, left) = self.0.db.write(work).await??;
        if pin::check_form(pin).is_err() || !self.0.pins.fits(pin, hash).await? {
            return Err(Refusal::WrongPin(left).into());
        }
        Ok(self.0.db.write(people::PinWasRight(user)).await?)
    }

    /// Sends money. The caller has checked the PIN.
    pub async fn send(&self, send: NewSend) -> Result<Payment> {
        let NewSend { key, to, currency, amount, note, room } = send;
        let currency = self.currency(&currency)?;
        check(&key, &note)?;
        let request = Keyed::new(
            key,
            &[
                b"send",
                &to.0.to_be_bytes(),
                currency.code.as_bytes(),
                &amount.to_be_bytes(),
                note.as_bytes(),
                &room.map_or(0, |room| room.0).to_be_bytes(),
            ],
        );
        self.give(request, to, &currency, amount, note, room, None).await
    }

    /// Pays what was asked for. The caller has checked the PIN.
    pub async fn pay(&self, key: Key, id: AskId) -> Result<Payment> {
        check(&key, "")?;
        let ask = self.0.db.read(asks::ReadAsk(id)).await?.ok_or(Refusal::NoSuchPayment)?;
        let currency = self.currency_of(ask.ledger)?;
        let request = Keyed::new(key, &[b"pay", &id.0.to_be_bytes()]);
        self.give(request, ask.asker, &currency, ask.amount, ask.note, ask.room, Some(id)).await
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one payment")]
    async fn give(
        &self,
        request: Keyed,
        to: UserNid,
        currency: &Currency,
        amount: i64,
        note: String,
        room: Option<RoomNid>,
        ask: Option<AskId>,
    ) -> Result<Payment> {
        for _ in 0..ATTEMPTS_MAX {
            let at_once = ask.is_some() || self.person(to).await?.auto_accept;
            let state = if at_once { PaymentState::Accepted } else { PaymentState::OnItsWay };
            let card = match room {
                None => None,
                Some(room) => {
                    let card = Card {
                        room,
                        sender: request.key.user,
                        replaces: None,
                        payment: PaymentId(request.id("payment")),
                        receiver: Some(to),
                        currency: currency.clone(),
                        amount,
                        note: note.clone(),
                        state,
                    };
                    self.0.cards.prepare(card).await
                }
            };
            let work = Give {
                request: request.clone(),
                receiver: to,
                currency: currency.clone(),
                amount,
                note: note.clone(),
                room,
                ask,
                shown: state,
                card,
                settings: Arc::clone(&self.0.settings),
                clock: self.0.clock.clone(),
            };
            match self.0.db.write(work).await? {
                Done::Made(payment) => return Ok(payment),
                Done::Refused(refusal) => return Err(refusal.into()),
                Done::Moved => {}
            }
        }
        Err(PayError::Contended)
    }

    /// The receiver takes the money.
    pub async fn accept(&self, user: UserNid, id: PaymentId) -> Result<Payment> {
        self.settle(By::User(user), id, PaymentState::Accepted).await
    }

    /// The receiver does not want it.
    pub async fn refuse(&self, user: UserNid, id: PaymentId) -> Result<Payment> {
        self.settle(By::User(user), id, PaymentState::Refused).await
    }

    /// The sender takes it back.
    pub async fn cancel(&self, user: UserNid, id: PaymentId) -> Result<Payment> {
        self.settle(By::User(user), id, PaymentState::Cancelled).await
    }

    async fn settle(&self, by: By, id: PaymentId, to: PaymentState) -> Result<Payment> {
        for _ in 0..ATTEMPTS_MAX {
            let payment = self.0.db.read(rows::ReadPayment(id)).await?;
            let payment = payment.ok_or(Refusal::NoSuchPayment)?;
            if let By::User(user) = by
                && payment.sender != user
                && payment.receiver != Some(user)
            {
                return Err(Refusal::NoSuchPayment.into());
            }
            let currency = self.currency_of(payment.ledger)?;
            let card = self.edited(&payment, &currency, to).await;
            let clock = self.0.clock.clone();
            match self.0.db.write(Settle { payment, currency, by, to, card, clock }).await? {
                Done::Made(payment) => return Ok(payment),
                Done::Refused(refusal) => return Err(refusal.into()),
                Done::Moved => {}
            }
        }
        Err(PayError::Contended)
    }

    /// The payment's card, edited to tell a state; none where there is no card, or no chat.
    async fn edited(
        &self,
        payment: &Payment,
        currency: &Currency,
        state: PaymentState,
    ) -> Option<Box<dyn Addition>> {
        let card = Card {
            room: payment.room?,
            sender: payment.sender,
            replaces: Some(payment.card.clone()?),
            payment: payment.id,
            receiver: payment.receiver,
            currency: currency.clone(),
            amount: payment.amount,
            note: payment.note.clone(),
            state,
        };
        self.0.cards.prepare(card).await
    }

    /// Returns what nobody accepted in time, and brings cards up to what the ledger says; tells how
    /// many were returned. To be called every second or so, on any node or on all.
    pub async fn sweep(&self) -> Result<usize> {
        let now = self.0.clock.now();
        let due = self.0.db.read(rows::ReadDue { now, limit: SWEEP_MAX }).await?;
        let mut returned = 0;
        for payment in due {
            let settled = self.settle(By::Time, payment.id, PaymentState::Returned).await;
            match settled {
                Ok(payment) => returned += usize::from(payment.state == PaymentState::Returned),
                // Somebody was quicker.
                Err(PayError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut after = EntryPos::default();
        loop {
            let stale = self.0.db.read(rows::ReadStale { after, limit: SWEEP_MAX }).await?;
            let Some(last) = stale.last() else { return Ok(returned) };
            after = last.pos;
            for payment in stale {
                let currency = self.currency_of(payment.ledger)?;
                if let Some(card) = self.edited(&payment, &currency, payment.state).await {
                    self.0.db.write(rows::ShowState { payment, card }).await?;
                }
            }
        }
    }

    /// Asks for money; shares of a bill are given by [`equal_shares`] or by the caller. The answer
    /// has a request for each person.
    pub async fn ask(&self, new: NewAsk) -> Result<Vec<Ask>> {
        let NewAsk { key, currency, shares, note, room } = new;
        let currency = self.currency(&currency)?;
        check(&key, &note)?;
        if shares.is_empty() || shares.len() > SHARES_MAX {
            return Err(Refusal::BadSplit.into());
        }
        let mut parts: Vec<Vec<u8>> = vec![b"ask".to_vec(), currency.code.clone().into_bytes()];
        for (payer, amount) in &shares {
            rules::check_amount(*amount, &currency.limits)?;
            if *payer == key.user {
                return Err(Refusal::ToOneself.into());
            }
            parts.push([payer.0.to_be_bytes(), amount.to_be_bytes()].concat());
        }
        parts.push(note.clone().into_bytes());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let request = Keyed::new(key, &parts);
        let (ledger, clock) = (currency.ledger, self.0.clock.clone());
        let work = asks::AskAll { request, ledger, shares, note, room, clock };
        made(self.0.db.write(work).await?)
    }

    /// Says no to a request, or takes one's own back.
    pub async fn close_ask(&self, user: UserNid, id: AskId) -> Result<Ask> {
        made(self.0.db.write(asks::CloseAsk { id, by: user }).await?)
    }

    /// What a person is asked for, and what he has asked others for.
    pub async fn asks(&self, user: UserNid) -> Result<(Vec<Ask>, Vec<Ask>)> {
        Ok(self.0.db.read(asks::ReadAsks { user, limit: ASKS_MAX }).await?)
    }

    /// Puts money into an envelope. The caller has checked the PIN.
    pub async fn seal(&self, new: NewEnvelope) -> Result<(GroupId, Vec<Payment>)> {
        let NewEnvelope { key, currency, total, people, note, room } = new;
        let currency = self.currency(&currency)?;
        check(&key, &note)?;
        rules::check_amount(total, &currency.limits)?;
        let shares = random_shares(total, people, |below| rand::random_range(0..below))?;
        let request = Keyed::new(
            key,
            &[
                b"seal",
                currency.code.as_bytes(),
                &total.to_be_bytes(),
                &people.to_be_bytes(),
                note.as_bytes(),
                &room.0.to_be_bytes(),
            ],
        );
        let clock = self.0.clock.clone();
        let work = share::Seal { request, currency, shares, note, room, clock };
        let group = work.group();
        Ok((group, made(self.0.db.write(work).await?)?))
    }

    /// Takes a share out of an envelope; asked again, tells of the same share. The caller has checked
    /// that the person is in its room.
    pub async fn open(&self, user: UserNid, group: GroupId) -> Result<Payment> {
        let shares = self.envelope(group).await?;
        let ledger = shares.first().ok_or(Refusal::NoSuchPayment)?.ledger;
        let currency = self.currency_of(ledger)?;
        let clock = self.0.clock.clone();
        made(self.0.db.write(share::Open { group, user, currency, clock }).await?)
    }

    /// The shares of an envelope.
    pub async fn envelope(&self, group: GroupId) -> Result<Vec<Payment>> {
        Ok(self.0.db.read(rows::ReadGroup(group)).await?)
    }

    /// A payment, for one of its two sides.
    pub async fn payment(&self, user: UserNid, id: PaymentId) -> Result<Payment> {
        let found = self.0.db.read(rows::ReadPayment(id)).await?;
        let mine = found.filter(|it| it.sender == user || it.receiver == Some(user));
        Ok(mine.ok_or(Refusal::NoSuchPayment)?)
    }

    /// A person's payments, newest first; `before` is the position of the last one seen.
    pub async fn history(
        &self,
        user: UserNid,
        before: Option<EntryPos>,
        limit: u32,
    ) -> Result<Vec<Payment>> {
        let before = before.unwrap_or(EntryPos(i64::MAX));
        Ok(self.0.db.read(rows::ReadHistory { user, before, limit }).await?)
    }

    /// What was made under a key: the id of a payment, an envelope or a bill; `None`: nothing was.
    pub async fn request(&self, key: Key) -> Result<Option<u128>> {
        Ok(self.0.db.read(store::FindRequest(key)).await?)
    }

    /// The ledger's receipt for a payment.
    pub async fn receipt(&self, user: UserNid, id: PaymentId) -> Result<Receipt> {
        let payment = self.payment(user, id).await?;
        let receipt = self.0.ledger.receipt(payment.pos).await?;
        Ok(receipt.ok_or(Refusal::NoSuchPayment)?)
    }

    /// An operator puts money into a wallet.
    pub async fn issue(
        &self,
        who: &str,
        key: &str,
        to: UserNid,
        currency: &str,
        amount: i64,
    ) -> Result<()> {
        let currency = self.currency(currency)?;
        let key = Key { user: UserNid(0), key: key.to_owned() };
        check(&key, "")?;
        let parts: [&[u8]; 3] =
            [&to.0.to_be_bytes(), currency.code.as_bytes(), &amount.to_be_bytes()];
        let request = Keyed::new(key, &parts);
        let (who, clock) = (who.to_owned(), self.0.clock.clone());
        made(self.0.db.write(operator::Issue { request, who, to, currency, amount, clock }).await?)
    }

    /// An operator freezes a person's wallets, lets them go, or releases a PIN.
    pub async fn intervene(
        &self,
        who: &str,
        user: UserNid,
        what: Intervention,
        reason: &str,
    ) -> Result<()> {
        let (who, reason) = (who.to_owned(), reason.to_owned());
        let clock = self.0.clock.clone();
        Ok(self.0.db.write(operator::Intervene { who, user, what, reason, clock }).await?)
    }

    /// What operators did, after a line.
    pub async fn audit(&self, after: i64, limit: i64) -> Result<Vec<AuditLine>> {
        Ok(self.0.db.read(operator::ReadAudit { after, limit }).await?)
    }
}

fn made<T>(done: Done<T>) -> Result<T> {
    match done {
        Done::Made(made) => Ok(made),
        Done::Refused(refusal) => Err(refusal.into()),
        Done::Moved => Err(PayError::Contended),
    }
}

fn check(key: &Key, note: &str) -> Result<(), Refusal> {
    if key.key.is_empty() || key.key.chars().count() > KEY_CHARS_MAX {
        return Err(Refusal::BadKey);
    }
    if note.chars().count() > NOTE_CHARS_MAX {
        return Err(Refusal::NoteTooLong);
    }
    Ok(())
}
