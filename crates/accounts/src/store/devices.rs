//! Devices.

use haechi_base::{Millis, UserNid};
use haechi_store::{Locks, Result, Tx, Value, Work, sql};

use super::{accounts::Gone, tokens, user_lock};
use crate::{Device, Refusal, Watch, limits, tokens::TokenHash};

sql!(
    FIND,
    "SELECT device_id, display_name, seen_ms, seen_ip FROM device
    WHERE nid = ?1 AND device_id = ?2"
);
sql!(
    LIST,
    "SELECT device_id, display_name, seen_ms, seen_ip FROM device
    WHERE nid = ?1 ORDER BY device_id"
);
sql!(COUNT, "SELECT count(*) FROM device WHERE nid = ?1");
sql!(
    ADD,
    "INSERT INTO device (nid, device_id, display_name, created_ms) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (nid, device_id) DO NOTHING"
);
sql!(RENAME, "UPDATE device SET display_name = ?3 WHERE nid = ?1 AND device_id = ?2");
sql!(SEEN, "UPDATE device SET seen_ms = ?3, seen_ip = ?4 WHERE nid = ?1 AND device_id = ?2");
sql!(DELETE, "DELETE FROM device WHERE nid = ?1 AND device_id = ?2");

/// A login to be written: the device and the hashes of its tokens.
pub(crate) struct NewLogin {
    pub(crate) device_id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) access: TokenHash,
    pub(crate) expires: Option<Millis>,
    pub(crate) refresh: Option<TokenHash>,
}

pub(crate) async fn add(
    tx: &mut Tx<'_>,
    user: UserNid,
    login: &NewLogin,
    now: Millis,
) -> Result<()> {
    let name = login.display_name.as_deref();
    tx.put(&ADD, &[user.into(), (&login.device_id).into(), name.into(), now.into()]).await?;
    Ok(())
}

async fn find(tx: &mut Tx<'_>, user: UserNid, device_id: &str) -> Result<Option<Device>> {
    let row = tx.opt::<Row>(&FIND, &[user.into(), device_id.into()]).await?;
    Ok(row.map(device))
}

type Row = (String, Option<String>, Option<Millis>, Option<String>);

fn device((device_id, display_name, seen, seen_ip): Row) -> Device {
    Device { device_id: device_id.into(), display_name, seen, seen_ip }
}

/// Deletes devices with their tokens, and lets others delete what they keep for them.
async fn delete(
    tx: &mut Tx<'_>,
    user: UserNid,
    devices: Vec<String>,
    watch: &Watch,
) -> Result<Gone> {
    let mut gone = Gone::default();
    for device_id in devices {
        gone.tokens.append(&mut tokens::delete_of(tx, user, &device_id).await?);
        if tx.exec(&DELETE, &[user.into(), (&device_id).into()]).await? > 0 {
            gone.devices.push(device_id);
        }
    }
    watch.in_tx(tx, user, &gone).await?;
    Ok(gone)
}

/// Deletes all devices of a user but one.
pub(crate) async fn delete_all(
    tx: &mut Tx<'_>,
    user: UserNid,
    but: Option<&str>,
    watch: &Watch,
) -> Result<Gone> {
    let rows: Vec<Row> = tx.all(&LIST, &[user.into()]).await?;
    let ids = rows.into_iter().map(|row| row.0);
    let ids = ids.filter(|id| Some(id.as_str()) != but).collect();
    delete(tx, user, ids, watch).await
}

/// Logs a user in: makes the device, or gives the tokens of the device that exists to this login.
pub(crate) struct LogIn {
    pub(crate) user: UserNid,
    pub(crate) login: NewLogin,
    pub(crate) now: Millis,
    pub(crate) watch: Watch,
}

impl Work for LogIn {
    const NAME: &'static str = "accounts.log_in";
    /// What ended, and whether the user is an operator.
    type Out = Result<(Gone, bool), Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let account = super::accounts::find(tx, self.user).await?;
        let Some(account) = account.filter(|account| account.deactivated.is_none()) else {
            return Ok(Err(Refusal::Deactivated));
        };
        let known = find(tx, self.user, &self.login.device_id).await?;
        let mut gone = Gone::default();
        if known.is_some() {
            gone.tokens = tokens::delete_of(tx, self.user, &self.login.device_id).await?;
        } else {
            let (count,): (i64,) = tx.one(&COUNT, &[self.user.into()]).await?;
            if count >= limits::DEVICES_MAX {
                return Ok(Err(Refusal::TooMany("devices")));
            }
            add(tx, self.user, &self.login, self.now).await?;
        }
        tokens::add(tx, self.user, &self.login).await?;
        Ok(Ok((gone, account.is_admin)))
    }

    fn committed(&self, out: &Self::Out) {
        self.watch.committed(self.user, out.as_ref().ok().map(|(gone, _)| gone));
    }
}

/// Deletes devices: what logging out is.
pub(crate) struct DeleteDevices {
    pub(crate) user: UserNid,
    /// Which; all when not given.
    pub(crate) devices: Option<Vec<String>>,
    pub(crate) watch: Watch,
}

impl Work for DeleteDevices {
    const NAME: &'static str = "accounts.delete_devices";
    type Out = Gone;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        match &self.devices {
            Some(devices) => delete(tx, self.user, devices.clone(), &self.watch).await,
            None => delete_all(tx, self.user, None, &self.watch).await,
        }
    }

    fn committed(&self, out: &Self::Out) {
        self.watch.committed(self.user, Some(out));
    }
}

pub(crate) struct ListDevices {
    pub(crate) user: UserNid,
    /// Only this one.
    pub(crate) device_id: Option<String>,
}

impl Work for ListDevices {
    const NAME: &'static str = "accounts.list_devices";
    type Out = Vec<Device>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if let Some(device_id) = &self.device_id {
            return Ok(find(tx, self.user, device_id).await?.into_iter().collect());
        }
        let rows: Vec<Row> = tx.all(&LIST, &[self.user.into()]).await?;
        Ok(rows.into_iter().map(device).collect())
    }
}

pub(crate) struct RenameDevice {
    pub(crate) user: UserNid,
    pub(crate) device_id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) watch: Watch,
}

impl Work for RenameDevice {
    const NAME: &'static str = "accounts.rename_device";
    type Out = Result<(), Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let name = self.display_name.as_deref();
        let args = [self.user.into(), Value::from(&self.device_id), name.into()];
        if tx.exec(&RENAME, &args).await? == 0 {
            return Ok(Err(Refusal::NoSuchDevice));
        }
        self.watch.renamed_in_tx(tx, self.user).await?;
        Ok(Ok(()))
    }
}

/// Notes when and from where devices were last used.
pub(crate) struct NoteSeen(pub(crate) Vec<(UserNid, String, Millis, String)>);

impl Work for NoteSeen {
    const NAME: &'static str = "accounts.note_seen";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let rows: Vec<[Value<'_>; 4]> = self
            .0
            .iter()
            .map(|(user, device, at, ip)| [(*user).into(), device.into(), (*at).into(), ip.into()])
            .collect();
        let rows: Vec<&[Value<'_>]> = rows.iter().map(|row| &row[..]).collect();
        tx.exec_many(&SEEN, &rows).await?;
        Ok(())
    }
}
