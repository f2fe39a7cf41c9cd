//! When the devices and keys of users changed.

use haechi_base::{StreamPos, UserNid};
use haechi_store::{Change, Result, Tx, Value, Work, sql};

sql!(
    TOUCH,
    "INSERT INTO device_list (user_nid, pos) VALUES (?1, ?2)
     ON CONFLICT (user_nid) DO UPDATE SET pos = excluded.pos"
);
sql!(
    TOUCH_SIGNATURE,
    "INSERT INTO user_signature (signer_nid, target_nid, pos) VALUES (?1, ?2, ?3)
     ON CONFLICT (signer_nid, target_nid) DO UPDATE SET pos = excluded.pos"
);
sql!(
    CHANGED_IN_RANGE,
    "SELECT user_nid FROM device_list WHERE pos > ?1 AND pos <= ?2 ORDER BY pos LIMIT ?3"
);
sql!(
    SIGNED_IN_RANGE,
    "SELECT target_nid FROM user_signature WHERE signer_nid = ?1 AND pos > ?2 AND pos <= ?3"
);
// A list of values has no common text.
sql!(LATEST_OF_USERS,
    sqlite: "SELECT user_nid, pos FROM device_list
             WHERE user_nid IN (SELECT value FROM json_each(?1))",
    pg: "SELECT user_nid, pos FROM device_list WHERE user_nid = ANY($1)");

/// Notes that `user`'s devices or identity keys changed, and announces it.
///
/// To be called inside a work that holds the user's lock.
pub(crate) async fn announce_device_list(tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
    let pos = tx.announce(Change::DeviceList(user))?;
    tx.put(&TOUCH, &[user.into(), pos.into()]).await?;
    Ok(())
}

/// Notes that `signer` signed a key of `target`, and announces it.
pub(crate) async fn announce_signature(
    tx: &mut Tx<'_>,
    signer: UserNid,
    target: UserNid,
) -> Result<()> {
    let pos = tx.announce(Change::UserSignature(signer, target))?;
    tx.put(&TOUCH_SIGNATURE, &[signer.into(), target.into(), pos.into()]).await?;
    Ok(())
}

/// Who of `among` has a change after the start of one of `ranges`?
pub(crate) struct DeviceListsChanged {
    pub(crate) viewer: UserNid,
    pub(crate) ranges: Vec<(StreamPos, StreamPos)>,
    /// Sorted.
    pub(crate) among: Vec<i64>,
}

impl Work for DeviceListsChanged {
    const NAME: &'static str = "keys.device_lists_changed";
    type Out = Vec<UserNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<UserNid>> {
        let mut changed = match self.by_range(tx).await? {
            Some(changed) => changed,
            None => self.by_user(tx).await?,
        };
        for (from, to) in &self.ranges {
            let signed: Vec<(UserNid,)> = tx
                .all(&SIGNED_IN_RANGE, &[self.viewer.into(), (*from).into(), (*to).into()])
                .await?;
            changed.extend(signed.into_iter().map(|(user,)| user).filter(|user| self.asked(*user)));
        }
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }
}

impl DeviceListsChanged {
    fn asked(&self, user: UserNid) -> bool {
        self.among.binary_search(&user.0).is_ok()
    }

    /// `None` when more users changed than were asked about: then the other way is shorter.
    async fn by_range(&self, tx: &mut Tx<'_>) -> Result<Option<Vec<UserNid>>> {
        let mut left = i64::try_from(self.among.len()).unwrap_or(i64::MAX);
        let mut changed = Vec::new();
        for (from, to) in &self.ranges {
            let args = [(*from).into(), (*to).into(), Value::Int(left + 1)];
            let rows: Vec<(UserNid,)> = tx.all(&CHANGED_IN_RANGE, &args).await?;
            left -= i64::try_from(rows.len()).unwrap_or(i64::MAX);
            if left < 0 {
                return Ok(None);
            }
            changed.extend(rows.into_iter().map(|(user,)| user).filter(|user| self.asked(*user)));
        }
        Ok(Some(changed))
    }

    async fn by_user(&self, tx: &mut Tx<'_>) -> Result<Vec<UserNid>> {
        let rows: Vec<(UserNid, StreamPos)> =
            tx.all(&LATEST_OF_USERS, &[Value::Ints(&self.among)]).await?;
        let within =
            |pos: StreamPos| self.ranges.iter().any(|(from, to)| *from < pos && pos <= *to);
        Ok(rows.into_iter().filter(|(_, pos)| within(*pos)).map(|(user, _)| user).collect())
    }
}
