//! Account data.

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_store::{Change, Locks, Result, Tx, Value, Work, sql};
use serde_json::{
    Value as Json,
    value::{RawValue, to_raw_value},
};

use super::{corrupt, raw_json, user_lock};
use crate::{AccountDatum, Refusal, limits};

sql!(FIND, "SELECT content FROM account_data WHERE nid = ?1 AND room = ?2 AND kind = ?3");
sql!(COUNT, "SELECT count(*) FROM account_data WHERE nid = ?1");
sql!(
    PUT,
    "INSERT INTO account_data (nid, room, kind, content, pos) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (nid, room, kind) DO UPDATE SET content = excluded.content, pos = excluded.pos"
);
sql!(ALL, "SELECT room, kind, content, pos FROM account_data WHERE nid = ?1 ORDER BY room, kind");
sql!(
    OF_ROOM,
    "SELECT room, kind, content, pos FROM account_data
    WHERE nid = ?1 AND room = ?2 ORDER BY kind"
);
sql!(
    SINCE,
    "SELECT room, kind, content, pos FROM account_data
    WHERE nid = ?1 AND pos > ?2 AND pos <= ?3 ORDER BY pos"
);

// Lists have no common form: an array there, JSON here.
sql!(OF_USERS,
    sqlite: "SELECT nid, kind, content FROM account_data
        WHERE nid IN (SELECT value FROM json_each(?1)) AND room = 0
            AND kind IN (SELECT value FROM json_each(?2))",
    pg: "SELECT nid, kind, content FROM account_data
        WHERE nid = ANY($1) AND room = 0 AND kind = ANY($2)");

/// What stands for "no room" in the table.
const NO_ROOM: RoomNid = RoomNid(0);

type Row = (RoomNid, String, Vec<u8>, StreamPos);

fn datum((room, kind, content, pos): Row) -> Result<AccountDatum> {
    let room = Some(room).filter(|room| *room != NO_ROOM);
    Ok(AccountDatum { room, kind, content: raw_json(FIND.name, content)?, pos })
}

async fn find(
    tx: &mut Tx<'_>,
    user: UserNid,
    room: Option<RoomNid>,
    kind: &str,
) -> Result<Option<Box<RawValue>>> {
    let args = [user.into(), room.unwrap_or(NO_ROOM).into(), Value::Text(kind)];
    let row: Option<(Vec<u8>,)> = tx.opt(&FIND, &args).await?;
    row.map(|(content,)| raw_json(FIND.name, content)).transpose()
}

/// Writes one entry and announces it. For works of other crates which keep something in account
/// data; those hold the user's lock.
pub async fn put_account_data(
    tx: &mut Tx<'_>,
    user: UserNid,
    room: Option<RoomNid>,
    kind: &str,
    content: &RawValue,
) -> Result<StreamPos> {
    let pos = tx.announce(match room {
        Some(room) => Change::RoomAccountData(room, user),
        None => Change::AccountData(user),
    })?;
    let room = room.unwrap_or(NO_ROOM);
    let content = Value::Blob(content.get().as_bytes());
    tx.put(&PUT, &[user.into(), room.into(), kind.into(), content, pos.into()]).await?;
    Ok(pos)
}

/// Reads one entry. For works of other crates which keep something in account data.
pub async fn get_account_data(
    tx: &mut Tx<'_>,
    user: UserNid,
    room: Option<RoomNid>,
    kind: &str,
) -> Result<Option<Box<RawValue>>> {
    find(tx, user, room, kind).await
}

/// Writes what `edit` makes of the entry as it is now; `None` leaves it.
pub(crate) struct EditAccountData<F> {
    pub(crate) user: UserNid,
    pub(crate) room: Option<RoomNid>,
    pub(crate) kind: String,
    pub(crate) edit: F,
}

impl<F> Work for EditAccountData<F>
where
    F: Fn(Option<Json>) -> Option<Json> + Send + Sync + 'static,
{
    const NAME: &'static str = "accounts.edit_account_data";
    type Out = Result<Option<StreamPos>, Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let before = find(tx, self.user, self.room, &self.kind).await?;
        let is_new = before.is_none();
        let parsed = before.map(|raw| serde_json::from_str(raw.get())).transpose();
        let parsed = parsed.map_err(|error| corrupt(FIND.name, &error))?;
        let Some(after) = (self.edit)(parsed) else { return Ok(Ok(None)) };
        if is_new && is_full(tx, self.user).await? {
            return Ok(Err(Refusal::TooMany("entries of account data")));
        }
        let after = to_raw_value(&after).map_err(|error| corrupt(PUT.name, &error))?;
        put_account_data(tx, self.user, self.room, &self.kind, &after).await.map(Some).map(Ok)
    }
}

async fn is_full(tx: &mut Tx<'_>, user: UserNid) -> Result<bool> {
    let (count,): (i64,) = tx.one(&COUNT, &[user.into()]).await?;
    Ok(count >= limits::ACCOUNT_DATA_MAX)
}

pub(crate) struct PutAccountData {
    pub(crate) user: UserNid,
    pub(crate) room: Option<RoomNid>,
    pub(crate) kind: String,
    pub(crate) content: Box<RawValue>,
}

impl Work for PutAccountData {
    const NAME: &'static str = "accounts.put_account_data";
    type Out = Result<StreamPos, Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let is_new = find(tx, self.user, self.room, &self.kind).await?.is_none();
        if is_new && is_full(tx, self.user).await? {
            return Ok(Err(Refusal::TooMany("entries of account data")));
        }
        put_account_data(tx, self.user, self.room, &self.kind, &self.content).await.map(Ok)
    }
}

pub(crate) struct FindAccountData {
    pub(crate) user: UserNid,
    pub(crate) room: Option<RoomNid>,
    pub(crate) kind: String,
}

impl Work for FindAccountData {
    const NAME: &'static str = "accounts.find_account_data";
    type Out = Option<Box<RawValue>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        find(tx, self.user, self.room, &self.kind).await
    }
}

/// Entries of these types, for whole accounts, of several users.
pub(crate) struct AccountDataOf {
    pub(crate) users: Vec<UserNid>,
    pub(crate) kinds: &'static [&'static str],
}

impl Work for AccountDataOf {
    const NAME: &'static str = "accounts.account_data_of";
    type Out = Vec<(UserNid, String, Box<RawValue>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let users: Vec<i64> = self.users.iter().map(|user| user.0).collect();
        let args = [Value::Ints(&users), Value::Texts(self.kinds)];
        let rows = tx.all::<(UserNid, String, Vec<u8>)>(&OF_USERS, &args).await?;
        rows.into_iter()
            .map(|(user, kind, content)| Ok((user, kind, raw_json(OF_USERS.name, content)?)))
            .collect()
    }
}

pub(crate) struct ListAccountData {
    pub(crate) user: UserNid,
    pub(crate) which: Which,
}

/// Which entries are wanted.
pub(crate) enum Which {
    All,
    OfRoom(RoomNid),
    /// Those written in these ranges, first excluded, last included.
    In(Vec<(StreamPos, StreamPos)>),
}

impl Work for ListAccountData {
    const NAME: &'static str = "accounts.list_account_data";
    type Out = Vec<AccountDatum>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let user = Value::from(self.user);
        let rows: Vec<Row> = match &self.which {
            Which::All => tx.all(&ALL, &[user]).await?,
            Which::OfRoom(room) => tx.all(&OF_ROOM, &[user, (*room).into()]).await?,
            Which::In(ranges) => {
                let mut rows = Vec::new();
                for (after, to) in ranges {
                    let args = [user, (*after).into(), (*to).into()];
                    rows.append(&mut tx.all(&SINCE, &args).await?);
                }
                rows
            }
        };
        rows.into_iter().map(datum).collect()
    }
}
