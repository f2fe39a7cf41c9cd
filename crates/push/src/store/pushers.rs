//! Pushers.

use haechi_base::{Millis, UserNid};
use haechi_store::{FromRow, LockKey, Locks, Result, Row, StoreError, Tx, Value, Work, sql};
use ruma::{api::client::push::PusherIds, push::HttpPusherData};

use crate::{
    Refusal,
    model::{PusherNid, StoredPusher},
};

macro_rules! columns {
    () => {
        "nid, app_id, pushkey, app_display_name, device_display_name, profile_tag, lang, data, \
         updated_ms"
    };
}

sql!(OF_USER, concat!("SELECT ", columns!(), " FROM pusher WHERE nid = ?1 ORDER BY id LIMIT 1000"));
sql!(BY_ID, concat!("SELECT ", columns!(), " FROM pusher WHERE id = ?1"));
sql!(HAS_DEVICE, "SELECT count(*) FROM device WHERE nid = ?1 AND device_id = ?2");
sql!(
    COUNT_OTHERS,
    "SELECT count(*) FROM pusher WHERE nid = ?1 AND NOT (app_id = ?2 AND pushkey = ?3)"
);
sql!(DELETE_OF_OTHERS, "DELETE FROM pusher WHERE app_id = ?1 AND pushkey = ?2 AND nid <> ?3");
sql!(
    PUT,
    "INSERT INTO pusher (nid, device_id, app_id, pushkey, app_display_name, device_display_name,
        profile_tag, lang, data, created_ms, updated_ms)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)
     ON CONFLICT (nid, app_id, pushkey) DO UPDATE SET device_id = excluded.device_id,
        app_display_name = excluded.app_display_name,
        device_display_name = excluded.device_display_name, profile_tag = excluded.profile_tag,
        lang = excluded.lang, data = excluded.data, updated_ms = excluded.updated_ms
     RETURNING id, created_ms"
);
sql!(DELETE, "DELETE FROM pusher WHERE nid = ?1 AND app_id = ?2 AND pushkey = ?3");
sql!(DELETE_REJECTED, "DELETE FROM pusher WHERE app_id = ?1 AND pushkey = ?2");
sql!(DELETE_OF_DEVICE, "DELETE FROM pusher WHERE nid = ?1 AND device_id = ?2");

/// Most pushers of one user.
const PUSHERS_MAX: i64 = 100;

impl FromRow for StoredPusher {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let data: Vec<u8> = row.get(7)?;
        let data: HttpPusherData = serde_json::from_slice(&data).map_err(|error| {
            StoreError::Corrupt { statement: "pusher", column: 7, reason: error.to_string() }
        })?;
        Ok(Self {
            user: row.get(0)?,
            ids: PusherIds::new(row.get(2)?, row.get(1)?),
            app_display_name: row.get(3)?,
            device_display_name: row.get(4)?,
            profile_tag: row.get(5)?,
            lang: row.get(6)?,
            data,
            updated: row.get(8)?,
        })
    }
}

pub(crate) struct PushersOf(pub(crate) UserNid);

impl Work for PushersOf {
    const NAME: &'static str = "push.pushers_of";
    type Out = Vec<StoredPusher>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.all(&OF_USER, &[self.0.into()]).await
    }
}

pub(crate) struct FindPusher(pub(crate) PusherNid);

impl Work for FindPusher {
    const NAME: &'static str = "push.find_pusher";
    type Out = Option<StoredPusher>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.opt(&BY_ID, &[self.0.0.into()]).await
    }
}

pub(crate) struct PutPusher {
    pub(crate) pusher: StoredPusher,
    pub(crate) device_id: String,
    /// Do pushers of other users with the same ids stay?
    pub(crate) append: bool,
}

impl Work for PutPusher {
    const NAME: &'static str = "push.put_pusher";
    /// Its number, and since when there is one with these ids.
    type Out = Result<(PusherNid, Millis), Refusal>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.pusher.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let pusher = &self.pusher;
        let user = Value::from(pusher.user);
        // Who logs out while this waits for the lock would leave a pusher that nothing ends.
        let (devices,): (i64,) = tx.one(&HAS_DEVICE, &[user, (&self.device_id).into()]).await?;
        if devices == 0 {
            return Ok(Err(Refusal::LoggedOut));
        }
        let (app_id, pushkey) = (Value::from(&pusher.ids.app_id), Value::from(&pusher.ids.pushkey));
        let (others,): (i64,) = tx.one(&COUNT_OTHERS, &[user, app_id, pushkey]).await?;
        if others >= PUSHERS_MAX {
            return Ok(Err(Refusal::TooManyPushers(PUSHERS_MAX)));
        }
        if !self.append {
            tx.put(&DELETE_OF_OTHERS, &[app_id, pushkey, user]).await?;
        }
        let data = serde_json::to_vec(&pusher.data).unwrap_or_else(|_| b"{}".to_vec());
        let args = [
            user,
            (&self.device_id).into(),
            app_id,
            pushkey,
            (&pusher.app_display_name).into(),
            (&pusher.device_display_name).into(),
            pusher.profile_tag.as_deref().into(),
            (&pusher.lang).into(),
            Value::Blob(&data),
            pusher.updated.into(),
        ];
        let (id, created) = tx.one::<(i64, Millis)>(&PUT, &args).await?;
        Ok(Ok((PusherNid(id), created)))
    }
}

pub(crate) struct DeletePusher {
    pub(crate) user: UserNid,
    pub(crate) ids: PusherIds,
}

impl Work for DeletePusher {
    const NAME: &'static str = "push.delete_pusher";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let ids = [(&self.ids.app_id).into(), (&self.ids.pushkey).into()];
        tx.put(&DELETE, &[self.user.into(), ids[0], ids[1]]).await
    }
}

/// Deletes what a gateway says is gone, whose ever it is.
pub(crate) struct DeleteRejected(pub(crate) PusherIds);

impl Work for DeleteRejected {
    const NAME: &'static str = "push.delete_rejected";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let args = [(&self.0.app_id).into(), (&self.0.pushkey).into()];
        tx.put(&DELETE_REJECTED, &args).await
    }
}

/// Deletes the pushers of devices that are being deleted. For the work that deletes the devices,
/// which holds the user's lock; nothing else has to be told.
pub async fn delete_pushers(tx: &mut Tx<'_>, user: UserNid, devices: &[String]) -> Result<()> {
    for device in devices {
        tx.put(&DELETE_OF_DEVICE, &[user.into(), device.into()]).await?;
    }
    Ok(())
}
