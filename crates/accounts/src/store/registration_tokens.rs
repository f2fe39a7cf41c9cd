//! Tokens that let people register.

use haechi_base::Millis;
use haechi_store::{LockKey, Locks, Result, Tx, Value, Work, sql};

use super::{LOCK_REGISTRATION_TOKEN, fingerprint};
use crate::{Refusal, RegistrationToken};

sql!(FIND, "SELECT uses_max, uses, expires_ms FROM registration_token WHERE token = ?1");
sql!(USE, "UPDATE registration_token SET uses = uses + 1 WHERE token = ?1");
sql!(
    ADD,
    "INSERT INTO registration_token (token, uses_max, uses, expires_ms, created_ms)
    VALUES (?1, ?2, 0, ?3, ?4) ON CONFLICT (token) DO NOTHING"
);

pub(crate) async fn is_valid(tx: &mut Tx<'_>, token: &str, now: Millis) -> Result<bool> {
    type Row = (Option<i64>, i64, Option<Millis>);
    let row: Option<Row> = tx.opt(&FIND, &[token.into()]).await?;
    Ok(row.is_some_and(|(uses_max, uses, expires)| {
        uses_max.is_none_or(|max| uses < max) && expires.is_none_or(|expires| expires > now)
    }))
}

pub(crate) async fn use_up(tx: &mut Tx<'_>, token: &str) -> Result<()> {
    tx.exec_one(&USE, &[token.into()]).await
}

pub(crate) struct CheckToken {
    pub(crate) token: String,
    pub(crate) now: Millis,
}

impl Work for CheckToken {
    const NAME: &'static str = "accounts.check_registration_token";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        is_valid(tx, &self.token, self.now).await
    }
}

pub(crate) struct AddToken {
    pub(crate) token: RegistrationToken,
    pub(crate) now: Millis,
}

impl Work for AddToken {
    const NAME: &'static str = "accounts.add_registration_token";
    type Out = Result<(), Refusal>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Other(LOCK_REGISTRATION_TOKEN, fingerprint(&self.token.token)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [
            Value::from(&self.token.token),
            self.token.uses_max.into(),
            self.token.expires.into(),
            self.now.into(),
        ];
        let added = tx.exec(&ADD, &args).await? == 1;
        Ok(if added { Ok(()) } else { Err(Refusal::RegistrationTokenExists) })
    }
}
