//! Dehydrated devices.

use super::*;
use crate::{DehydratedDevice, DehydratedUpload, KeysError, ToDeviceMessage, ToDeviceSend, Wanted};

fn upload(world: &World, device: &str) -> DehydratedUpload {
    let mut keys = one_time_keys(&["A"], device);
    keys.device_keys = Some(device_keys(&world.ari, device, "k").to_string());
    DehydratedUpload {
        device: DehydratedDevice {
            device: device.to_owned(),
            data: json!({ "algorithm": "org.matrix.msc3814.v2", "more": 1 }).to_string(),
        },
        display_name: Some("Dehydrated".to_owned()),
        keys,
    }
}

async fn visible(world: &World) -> Vec<(String, Json)> {
    let wanted = [Wanted { user: world.ari.clone(), devices: Vec::new() }];
    let seen = world.keys.identities(&world.bom, &wanted).await.unwrap();
    seen.devices.into_iter().map(|(_, id, json)| (id, parsed(&json)["unsigned"].clone())).collect()
}

async fn message(world: &World, txn: &str) {
    let send = ToDeviceSend {
        sender: world.bom.clone(),
        device: "B1".to_owned(),
        event_type: "m.room.encrypted".to_owned(),
        txn_id: txn.to_owned(),
        messages: vec![ToDeviceMessage {
            user: world.ari.nid,
            device: None,
            content: "{}".to_owned(),
        }],
    };
    world.keys.send_to_device(send).await.unwrap();
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_dehydrated_device_receives_until_it_is_replaced(db: TestDb) {
    let world = World::new(&db).await;
    let nid = world.ari.nid;
    let none = world.keys.dehydrated_device(nid).await;
    assert!(matches!(none, Err(KeysError::NotFound(_))));
    let first = upload(&world, "D1");
    world.keys.put_dehydrated_device(&world.ari, first.clone()).await.unwrap();
    assert_eq!(world.keys.dehydrated_device(nid).await.unwrap(), first.device);
    let named = json!({ "device_display_name": "Dehydrated" });
    assert_eq!(visible(&world).await, [("D1".to_owned(), named.clone())]);

    let start = Positions::default();
    message(&world, "t1").await;
    for _ in 0..2 {
        let batch = world.keys.dehydrated_device_events(nid, "D1", &start).await.unwrap();
        assert_eq!(batch.events.len(), 1, "reading does not delete");
        let rest = world.keys.dehydrated_device_events(nid, "D1", &batch.up_to).await.unwrap();
        assert_eq!(rest.events.len(), 0);
    }
    let other = world.keys.dehydrated_device_events(nid, "A1", &start).await;
    assert!(matches!(other, Err(KeysError::Forbidden(_))));

    world.keys.put_dehydrated_device(&world.ari, upload(&world, "D2")).await.unwrap();
    assert_eq!(visible(&world).await, [("D2".to_owned(), named)]);
    let batch = world.keys.dehydrated_device_events(nid, "D2", &start).await.unwrap();
    assert_eq!(batch.events.len(), 0);
    assert_eq!(
        world.keys.key_counts(nid, "D1").await.unwrap().one_time_keys["signed_curve25519"],
        0
    );

    assert_eq!(world.keys.delete_dehydrated_device(nid).await.unwrap(), "D2");
    assert_eq!(visible(&world).await, []);
    let gone = world.keys.delete_dehydrated_device(nid).await;
    assert!(matches!(gone, Err(KeysError::NotFound(_))));
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn the_same_device_may_be_put_again(db: TestDb) {
    let world = World::new(&db).await;
    for content in ["x", "y"] {
        let mut again = upload(&world, "D1");
        again.keys.one_time_keys = one_time_keys(&["A"], content).one_time_keys;
        world.keys.put_dehydrated_device(&world.ari, again).await.unwrap();
    }
    let counts = world.keys.key_counts(world.ari.nid, "D1").await.unwrap();
    assert_eq!(counts.one_time_keys["signed_curve25519"], 1);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_dehydrated_device_needs_keys_and_an_id_of_its_own(db: TestDb) {
    let world = World::new(&db).await;
    let refused = world.keys.put_dehydrated_device(&world.ari, upload(&world, "A1")).await;
    assert!(matches!(refused, Err(KeysError::Invalid(_))));
    let mut bare = upload(&world, "D1");
    bare.keys.device_keys = None;
    let refused = world.keys.put_dehydrated_device(&world.ari, bare).await;
    assert!(matches!(refused, Err(KeysError::Invalid(_))));
    let mut foreign = upload(&world, "D1");
    foreign.keys.device_keys = Some(device_keys(&world.bom, "D1", "k").to_string());
    let refused = world.keys.put_dehydrated_device(&world.ari, foreign).await;
    assert!(matches!(refused, Err(KeysError::Invalid(_))));
}
