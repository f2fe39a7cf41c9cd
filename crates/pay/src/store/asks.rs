//! Requests for money, alone or as shares of a bill.

use haechi_base::{Clock, Millis, RoomNid, UserNid};
use haechi_ledger::LedgerId;
use haechi_store::{FromRow, LockKey, Locks, Result, Row, StoreError, Tx, Value, Work, sql};

use super::{Done, Keyed, granted};
use crate::{
    error::Refusal,
    model::{Ask, AskId, AskState, GroupId, PaymentId},
};

macro_rules! asks {
    ($rest:literal) => {
        concat!(
            "SELECT id, asker, payer, ledger, amount, note, room, state, payment, grouped, created_ms \
             FROM pay_ask ",
            $rest
        )
    };
}

sql!(ASK, asks!("WHERE id = ?1"));
sql!(TO_PAY, asks!("WHERE payer = ?1 AND state = 0 ORDER BY id LIMIT ?2"));
sql!(ASKED, asks!("WHERE asker = ?1 ORDER BY created_ms DESC LIMIT ?2"));
sql!(GROUP, asks!("WHERE grouped = ?1 ORDER BY id"));
sql!(
    INSERT,
    "INSERT INTO pay_ask (id, asker, payer, ledger, amount, note, room, state, payment, grouped,
        created_ms)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, NULL, ?8, ?9)"
);
sql!(ANSWER, "UPDATE pay_ask SET state = ?2, payment = ?3 WHERE id = ?1 AND state = 0");

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { statement: "ask", column: 0, reason: what.to_owned() }
}

fn id(bytes: Vec<u8>) -> Result<u128> {
    Ok(u128::from_be_bytes(bytes.try_into().map_err(|_| corrupt("an id has 16 bytes"))?))
}

impl FromRow for Ask {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let state: i64 = row.get(7)?;
        let state = AskState::ALL.into_iter().find(|known| *known as i64 == state);
        let (payment, group): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(8)?, row.get(9)?);
        let ledger = u32::try_from(row.get::<i64>(3)?).map_err(|_| corrupt("ledger"))?;
        Ok(Self {
            id: AskId(id(row.get(0)?)?),
            asker: row.get::<UserNid>(1)?,
            payer: row.get::<UserNid>(2)?,
            ledger: LedgerId(ledger),
            amount: row.get(4)?,
            note: row.get(5)?,
            room: row.get::<Option<RoomNid>>(6)?,
            state: state.ok_or_else(|| corrupt("state"))?,
            payment: payment.map(id).transpose()?.map(PaymentId),
            group: group.map(id).transpose()?.map(GroupId),
            created: row.get::<Millis>(10)?,
        })
    }
}

pub(crate) async fn ask(tx: &mut Tx<'_>, id: AskId) -> Result<Option<Ask>> {
    tx.opt(&ASK, &[Value::Blob(&id.0.to_be_bytes())]).await
}

pub(crate) async fn answer(
    tx: &mut Tx<'_>,
    id: AskId,
    state: AskState,
    payment: Option<PaymentId>,
) -> Result<()> {
    let payment = payment.map(|payment| payment.0.to_be_bytes());
    let args = [
        Value::Blob(&id.0.to_be_bytes()),
        (state as i64).into(),
        payment.as_ref().map(<[u8; 16]>::as_slice).into(),
    ];
    tx.exec_one(&ANSWER, &args).await
}

/// Asks people for money; with more than one, for their shares of a bill.
pub(crate) struct AskAll {
    pub(crate) request: Keyed,
    pub(crate) ledger: LedgerId,
    /// Whom, and for how much.
    pub(crate) shares: Vec<(UserNid, i64)>,
    pub(crate) note: String,
    pub(crate) room: Option<RoomNid>,
    pub(crate) clock: Clock,
}

impl AskAll {
    pub(crate) fn group(&self) -> GroupId {
        GroupId(self.request.id("bill"))
    }
}

impl Work for AskAll {
    const NAME: &'static str = "pay.ask";
    type Out = Done<Vec<Ask>>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.request.key.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let group = self.group().0.to_be_bytes();
        if granted!(self.request.find(tx).await?).is_none() {
            let now = self.clock.now();
            for (number, (payer, amount)) in self.shares.iter().enumerate() {
                let id = self.request.id(&format!("ask {number}")).to_be_bytes();
                let args = [
                    Value::Blob(&id),
                    self.request.key.user.into(),
                    (*payer).into(),
                    i64::from(self.ledger.0).into(),
                    (*amount).into(),
                    (&self.note).into(),
                    self.room.into(),
                    Value::Blob(&group),
                    now.into(),
                ];
                tx.exec_one(&INSERT, &args).await?;
            }
            self.request.keep(tx, self.group().0, now).await?;
        }
        Ok(Done::Made(tx.all(&GROUP, &[Value::Blob(&group)]).await?))
    }
}

/// Says no to a request, or takes one's own back.
pub(crate) struct CloseAsk {
    pub(crate) id: AskId,
    pub(crate) by: UserNid,
}

impl Work for CloseAsk {
    const NAME: &'static str = "pay.close_ask";
    type Out = Done<Ask>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.by))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let found = ask(tx, self.id).await?;
        let Some(mut ask) = found.filter(|ask| [ask.asker, ask.payer].contains(&self.by)) else {
            return Ok(Done::Refused(Refusal::NoSuchPayment));
        };
        let to = if ask.payer == self.by { AskState::Declined } else { AskState::Cancelled };
        if ask.state == to {
            return Ok(Done::Made(ask));
        }
        if ask.state != AskState::Open {
            return Ok(Done::Refused(Refusal::AlreadyAnswered));
        }
        let args = [Value::Blob(&self.id.0.to_be_bytes()), (to as i64).into(), Value::Null];
        // Both sides may answer at once, each under its own lock: the first one counts.
        if tx.exec(&ANSWER, &args).await? == 0 {
            return Ok(Done::Refused(Refusal::AlreadyAnswered));
        }
        ask.state = to;
        Ok(Done::Made(ask))
    }
}

/// What a person is asked for and has not answered, and what he has asked others for.
pub(crate) struct ReadAsks {
    pub(crate) user: UserNid,
    pub(crate) limit: i64,
}

impl Work for ReadAsks {
    const NAME: &'static str = "pay.read_asks";
    type Out = (Vec<Ask>, Vec<Ask>);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.user.into(), self.limit.into()];
        Ok((tx.all(&TO_PAY, &args).await?, tx.all(&ASKED, &args).await?))
    }
}

/// One request.
pub(crate) struct ReadAsk(pub(crate) AskId);

impl Work for ReadAsk {
    const NAME: &'static str = "pay.read_ask";
    type Out = Option<Ask>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        ask(tx, self.0).await
    }
}
