//! Numbers of users.

use haechi_base::UserNid;
use haechi_store::{Locks, Result, Tx, Value, Work, sql};
use ruma::{OwnedUserId, UserId};

use super::{name_lock, user_id};

sql!(NID_BY_ID, "SELECT nid FROM matrix_user WHERE user_id = ?1");
sql!(ID_BY_NID, "SELECT user_id FROM matrix_user WHERE nid = ?1");
sql!(
    INSERT,
    "INSERT INTO matrix_user (user_id) VALUES (?1)
    ON CONFLICT (user_id) DO NOTHING RETURNING nid"
);
// Lists have no common form: an array there, JSON here.
sql!(NIDS_BY_IDS,
    sqlite: "SELECT nid, user_id FROM matrix_user
        WHERE user_id IN (SELECT value FROM json_each(?1))",
    pg: "SELECT nid, user_id FROM matrix_user WHERE user_id = ANY($1)");
// As above.
sql!(IDS_BY_NIDS,
    sqlite: "SELECT nid, user_id FROM matrix_user WHERE nid IN (SELECT value FROM json_each(?1))",
    pg: "SELECT nid, user_id FROM matrix_user WHERE nid = ANY($1)");

/// The user's number, made if there is none. For works of other crates which meet new users.
pub async fn ensure_user(tx: &mut Tx<'_>, id: &UserId) -> Result<UserNid> {
    if let Some(nid) = find(tx, id).await? {
        return Ok(nid);
    }
    let args = [Value::Text(id.as_str())];
    if let Some((nid,)) = tx.opt::<(UserNid,)>(&INSERT, &args).await? {
        return Ok(nid);
    }
    // Another transaction was faster.
    let (nid,) = tx.one(&NID_BY_ID, &args).await?;
    Ok(nid)
}

pub(crate) async fn find(tx: &mut Tx<'_>, id: &UserId) -> Result<Option<UserNid>> {
    let row = tx.opt::<(UserNid,)>(&NID_BY_ID, &[Value::Text(id.as_str())]).await?;
    Ok(row.map(|(nid,)| nid))
}

pub(crate) async fn id_of(tx: &mut Tx<'_>, nid: UserNid) -> Result<OwnedUserId> {
    let (id,): (String,) = tx.one(&ID_BY_NID, &[nid.into()]).await?;
    user_id(ID_BY_NID.name, &id)
}

/// Looks numbers up; users without one are left out.
pub(crate) struct FindUsers(pub(crate) Vec<OwnedUserId>);

impl Work for FindUsers {
    const NAME: &'static str = "accounts.find_users";
    type Out = Vec<(UserNid, OwnedUserId)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if let [id] = &self.0[..] {
            return Ok(find(tx, id).await?.map(|nid| (nid, id.clone())).into_iter().collect());
        }
        let ids: Vec<&str> = self.0.iter().map(|id| id.as_str()).collect();
        pairs(&NIDS_BY_IDS, tx.all(&NIDS_BY_IDS, &[Value::Texts(&ids)]).await?)
    }
}

/// Looks ids up.
pub(crate) struct FindIds(pub(crate) Vec<UserNid>);

impl Work for FindIds {
    const NAME: &'static str = "accounts.find_ids";
    type Out = Vec<(UserNid, OwnedUserId)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let nids: Vec<i64> = self.0.iter().map(|nid| nid.0).collect();
        pairs(&IDS_BY_NIDS, tx.all(&IDS_BY_NIDS, &[Value::Ints(&nids)]).await?)
    }
}

fn pairs(
    sql: &'static haechi_store::Sql,
    rows: Vec<(UserNid, String)>,
) -> Result<Vec<(UserNid, OwnedUserId)>> {
    rows.into_iter().map(|(nid, id)| Ok((nid, user_id(sql.name, &id)?))).collect()
}

/// Gives numbers to users who have none.
pub(crate) struct AddUsers(pub(crate) Vec<OwnedUserId>);

impl Work for AddUsers {
    const NAME: &'static str = "accounts.add_users";
    type Out = Vec<(UserNid, OwnedUserId)>;

    fn locks(&self) -> Locks {
        Locks::all(self.0.iter().map(|id| name_lock(id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let mut pairs = Vec::with_capacity(self.0.len());
        for id in &self.0 {
            pairs.push((ensure_user(tx, id).await?, id.clone()));
        }
        Ok(pairs)
    }
}
