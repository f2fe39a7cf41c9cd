//! People as payers: PIN, settings.

use haechi_base::{Millis, UserNid};
use haechi_store::{LockKey, Locks, Result, Tx, Work, sql};

use crate::{error::Refusal, model::Person};

sql!(
    PERSON,
    "SELECT pin_hash, pin_tries, pin_locked_until_ms, auto_accept, frozen FROM pay_person
     WHERE user_nid = ?1"
);
sql!(
    PERSON_ADD,
    "INSERT INTO pay_person (user_nid, pin_hash, pin_tries, pin_locked_until_ms, auto_accept, frozen)
     VALUES (?1, NULL, 0, NULL, 0, 0) ON CONFLICT (user_nid) DO NOTHING"
);
sql!(
    PIN_SET,
    "UPDATE pay_person SET pin_hash = ?2, pin_tries = 0, pin_locked_until_ms = NULL
     WHERE user_nid = ?1"
);
sql!(
    PIN_TRIES,
    "UPDATE pay_person SET pin_tries = ?2, pin_locked_until_ms = ?3 WHERE user_nid = ?1"
);
sql!(AUTO_ACCEPT, "UPDATE pay_person SET auto_accept = ?2 WHERE user_nid = ?1");
sql!(FREEZE, "UPDATE pay_person SET frozen = ?2 WHERE user_nid = ?1");

type Row = (Option<String>, i64, Option<Millis>, bool, bool);

pub(crate) async fn person(tx: &mut Tx<'_>, user: UserNid) -> Result<Person> {
    let row: Option<Row> = tx.opt(&PERSON, &[user.into()]).await?;
    Ok(row.map_or_else(Person::default, |(hash, _, _, auto_accept, frozen)| Person {
        has_pin: hash.is_some(),
        auto_accept,
        frozen,
    }))
}

fn locks(user: UserNid) -> Locks {
    Locks::one(LockKey::User(user))
}

/// How a person wants payments handled.
pub(crate) struct ReadPerson(pub(crate) UserNid);

impl Work for ReadPerson {
    const NAME: &'static str = "pay.read_person";
    type Out = Person;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Person> {
        person(tx, self.0).await
    }
}

/// Counts a try with a PIN, and gives the hash to try it on.
pub(crate) struct TryPin {
    pub(crate) user: UserNid,
    pub(crate) now: Millis,
    pub(crate) tries_max: i64,
    pub(crate) locked_until: Millis,
}

impl Work for TryPin {
    const NAME: &'static str = "pay.try_pin";
    /// The hash, and how many tries are left after this one.
    type Out = Result<(String, i64), Refusal>;

    fn locks(&self) -> Locks {
        locks(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let row: Option<Row> = tx.opt(&PERSON, &[self.user.into()]).await?;
        let Some((Some(hash), tries, locked_until, ..)) = row else {
            return Ok(Err(Refusal::NoPin));
        };
        let tries = match locked_until {
            Some(until) if until > self.now => return Ok(Err(Refusal::PinLocked(until))),
            // The lock has ended: as many tries as before.
            Some(_) => 0,
            None => tries,
        };
        let left = self.tries_max - tries - 1;
        let locked = (left <= 0).then_some(self.locked_until);
        tx.exec_one(&PIN_TRIES, &[self.user.into(), (tries + 1).into(), locked.into()]).await?;
        Ok(Ok((hash, left.max(0))))
    }
}

/// The PIN was right: tries count from the beginning.
pub(crate) struct PinWasRight(pub(crate) UserNid);

impl Work for PinWasRight {
    const NAME: &'static str = "pay.pin_was_right";
    type Out = ();

    fn locks(&self) -> Locks {
        locks(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let none: Option<Millis> = None;
        tx.exec(&PIN_TRIES, &[self.0.into(), 0.into(), none.into()]).await?;
        Ok(())
    }
}

/// Sets a PIN.
pub(crate) struct SetPin {
    pub(crate) user: UserNid,
    pub(crate) hash: String,
}

impl Work for SetPin {
    const NAME: &'static str = "pay.set_pin";
    type Out = ();

    fn locks(&self) -> Locks {
        locks(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.exec(&PERSON_ADD, &[self.user.into()]).await?;
        tx.exec_one(&PIN_SET, &[self.user.into(), (&self.hash).into()]).await
    }
}

/// Sets whether payments are accepted at once.
pub(crate) struct SetAutoAccept {
    pub(crate) user: UserNid,
    pub(crate) auto_accept: bool,
}

impl Work for SetAutoAccept {
    const NAME: &'static str = "pay.set_auto_accept";
    type Out = ();

    fn locks(&self) -> Locks {
        locks(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.exec(&PERSON_ADD, &[self.user.into()]).await?;
        tx.exec_one(&AUTO_ACCEPT, &[self.user.into(), self.auto_accept.into()]).await
    }
}

/// Freezes a person's wallets or lets them go; releases a locked PIN.
pub(crate) async fn freeze(tx: &mut Tx<'_>, user: UserNid, frozen: bool) -> Result<()> {
    tx.exec(&PERSON_ADD, &[user.into()]).await?;
    tx.exec_one(&FREEZE, &[user.into(), frozen.into()]).await
}

pub(crate) async fn unlock_pin(tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
    let none: Option<Millis> = None;
    tx.exec(&PIN_TRIES, &[user.into(), 0.into(), none.into()]).await?;
    Ok(())
}
