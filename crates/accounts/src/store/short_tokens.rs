//! Tokens for one purpose and a short time.

use haechi_base::{Millis, UserNid};
use haechi_store::{Locks, Result, Tx, Value, Work, sql};
use ruma::OwnedUserId;

use super::{user_lock, users};
use crate::tokens::TokenHash;

sql!(ADD, "INSERT INTO short_token (hash, purpose, nid, expires_ms) VALUES (?1, ?2, ?3, ?4)");
sql!(FIND, "SELECT nid, expires_ms FROM short_token WHERE hash = ?1 AND purpose = ?2");
sql!(TAKE, "DELETE FROM short_token WHERE hash = ?1 AND purpose = ?2 RETURNING nid, expires_ms");
sql!(SWEEP, "DELETE FROM short_token WHERE expires_ms < ?1");
sql!(DELETE_OF, "DELETE FROM short_token WHERE nid = ?1");

/// What a short token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `m.login.token`, once.
    Login = 1,
    /// Telling somebody else who one is, as often as wanted.
    OpenId = 2,
}

pub(crate) async fn delete_of(tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
    tx.put(&DELETE_OF, &[user.into()]).await?;
    Ok(())
}

/// Makes a token and clears away those that have ended.
pub(crate) struct AddShortToken {
    pub(crate) hash: TokenHash,
    pub(crate) purpose: Purpose,
    pub(crate) user: UserNid,
    pub(crate) now: Millis,
    pub(crate) expires: Millis,
}

impl Work for AddShortToken {
    const NAME: &'static str = "accounts.add_short_token";
    type Out = ();

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.put(&SWEEP, &[self.now.into()]).await?;
        let args = [
            Value::Blob(&self.hash.0),
            Value::Int(self.purpose as i64),
            self.user.into(),
            self.expires.into(),
        ];
        tx.exec_one(&ADD, &args).await
    }
}

/// Takes a login token, so that it cannot be used again.
pub(crate) struct TakeLoginToken {
    pub(crate) hash: TokenHash,
    pub(crate) now: Millis,
}

impl Work for TakeLoginToken {
    const NAME: &'static str = "accounts.take_login_token";
    type Out = Option<UserNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [Value::Blob(&self.hash.0), Value::Int(Purpose::Login as i64)];
        let row: Option<(UserNid, Millis)> = tx.opt(&TAKE, &args).await?;
        Ok(row.filter(|(_, expires)| *expires > self.now).map(|(user, _)| user))
    }
}

/// Whose an OpenID token is.
pub(crate) struct FindOpenId {
    pub(crate) hash: TokenHash,
    pub(crate) now: Millis,
}

impl Work for FindOpenId {
    const NAME: &'static str = "accounts.find_openid_token";
    type Out = Option<OwnedUserId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [Value::Blob(&self.hash.0), Value::Int(Purpose::OpenId as i64)];
        let row: Option<(UserNid, Millis)> = tx.opt(&FIND, &args).await?;
        match row {
            Some((user, expires)) if expires > self.now => users::id_of(tx, user).await.map(Some),
            _ => Ok(None),
        }
    }
}
