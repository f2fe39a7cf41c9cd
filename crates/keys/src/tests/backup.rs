//! Key backups: which copy of a session is kept, and what the etag tells.

use std::collections::BTreeMap;

use super::*;
use crate::{BackedUpSession, BackupScope, KeysError};

const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

fn session(room: &str, id: &str, verified: bool, index: u32, forwarded: u32) -> BackedUpSession {
    let json = json!({
        "first_message_index": index, "forwarded_count": forwarded, "is_verified": verified,
        "session_data": { "ciphertext": format!("{index}/{forwarded}") }, "more": 1,
    });
    BackedUpSession { room: room.to_owned(), session: id.to_owned(), json: json.to_string() }
}

async fn backup(world: &World) -> String {
    world.keys.create_backup(world.ari.nid, ALGORITHM, r#"{"public_key":"p"}"#).await.unwrap()
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn the_better_copy_is_kept_and_the_etag_tells(db: TestDb) {
    let world = World::new(&db).await;
    let nid = world.ari.nid;
    let version = backup(&world).await;
    // Uploaded one after the other under the same id: changed?, count.
    let table = [
        (session("!r:x", "s", false, 5, 5), true, 1),
        (session("!r:x", "s", false, 5, 5), false, 1),
        (session("!r:x", "s", false, 5, 4), true, 1),
        (session("!r:x", "s", false, 4, 9), true, 1),
        (session("!r:x", "s", false, 5, 0), false, 1),
        (session("!r:x", "s", true, 9, 9), true, 1),
        (session("!r:x", "s", false, 0, 0), false, 1),
        (session("!r:x", "t", false, 0, 0), true, 2),
    ];
    let mut kept = BTreeMap::new();
    let mut etag = world.keys.backup(nid, None).await.unwrap().state.etag;
    for (session, changes, count) in table {
        let step = format!("{session:?}");
        let (id, text) = (session.session.clone(), session.json.clone());
        let scope = BackupScope::Session(session.room.clone(), id.clone());
        let state = world.keys.put_backup_sessions(nid, &version, vec![session]).await.unwrap();
        assert_eq!((state.etag != etag, state.count), (changes, count), "{step}");
        assert_eq!(world.keys.backup(nid, Some(&version)).await.unwrap().state, state);
        etag = state.etag;
        if changes {
            kept.insert(id, text);
        }
        let stored = world.keys.backup_sessions(nid, &version, scope).await.unwrap();
        assert_eq!(Some(&stored[0].json), kept.get(&stored[0].session), "{step}");
    }
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn sessions_come_back_by_room_and_id_and_are_deleted_so(db: TestDb) {
    let world = World::new(&db).await;
    let nid = world.ari.nid;
    let version = backup(&world).await;
    let sessions = vec![
        session("!a:x", "s", true, 0, 0),
        session("!a:x", "t", true, 0, 0),
        session("!b:x", "s", true, 0, 0),
    ];
    let state = world.keys.put_backup_sessions(nid, &version, sessions.clone()).await.unwrap();
    assert_eq!(state.count, 3);
    let room = || BackupScope::Room("!a:x".to_owned());
    let one = || BackupScope::Session("!a:x".to_owned(), "t".to_owned());
    let get = |scope| world.keys.backup_sessions(nid, &version, scope);
    assert_eq!(get(BackupScope::All).await.unwrap(), sessions);
    assert_eq!(get(room()).await.unwrap(), sessions[..2]);
    assert_eq!(get(one()).await.unwrap(), sessions[1..2]);
    let delete = |scope| world.keys.delete_backup_sessions(nid, &version, scope);
    let first = delete(one()).await.unwrap();
    assert_eq!(first.count, 2);
    assert_ne!(first.etag, state.etag);
    assert_eq!(delete(one()).await.unwrap(), first, "nothing left to change");
    assert_eq!(delete(room()).await.unwrap().count, 1);
    assert_eq!(delete(BackupScope::All).await.unwrap().count, 0);
    assert_eq!(get(BackupScope::All).await.unwrap(), []);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn only_the_latest_version_takes_sessions(db: TestDb) {
    let world = World::new(&db).await;
    let nid = world.ari.nid;
    let put = |version: &str| {
        let version = version.to_owned();
        let keys = world.keys.clone();
        async move {
            let sessions = vec![session("!a:x", "s", true, 0, 0)];
            keys.put_backup_sessions(nid, &version, sessions).await
        }
    };
    assert!(matches!(put("1").await, Err(KeysError::NotFound(_))));
    let old = backup(&world).await;
    put(&old).await.unwrap();
    let new = backup(&world).await;
    assert_ne!(old, new);
    match put(&old).await {
        Err(KeysError::WrongBackupVersion { current }) => assert_eq!(current, new),
        other => panic!("{other:?}"),
    }
    for unknown in ["99", "x", ""] {
        assert!(matches!(put(unknown).await, Err(KeysError::NotFound(_))), "{unknown}");
    }
    assert_eq!(world.keys.backup(nid, None).await.unwrap().version, new);
    assert_eq!(world.keys.backup_sessions(nid, &old, BackupScope::All).await.unwrap().len(), 1);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn versions_are_updated_deleted_and_never_named_again(db: TestDb) {
    let world = World::new(&db).await;
    let nid = world.ari.nid;
    let keys = &world.keys;
    assert!(matches!(keys.delete_backup(nid, "1").await, Err(KeysError::NotFound(_))));
    let first = backup(&world).await;
    let second = backup(&world).await;
    let data = r#"{"public_key":"q","signatures":{"@ari:x":{"ed25519:A1":"s"}}}"#;
    keys.update_backup(nid, &second, ALGORITHM, data).await.unwrap();
    assert_eq!(keys.backup(nid, None).await.unwrap().auth_data, data);
    let refused = keys.update_backup(nid, &second, "m.other", data).await;
    assert!(matches!(refused, Err(KeysError::Invalid(_))));
    let sessions = (0..1_500).map(|id| session("!a:x", &id.to_string(), true, 0, 0)).collect();
    keys.put_backup_sessions(nid, &second, sessions).await.unwrap();
    for _ in 0..2 {
        keys.delete_backup(nid, &second).await.unwrap();
    }
    let gone = keys.backup_sessions(nid, &second, BackupScope::All).await;
    assert!(matches!(gone, Err(KeysError::NotFound(_))));
    assert_eq!(keys.backup(nid, None).await.unwrap().version, first);
    keys.purge().await.unwrap();
    assert_eq!(rows_left(&world).await, 0);
    let third = backup(&world).await;
    assert!(third != first && third != second);
}

sql!(ROWS, "SELECT COUNT(*) FROM backup_session WHERE user_nid > 0");

async fn rows_left(world: &World) -> i64 {
    struct Count;
    impl Work for Count {
        const NAME: &'static str = "test.count";
        type Out = i64;
        async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
            Ok(tx.one::<(i64,)>(&ROWS, &[]).await?.0)
        }
    }
    world.db.read(Count).await.unwrap()
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn what_is_no_session_is_refused(db: TestDb) {
    let world = World::new(&db).await;
    let version = backup(&world).await;
    for bad in [
        "1",
        "{}",
        r#"{"first_message_index":-1,"forwarded_count":0,"is_verified":true,"session_data":{}}"#,
        r#"{"first_message_index":0,"forwarded_count":0,"is_verified":1,"session_data":{}}"#,
        r#"{"first_message_index":0,"forwarded_count":0,"is_verified":true,"session_data":""}"#,
    ] {
        let session = BackedUpSession {
            room: "!a:x".to_owned(),
            session: "s".to_owned(),
            json: bad.to_owned(),
        };
        let refused = world.keys.put_backup_sessions(world.ari.nid, &version, vec![session]).await;
        assert!(matches!(refused, Err(KeysError::BadJson(_))), "{bad}");
    }
}
