//! Payments as rows.

use haechi_base::{Millis, RoomNid, UserNid};
use haechi_ledger::{EntryPos, LedgerId};
use haechi_store::{Addition, FromRow, Locks, Result, Row, StoreError, Tx, Value, Work, sql};

use crate::model::{GroupId, Payment, PaymentId, PaymentKind, PaymentState};

macro_rules! payments {
    ($rest:literal) => {
        concat!(
            "SELECT id, pos, kind, ledger, amount, sender, receiver, room, note, state, created_ms, \
             deadline_ms, ended_ms, grouped, card, shown FROM pay_payment ",
            $rest
        )
    };
}

sql!(PAYMENT, payments!("WHERE id = ?1"));
sql!(SENT, payments!("WHERE sender = ?1 AND pos < ?2 ORDER BY pos DESC LIMIT ?3"));
sql!(RECEIVED, payments!("WHERE receiver = ?1 AND pos < ?2 ORDER BY pos DESC LIMIT ?3"));
sql!(GROUP, payments!("WHERE grouped = ?1 ORDER BY pos"));
sql!(DUE, payments!("WHERE state = 0 AND deadline_ms <= ?1 ORDER BY deadline_ms LIMIT ?2"));
sql!(STALE, payments!("WHERE shown <> state AND pos > ?1 ORDER BY pos LIMIT ?2"));
sql!(SHOW, "UPDATE pay_payment SET shown = ?2 WHERE id = ?1 AND state = ?2");
sql!(
    INSERT,
    "INSERT INTO pay_payment (id, pos, kind, ledger, amount, sender, receiver, room, note, state,
        created_ms, deadline_ms, ended_ms, grouped, card, shown)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
);
sql!(
    END,
    "UPDATE pay_payment SET state = ?2, ended_ms = ?3, receiver = ?4, shown = ?5
     WHERE id = ?1 AND state = 0"
);
sql!(
    SENT_SINCE,
    "SELECT coalesce(sum(amount), 0) FROM pay_payment
     WHERE sender = ?1 AND ledger = ?2 AND created_ms > ?3 AND state < 2"
);

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { statement: "payment", column: 0, reason: what.to_owned() }
}

fn id(bytes: Vec<u8>) -> Result<u128> {
    Ok(u128::from_be_bytes(bytes.try_into().map_err(|_| corrupt("an id has 16 bytes"))?))
}

pub(crate) fn state(number: i64) -> Result<PaymentState> {
    let found = PaymentState::ALL.into_iter().find(|state| *state as i64 == number);
    found.ok_or_else(|| corrupt("state"))
}

impl FromRow for Payment {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let kind: i64 = row.get(2)?;
        let kind = PaymentKind::ALL.into_iter().find(|known| *known as i64 == kind);
        let ledger = u32::try_from(row.get::<i64>(3)?).map_err(|_| corrupt("ledger"))?;
        let group: Option<Vec<u8>> = row.get(13)?;
        let shown: Option<i64> = row.get(15)?;
        Ok(Self {
            id: PaymentId(id(row.get(0)?)?),
            pos: EntryPos(row.get(1)?),
            kind: kind.ok_or_else(|| corrupt("kind"))?,
            ledger: LedgerId(ledger),
            amount: row.get(4)?,
            sender: row.get::<UserNid>(5)?,
            receiver: row.get::<Option<UserNid>>(6)?,
            room: row.get::<Option<RoomNid>>(7)?,
            note: row.get(8)?,
            state: state(row.get(9)?)?,
            created: row.get::<Millis>(10)?,
            deadline: row.get::<Option<Millis>>(11)?,
            ended: row.get::<Option<Millis>>(12)?,
            group: group.map(id).transpose()?.map(GroupId),
            card: row.get(14)?,
            shown: shown.map(state).transpose()?,
        })
    }
}

pub(crate) async fn payment(tx: &mut Tx<'_>, id: PaymentId) -> Result<Option<Payment>> {
    tx.opt(&PAYMENT, &[Value::Blob(&id.0.to_be_bytes())]).await
}

pub(crate) async fn group(tx: &mut Tx<'_>, id: GroupId) -> Result<Vec<Payment>> {
    tx.all(&GROUP, &[Value::Blob(&id.0.to_be_bytes())]).await
}

pub(crate) async fn insert(tx: &mut Tx<'_>, new: &Payment) -> Result<()> {
    let (id, group) = (new.id.0.to_be_bytes(), new.group.map(|group| group.0.to_be_bytes()));
    let args = [
        Value::Blob(&id),
        new.pos.0.into(),
        (new.kind as i64).into(),
        i64::from(new.ledger.0).into(),
        new.amount.into(),
        new.sender.into(),
        new.receiver.into(),
        new.room.into(),
        (&new.note).into(),
        (new.state as i64).into(),
        new.created.into(),
        new.deadline.into(),
        new.ended.into(),
        group.as_ref().map(<[u8; 16]>::as_slice).into(),
        new.card.as_ref().into(),
        new.shown.map(|shown| shown as i64).into(),
    ];
    tx.exec_one(&INSERT, &args).await
}

/// Writes down that a payment has ended.
pub(crate) async fn end(tx: &mut Tx<'_>, payment: &Payment) -> Result<()> {
    let args = [
        Value::Blob(&payment.id.0.to_be_bytes()),
        (payment.state as i64).into(),
        payment.ended.into(),
        payment.receiver.into(),
        payment.shown.map(|shown| shown as i64).into(),
    ];
    tx.exec_one(&END, &args).await
}

/// What a person has sent since then and did not get back.
pub(crate) async fn sent_since(
    tx: &mut Tx<'_>,
    sender: UserNid,
    ledger: LedgerId,
    since: Millis,
) -> Result<i64> {
    let args = [sender.into(), i64::from(ledger.0).into(), since.into()];
    let (sum,): (i64,) = tx.one(&SENT_SINCE, &args).await?;
    Ok(sum)
}

/// One payment.
pub(crate) struct ReadPayment(pub(crate) PaymentId);

impl Work for ReadPayment {
    const NAME: &'static str = "pay.read_payment";
    type Out = Option<Payment>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        payment(tx, self.0).await
    }
}

/// Payments of a person, newest first, before a position.
pub(crate) struct ReadHistory {
    pub(crate) user: UserNid,
    pub(crate) before: EntryPos,
    pub(crate) limit: u32,
}

impl Work for ReadHistory {
    const NAME: &'static str = "pay.read_history";
    type Out = Vec<Payment>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.user.into(), self.before.0.into(), i64::from(self.limit).into()];
        let mut all: Vec<Payment> = tx.all(&SENT, &args).await?;
        all.extend(tx.all::<Payment>(&RECEIVED, &args).await?);
        all.sort_unstable_by_key(|payment| std::cmp::Reverse((payment.pos, payment.id)));
        all.truncate(self.limit as usize);
        Ok(all)
    }
}

/// The shares of an envelope.
pub(crate) struct ReadGroup(pub(crate) GroupId);

impl Work for ReadGroup {
    const NAME: &'static str = "pay.read_group";
    type Out = Vec<Payment>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        group(tx, self.0).await
    }
}

/// Payments whose time has passed.
pub(crate) struct ReadDue {
    pub(crate) now: Millis,
    pub(crate) limit: i64,
}

impl Work for ReadDue {
    const NAME: &'static str = "pay.read_due";
    type Out = Vec<Payment>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.all(&DUE, &[self.now.into(), self.limit.into()]).await
    }
}

/// Payments whose cards tell something else than the ledger, after a position.
pub(crate) struct ReadStale {
    pub(crate) after: EntryPos,
    pub(crate) limit: i64,
}

impl Work for ReadStale {
    const NAME: &'static str = "pay.read_stale";
    type Out = Vec<Payment>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.all(&STALE, &[self.after.0.into(), self.limit.into()]).await
    }
}

/// Brings a card up to what the ledger says.
pub(crate) struct ShowState {
    pub(crate) payment: Payment,
    pub(crate) card: Box<dyn Addition>,
}

impl Work for ShowState {
    const NAME: &'static str = "pay.show_state";
    type Out = bool;

    fn locks(&self) -> Locks {
        super::locks(&[self.payment.sender], self.payment.ledger, Some(&*self.card))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let found = payment(tx, self.payment.id).await?;
        let is_stale = found.is_some_and(|it| {
            it.state == self.payment.state && it.shown.is_some_and(|shown| shown != it.state)
        });
        if !is_stale || self.card.run(tx).await?.is_none() {
            return Ok(false);
        }
        let id = self.payment.id.0.to_be_bytes();
        tx.exec_one(&SHOW, &[Value::Blob(&id), (self.payment.state as i64).into()]).await?;
        Ok(true)
    }

    fn committed(&self, shown: &bool) {
        if *shown {
            self.card.committed();
        }
    }
}
