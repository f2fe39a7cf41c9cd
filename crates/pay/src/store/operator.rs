//! What operators do. Each work leaves a line in the audit log, in the same commit.

use haechi_base::{Clock, UserNid};
use haechi_ledger::{Books, NewTransfer, TransferId, UserData};
use haechi_store::{Locks, Result, Tx, Value, Work, sql};

use super::{Done, Keyed, give, granted, locks, people};
use crate::{error::Refusal, model::Currency, rules};

sql!(
    AUDIT,
    "INSERT INTO pay_audit (at_ms, who, what, user_nid, detail) VALUES (?1, ?2, ?3, ?4, ?5)"
);
sql!(
    AUDIT_READ,
    "SELECT id, at_ms, who, what, user_nid, detail FROM pay_audit WHERE id > ?1 ORDER BY id LIMIT ?2"
);

/// Puts money into a wallet.
pub(crate) struct Issue {
    pub(crate) request: Keyed,
    pub(crate) who: String,
    pub(crate) to: UserNid,
    pub(crate) currency: Currency,
    pub(crate) amount: i64,
    pub(crate) clock: Clock,
}

impl Work for Issue {
    const NAME: &'static str = "pay.issue";
    type Out = Done<()>;

    fn locks(&self) -> Locks {
        locks(&[self.to], self.currency.ledger, None)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if granted!(self.request.find(tx).await?).is_some() {
            return Ok(Done::Made(()));
        }
        if self.amount <= 0 {
            return Ok(Done::Refused(Refusal::BadAmount));
        }
        let ledger = self.currency.ledger;
        let made = self.request.id("issue");
        let transfer = NewTransfer {
            id: TransferId(made),
            debit: rules::treasury(ledger),
            credit: rules::wallet(ledger, self.to),
            amount: self.amount.unsigned_abs().into(),
            ledger,
            code: rules::code::ISSUE,
            user_data: UserData::default(),
            ..NewTransfer::default()
        };
        let accounts = rules::accounts(ledger, &[self.to]);
        let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
        let now = self.clock.now();
        let mut books = Books::load(tx, now, &[transfer], &ids, &[ledger]).await?;
        books.open_accounts(&accounts);
        granted!(give::refused(books.make_transfers(&[transfer])[0].code));
        if !give::fits_balance(&books, &self.currency, self.to) {
            return Ok(Done::Refused(Refusal::LimitBalance));
        }
        books.write(tx).await?;
        self.request.keep(tx, made, now).await?;
        let detail = format!("{} {}", self.amount, self.currency.code);
        let args =
            [now.into(), (&self.who).into(), "issue".into(), self.to.into(), (&detail).into()];
        tx.exec_one(&AUDIT, &args).await?;
        Ok(Done::Made(()))
    }
}

/// What an operator does to a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Lets nothing in or out.
    Freeze,
    /// Lets it go again.
    Unfreeze,
    /// Lets the owner try his PIN again.
    UnlockPin,
}

/// Intervenes, with a reason.
pub(crate) struct Intervene {
    pub(crate) who: String,
    pub(crate) user: UserNid,
    pub(crate) what: Intervention,
    pub(crate) reason: String,
    pub(crate) clock: Clock,
}

impl Work for Intervene {
    const NAME: &'static str = "pay.intervene";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(haechi_store::LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let what = match self.what {
            Intervention::Freeze => {
                people::freeze(tx, self.user, true).await?;
                "freeze"
            }
            Intervention::Unfreeze => {
                people::freeze(tx, self.user, false).await?;
                "unfreeze"
            }
            Intervention::UnlockPin => {
                people::unlock_pin(tx, self.user).await?;
                "unlock PIN"
            }
        };
        let args = [
            self.clock.now().into(),
            (&self.who).into(),
            what.into(),
            self.user.into(),
            (&self.reason).into(),
        ];
        tx.exec_one(&AUDIT, &args).await
    }
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number, to ask for those behind it.
    pub number: i64,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Which operator.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To whose wallet.
    pub user: Option<UserNid>,
    /// How much, or why.
    pub detail: String,
}

/// The audit log after a line.
pub(crate) struct ReadAudit {
    pub(crate) after: i64,
    pub(crate) limit: i64,
}

impl Work for ReadAudit {
    const NAME: &'static str = "pay.read_audit";
    type Out = Vec<AuditLine>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        type Row = (i64, i64, String, String, Option<UserNid>, String);
        let args = [Value::Int(self.after), Value::Int(self.limit)];
        let rows: Vec<Row> = tx.all(&AUDIT_READ, &args).await?;
        let line = |(number, at_ms, who, what, user, detail)| AuditLine {
            number,
            at_ms,
            who,
            what,
            user,
            detail,
        };
        Ok(rows.into_iter().map(line).collect())
    }
}
