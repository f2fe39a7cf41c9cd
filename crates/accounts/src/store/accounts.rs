//! Accounts.

use haechi_base::{Millis, UserNid};
use haechi_store::{LockKey, Locks, Result, Tx, Value, Work, sql};
use ruma::OwnedUserId;

use super::{
    LOCK_REGISTRATION_TOKEN,
    devices::{self, NewLogin},
    fingerprint, name_lock, profiles, registration_tokens, short_tokens, tokens, user_id,
    user_lock, users,
};
use crate::{AccountInfo, Refusal, Watch, tokens::TokenHash};

sql!(FIND, "SELECT password_hash, is_admin, deactivated_ms FROM account WHERE nid = ?1");
sql!(
    INSERT,
    "INSERT INTO account (nid, password_hash, is_admin, created_ms)
    VALUES (?1, ?2, ?3, ?4)"
);
sql!(
    SET_PASSWORD,
    "UPDATE account SET password_hash = ?2
    WHERE nid = ?1 AND deactivated_ms IS NULL"
);
sql!(DEACTIVATE, "UPDATE account SET password_hash = NULL, deactivated_ms = ?2 WHERE nid = ?1");
sql!(DELETE_DATA, "DELETE FROM account_data WHERE nid = ?1");
sql!(DELETE_FILTERS, "DELETE FROM filter WHERE nid = ?1");
sql!(
    LIST,
    "SELECT a.nid, u.user_id, a.is_admin, a.created_ms, a.deactivated_ms
    FROM account a JOIN matrix_user u ON u.nid = a.nid
    WHERE a.nid > ?1 ORDER BY a.nid LIMIT ?2"
);
sql!(COUNT, "SELECT count(*) FROM (SELECT 1 FROM account LIMIT ?1) counted");

/// What a login needs to know of an account.
pub(crate) struct AccountRow {
    pub(crate) user: UserNid,
    pub(crate) password_hash: Option<String>,
    pub(crate) is_admin: bool,
    pub(crate) deactivated: Option<Millis>,
}

pub(crate) async fn find(tx: &mut Tx<'_>, user: UserNid) -> Result<Option<AccountRow>> {
    let row: Option<(Option<String>, bool, Option<Millis>)> = tx.opt(&FIND, &[user.into()]).await?;
    Ok(row.map(|(password_hash, is_admin, deactivated)| AccountRow {
        user,
        password_hash,
        is_admin,
        deactivated,
    }))
}

pub(crate) struct FindAccount(pub(crate) OwnedUserId);

impl Work for FindAccount {
    const NAME: &'static str = "accounts.find_account";
    type Out = Option<AccountRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        match users::find(tx, &self.0).await? {
            Some(user) => find(tx, user).await,
            None => Ok(None),
        }
    }
}

pub(crate) struct Register {
    pub(crate) user_id: OwnedUserId,
    pub(crate) password_hash: Option<String>,
    pub(crate) is_admin: bool,
    pub(crate) registration_token: Option<String>,
    pub(crate) login: Option<NewLogin>,
    pub(crate) now: Millis,
}

impl Work for Register {
    const NAME: &'static str = "accounts.register";
    type Out = Result<UserNid, Refusal>;

    fn locks(&self) -> Locks {
        let token = self.registration_token.as_deref();
        let token = token.map(|token| LockKey::Other(LOCK_REGISTRATION_TOKEN, fingerprint(token)));
        Locks::all([name_lock(&self.user_id)].into_iter().chain(token))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let known = users::find(tx, &self.user_id).await?;
        if let Some(user) = known
            && find(tx, user).await?.is_some()
        {
            return Ok(Err(Refusal::UserInUse));
        }
        if let Some(token) = &self.registration_token {
            if !registration_tokens::is_valid(tx, token, self.now).await? {
                return Ok(Err(Refusal::RegistrationToken));
            }
            registration_tokens::use_up(tx, token).await?;
        }
        let user = users::ensure_user(tx, &self.user_id).await?;
        let args = [
            user.into(),
            self.password_hash.as_deref().into(),
            self.is_admin.into(),
            self.now.into(),
        ];
        tx.exec_one(&INSERT, &args).await?;
        profiles::index(tx, user, self.user_id.localpart(), None).await?;
        if let Some(login) = &self.login {
            devices::add(tx, user, login, self.now).await?;
            tokens::add(tx, user, login).await?;
        }
        Ok(Ok(user))
    }
}

/// Sets a password and ends the logins on other devices, if so wished.
pub(crate) struct SetPassword {
    pub(crate) user: UserNid,
    pub(crate) password_hash: String,
    pub(crate) log_out: bool,
    /// The device that stays logged in.
    pub(crate) but: Option<String>,
    pub(crate) watch: Watch,
}

/// What ended with a work: tokens to be forgotten, devices to be told of.
#[derive(Default)]
pub(crate) struct Gone {
    pub(crate) tokens: Vec<TokenHash>,
    pub(crate) devices: Vec<String>,
}

impl Work for SetPassword {
    const NAME: &'static str = "accounts.set_password";
    type Out = Result<Gone, Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.user.into(), Value::Text(&self.password_hash)];
        if tx.exec(&SET_PASSWORD, &args).await? == 0 {
            return Ok(Err(Refusal::NoSuchUser));
        }
        short_tokens::delete_of(tx, self.user).await?;
        if !self.log_out {
            return Ok(Ok(Gone::default()));
        }
        devices::delete_all(tx, self.user, self.but.as_deref(), &self.watch).await.map(Ok)
    }

    fn committed(&self, out: &Self::Out) {
        self.watch.committed(self.user, out.as_ref().ok());
    }
}

pub(crate) struct Deactivate {
    pub(crate) user: UserNid,
    pub(crate) erase: bool,
    pub(crate) now: Millis,
    pub(crate) watch: Watch,
}

impl Work for Deactivate {
    const NAME: &'static str = "accounts.deactivate";
    type Out = Result<Gone, Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if tx.exec(&DEACTIVATE, &[self.user.into(), self.now.into()]).await? == 0 {
            return Ok(Err(Refusal::NoSuchUser));
        }
        short_tokens::delete_of(tx, self.user).await?;
        profiles::unindex(tx, self.user).await?;
        tx.put(&DELETE_FILTERS, &[self.user.into()]).await?;
        if self.erase {
            profiles::delete(tx, self.user).await?;
            tx.put(&DELETE_DATA, &[self.user.into()]).await?;
        }
        devices::delete_all(tx, self.user, None, &self.watch).await.map(Ok)
    }

    fn committed(&self, out: &Self::Out) {
        self.watch.committed(self.user, out.as_ref().ok());
    }
}

pub(crate) struct ListAccounts {
    pub(crate) after: UserNid,
    pub(crate) limit: i64,
}

impl Work for ListAccounts {
    const NAME: &'static str = "accounts.list_accounts";
    type Out = Vec<AccountInfo>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        type Row = (UserNid, String, bool, Millis, Option<Millis>);
        let rows: Vec<Row> = tx.all(&LIST, &[self.after.into(), self.limit.into()]).await?;
        let info = |(user, id, is_admin, created, deactivated): Row| {
            let user_id = user_id(LIST.name, &id)?;
            Ok(AccountInfo { user, user_id, is_admin, created, deactivated })
        };
        rows.into_iter().map(info).collect()
    }
}

/// Counts accounts, up to a limit.
pub(crate) struct CountAccounts(pub(crate) i64);

impl Work for CountAccounts {
    const NAME: &'static str = "accounts.count_accounts";
    type Out = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let (count,) = tx.one(&COUNT, &[self.0.into()]).await?;
        Ok(count)
    }
}
