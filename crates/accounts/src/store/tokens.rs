//! Access and refresh tokens.

use haechi_base::{Millis, UserNid};
use haechi_store::{Change, Locks, Result, Tx, Value, Work, sql};

use super::{accounts::Gone, corrupt, devices::NewLogin, user_id, user_lock};
use crate::{Refusal, Session, Watch, tokens::TokenHash};

sql!(
    FIND_ACCESS,
    "SELECT t.nid, u.user_id, t.device_id, a.is_admin, t.expires_ms, t.replaces
    FROM access_token t
    JOIN matrix_user u ON u.nid = t.nid
    JOIN account a ON a.nid = t.nid
    WHERE t.hash = ?1"
);
sql!(FIND_REFRESH, "SELECT nid, device_id, replaces FROM refresh_token WHERE hash = ?1");
sql!(
    ADD_ACCESS,
    "INSERT INTO access_token
    (hash, nid, device_id, expires_ms, refresh_hash, replaces) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
);
sql!(
    ADD_REFRESH,
    "INSERT INTO refresh_token (hash, nid, device_id, replaces)
    VALUES (?1, ?2, ?3, ?4)"
);
sql!(DELETE_ACCESS, "DELETE FROM access_token WHERE nid = ?1 AND device_id = ?2 RETURNING hash");
sql!(DELETE_REFRESH, "DELETE FROM refresh_token WHERE nid = ?1 AND device_id = ?2");
// The first use of a new token ends what it replaces.
sql!(
    END_ACCESS,
    "DELETE FROM access_token
    WHERE nid = ?1 AND device_id = ?2 AND refresh_hash = ?3 RETURNING hash"
);
sql!(END_REFRESH, "DELETE FROM refresh_token WHERE hash = ?1");
sql!(
    CONFIRM_ACCESS,
    "UPDATE access_token SET replaces = NULL
    WHERE nid = ?1 AND device_id = ?2 AND replaces = ?3"
);
sql!(
    CONFIRM_REFRESH,
    "UPDATE refresh_token SET replaces = NULL
    WHERE nid = ?1 AND device_id = ?2 AND replaces = ?3"
);
// A client that asks again lost the answer: what was made for it then is thrown away.
sql!(
    FORGET_ACCESS,
    "DELETE FROM access_token
    WHERE nid = ?1 AND device_id = ?2 AND replaces = ?3 RETURNING hash"
);
sql!(
    FORGET_REFRESH,
    "DELETE FROM refresh_token
    WHERE nid = ?1 AND device_id = ?2 AND replaces = ?3"
);

pub(crate) async fn add(tx: &mut Tx<'_>, user: UserNid, login: &NewLogin) -> Result<()> {
    insert(tx, user, login, None).await
}

async fn insert(
    tx: &mut Tx<'_>,
    user: UserNid,
    login: &NewLogin,
    replaces: Option<&TokenHash>,
) -> Result<()> {
    let device = Value::from(&login.device_id);
    let replaces = Value::from(replaces.map(|hash| &hash.0[..]));
    let refresh = Value::from(login.refresh.as_ref().map(|hash| &hash.0[..]));
    let access = Value::Blob(&login.access.0);
    let args = [access, user.into(), device, login.expires.into(), refresh, replaces];
    tx.exec_one(&ADD_ACCESS, &args).await?;
    if login.refresh.is_some() {
        tx.exec_one(&ADD_REFRESH, &[refresh, user.into(), device, replaces]).await?;
    }
    Ok(())
}

fn hashes(statement: &'static str, rows: Vec<(Vec<u8>,)>) -> Result<Vec<TokenHash>> {
    let hash = |(bytes,): (Vec<u8>,)| {
        TokenHash::from_row(&bytes).ok_or_else(|| corrupt(statement, &"not a hash"))
    };
    rows.into_iter().map(hash).collect()
}

/// Deletes all tokens of a device; returns those that may be remembered somewhere.
pub(crate) async fn delete_of(
    tx: &mut Tx<'_>,
    user: UserNid,
    device_id: &str,
) -> Result<Vec<TokenHash>> {
    let args = [user.into(), Value::Text(device_id)];
    tx.put(&DELETE_REFRESH, &args).await?;
    hashes(DELETE_ACCESS.name, tx.all(&DELETE_ACCESS, &args).await?)
}

/// Ends the refresh token `replaced` and the access token that came with it.
async fn confirm(
    tx: &mut Tx<'_>,
    user: UserNid,
    device_id: &str,
    replaced: &[u8],
) -> Result<Vec<TokenHash>> {
    let args = [user.into(), Value::Text(device_id), Value::Blob(replaced)];
    tx.put(&END_REFRESH, &[Value::Blob(replaced)]).await?;
    tx.put(&CONFIRM_ACCESS, &args).await?;
    tx.put(&CONFIRM_REFRESH, &args).await?;
    hashes(END_ACCESS.name, tx.all(&END_ACCESS, &args).await?)
}

/// What is known of an access token.
pub(crate) struct AccessRow {
    pub(crate) session: Session,
    pub(crate) expires: Option<Millis>,
    /// The refresh token that ends with the first use of this one.
    pub(crate) replaces: Option<Vec<u8>>,
}

pub(crate) struct FindAccess(pub(crate) TokenHash);

impl Work for FindAccess {
    const NAME: &'static str = "accounts.find_access_token";
    type Out = Option<AccessRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        type Row = (UserNid, String, String, bool, Option<Millis>, Option<Vec<u8>>);
        let row: Option<Row> = tx.opt(&FIND_ACCESS, &[Value::Blob(&self.0.0)]).await?;
        let Some((user, id, device_id, is_admin, expires, replaces)) = row else {
            return Ok(None);
        };
        let user_id = user_id(FIND_ACCESS.name, &id)?;
        let session = Session { user, user_id, device_id: device_id.into(), is_admin };
        Ok(Some(AccessRow { session, expires, replaces }))
    }
}

/// The first use of an access token that came out of a refresh.
pub(crate) struct ConfirmRefresh {
    pub(crate) session: Session,
    pub(crate) replaced: Vec<u8>,
    pub(crate) watch: Watch,
}

impl Work for ConfirmRefresh {
    const NAME: &'static str = "accounts.confirm_refresh";
    type Out = Gone;

    fn locks(&self) -> Locks {
        user_lock(self.session.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let device = self.session.device_id.as_str();
        let tokens = confirm(tx, self.session.user, device, &self.replaced).await?;
        if !tokens.is_empty() {
            tx.announce(Change::Sessions(self.session.user))?;
        }
        Ok(Gone { tokens, devices: Vec::new() })
    }

    fn committed(&self, out: &Self::Out) {
        self.watch.committed(self.session.user, Some(out));
    }
}

/// Whose a refresh token is.
pub(crate) struct FindRefresh(pub(crate) TokenHash);

impl Work for FindRefresh {
    const NAME: &'static str = "accounts.find_refresh_token";
    type Out = Option<(UserNid, String)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        type Row = (UserNid, String, Option<Vec<u8>>);
        let row: Option<Row> = tx.opt(&FIND_REFRESH, &[Value::Blob(&self.0.0)]).await?;
        Ok(row.map(|(user, device_id, _)| (user, device_id)))
    }
}

/// Trades a refresh token for new tokens. It stays good until one of them is used.
pub(crate) struct Refresh {
    pub(crate) user: UserNid,
    pub(crate) used: TokenHash,
    pub(crate) login: NewLogin,
    pub(crate) watch: Watch,
}

impl Work for Refresh {
    const NAME: &'static str = "accounts.refresh";
    type Out = Result<Gone, Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        type Row = (UserNid, String, Option<Vec<u8>>);
        let used = Value::Blob(&self.used.0);
        // Read again under the lock: the device may have been logged out meanwhile.
        let Some((user, device_id, replaces)) = tx.opt::<Row>(&FIND_REFRESH, &[used]).await? else {
            return Ok(Err(Refusal::UnknownToken));
        };
        let mut tokens = match replaces {
            Some(replaced) => confirm(tx, user, &device_id, &replaced).await?,
            None => Vec::new(),
        };
        let args = [user.into(), Value::Text(&device_id), used];
        tx.put(&FORGET_REFRESH, &args).await?;
        let forgotten = tx.all(&FORGET_ACCESS, &args).await?;
        tokens.append(&mut hashes(FORGET_ACCESS.name, forgotten)?);
        insert(tx, user, &self.login, Some(&self.used)).await?;
        if !tokens.is_empty() {
            tx.announce(Change::Sessions(user))?;
        }
        Ok(Ok(Gone { tokens, devices: Vec::new() }))
    }

    fn committed(&self, out: &Self::Out) {
        self.watch.committed(self.user, out.as_ref().ok());
    }
}
