//! What holds for all of this, on a real database.

mod backup;
mod cross_signing;
mod dehydrated;
mod device_keys;
mod one_time;
mod to_device;

use std::sync::Arc;

use haechi_accounts::{AccountSettings, Accounts, SCHEMA as ACCOUNTS};
use haechi_base::{Clock, Millis, Positions, UserNid};
use haechi_store::{
    Db, LockKey, Locks, StoreError, Tx, Work, sql,
    testing::{self, TestDb, store_test},
};
use ruma::{
    CanonicalJsonObject, OwnedUserId, ServerName,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value as Json, json};

use crate::{Keys, KeysUpload, SCHEMA, UserRef, caches::Caches};

sql!(
    ADD_DEVICE,
    "INSERT INTO device (nid, device_id, display_name, created_ms) VALUES (?1, ?2, ?3, 0)"
);

struct AddDevice(UserNid, &'static str, Option<&'static str>);

impl Work for AddDevice {
    const NAME: &'static str = "test.add_device";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.0))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.exec_one(&ADD_DEVICE, &[self.0.into(), self.1.into(), self.2.into()]).await
    }
}

/// A database with two users, Ari and Bom, with two devices each.
struct World {
    db: Db,
    keys: Keys,
    clock: Clock,
    ari: UserRef,
    bom: UserRef,
}

impl World {
    async fn new(db: &TestDb) -> Self {
        let db = Db::clone(db);
        let clock = Clock::manual(Millis(1_000_000_000_000));
        let keys = Keys::new(db.clone(), clock.clone());
        let (ari, bom) = (user(1, "@ari:x"), user(2, "@bom:x"));
        for (user, device, name) in [
            (&ari, "A1", Some("Ari's phone")),
            (&ari, "A2", None),
            (&bom, "B1", None),
            (&bom, "B2", None),
        ] {
            db.write(AddDevice(user.nid, device, name)).await.unwrap();
        }
        Self { db, keys, clock, ari, bom }
    }

    async fn delete_device(&self, user: &UserRef, device: &str) {
        let settings = AccountSettings::new(ServerName::parse("x").unwrap());
        let hooks = Arc::new(self.keys.clone());
        let accounts = Accounts::new(self.db.clone(), self.clock.clone(), settings, Some(hooks));
        accounts.delete_devices(user.nid, vec![device.to_owned()]).await.unwrap();
    }

    /// The same database with nothing in memory.
    fn restarted(&self) -> Keys {
        Keys { caches: Arc::new(Caches::new()), ..self.keys.clone() }
    }

    fn now(&self) -> Positions {
        self.db.horizon().borrow().clone()
    }
}

fn user(nid: i64, id: &str) -> UserRef {
    UserRef { nid: UserNid(nid), id: OwnedUserId::try_from(id).unwrap() }
}

/// An ed25519 key that is called by its public half, or by another name.
struct TestKey {
    pair: Ed25519KeyPair,
    public: String,
}

impl TestKey {
    fn new() -> Self {
        let der = Ed25519KeyPair::generate();
        let public = Ed25519KeyPair::from_der(&der, String::new()).unwrap().public_key();
        let public = Base64::<Standard, _>::new(public).encode();
        Self { pair: Ed25519KeyPair::from_der(&der, public.clone()).unwrap(), public }
    }

    fn named(name: &str) -> Self {
        let der = Ed25519KeyPair::generate();
        let pair = Ed25519KeyPair::from_der(&der, name.to_owned()).unwrap();
        let public = Base64::<Standard, _>::new(pair.public_key()).encode();
        Self { pair, public }
    }

    fn sign(&self, user: &UserRef, value: &Json) -> String {
        let mut object: CanonicalJsonObject = serde_json::from_value(value.clone()).unwrap();
        sign_json(user.id.as_str(), &self.pair, &mut object).unwrap();
        serde_json::to_string(&object).unwrap()
    }
}

fn device_keys(user: &UserRef, device: &str, key: &str) -> Json {
    json!({
        "user_id": user.id, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("ed25519:{device}"): key }, "signatures": {}, "org.example.extra": [1, 2],
    })
}

fn one_time_keys(ids: &[&str], content: &str) -> KeysUpload {
    let key = |id: &&str| {
        let json = json!({ "key": format!("{id}-{content}"), "signatures": {} });
        (format!("signed_curve25519:{id}"), json.to_string())
    };
    KeysUpload { one_time_keys: ids.iter().map(key).collect(), ..KeysUpload::default() }
}

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn both_engines_understand_all_statements_alike(db: TestDb) {
    testing::check_statements(&db).await;
}
