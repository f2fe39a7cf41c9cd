//! Device keys and the announcements of their changes.

use super::*;
use crate::{Identities, KeysError, Wanted};

async fn upload(world: &World, device: &str, keys: &Json) -> Result<(), KeysError> {
    let upload = KeysUpload { device_keys: Some(keys.to_string()), ..KeysUpload::default() };
    world.keys.upload_keys(&world.ari, device, &upload).await.map(|_| ())
}

async fn query(world: &World, devices: &[&str]) -> Identities {
    let devices = devices.iter().map(|&device| device.to_owned()).collect();
    let wanted = [Wanted { user: world.ari.clone(), devices }];
    world.keys.identities(&world.bom, &wanted).await.unwrap()
}

async fn changed(world: &World, since: &Positions) -> Vec<UserNid> {
    let among = [world.ari.nid, world.bom.nid];
    let to = world.now();
    world.keys.device_lists_changed(world.bom.nid, since, &to, &among).await.unwrap()
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn device_keys_come_back_whole_and_with_the_devices_name(db: TestDb) {
    let world = World::new(&db).await;
    let mut keys = device_keys(&world.ari, "A1", "k1");
    keys["unsigned"] = json!({ "device_display_name": "forged" });
    upload(&world, "A1", &keys).await.unwrap();
    upload(&world, "A2", &device_keys(&world.ari, "A2", "k2")).await.unwrap();
    let all = query(&world, &[]).await.devices;
    assert_eq!(all.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["A1", "A2"]);
    keys["unsigned"] = json!({ "device_display_name": "Ari's phone" });
    assert_eq!(parsed(&all[0].2), keys);
    assert_eq!(parsed(&all[1].2), device_keys(&world.ari, "A2", "k2"));
    let one = query(&world, &["A2", "nowhere"]).await.devices;
    assert_eq!(one.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["A2"]);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn only_a_change_of_device_keys_is_announced(db: TestDb) {
    let world = World::new(&db).await;
    let keys = device_keys(&world.ari, "A1", "k1");
    let start = world.now();
    upload(&world, "A1", &keys).await.unwrap();
    assert_eq!(changed(&world, &start).await, [world.ari.nid]);
    let after = world.now();
    upload(&world, "A1", &keys).await.unwrap();
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&["A"], "x")).await.unwrap();
    assert_eq!(changed(&world, &after).await, []);
    world.delete_device(&world.ari, "A1").await;
    assert_eq!(changed(&world, &after).await, [world.ari.nid]);
    assert_eq!(query(&world, &[]).await.devices, []);
    let gone = world.now();
    world.delete_device(&world.ari, "A2").await;
    assert_eq!(changed(&world, &gone).await, [], "it had no keys");
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn keys_signed_by_an_old_identity_go_with_it(db: TestDb) {
    let world = World::new(&db).await;
    upload(&world, "A1", &device_keys(&world.ari, "A1", "k1")).await.unwrap();
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&["A"], "x")).await.unwrap();
    let mut second = one_time_keys(&["A", "B"], "y");
    second.device_keys = Some(device_keys(&world.ari, "A1", "k2").to_string());
    let counts = world.keys.upload_keys(&world.ari, "A1", &second).await.unwrap();
    assert_eq!(counts.one_time_keys["signed_curve25519"], 2);
    let remembered = world.keys.key_counts(world.ari.nid, "A1").await.unwrap();
    assert_eq!(*remembered, counts);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn device_list_changes_are_found_by_range_and_by_user_alike(db: TestDb) {
    let world = World::new(&db).await;
    let mut marks = vec![world.now()];
    let users: Vec<UserRef> = (10..30).map(|nid| user(nid, &format!("@u{nid}:x"))).collect();
    for one in &users {
        let upload = KeysUpload {
            device_keys: Some(device_keys(one, "D", "k").to_string()),
            ..KeysUpload::default()
        };
        world.keys.upload_keys(one, "D", &upload).await.unwrap();
        marks.push(world.now());
    }
    let to = world.now();
    let nids: Vec<UserNid> = users.iter().map(|one| one.nid).collect();
    for (index, since) in marks.iter().enumerate() {
        // Asked about many, few changed: by range. Asked about one, many changed: by user.
        let many = world.keys.device_lists_changed(world.bom.nid, since, &to, &nids).await.unwrap();
        assert_eq!(many, nids[index..]);
        for (place, nid) in nids.iter().enumerate() {
            let one = [*nid];
            let one = world.keys.device_lists_changed(world.bom.nid, since, &to, &one).await;
            assert_eq!(one.unwrap().len(), usize::from(place >= index));
        }
    }
}
