//! To-device messages: exactly once.

use std::time::Duration;

use haechi_base::{LaneId, StreamPos};
use haechi_store::Value;

use super::*;
use crate::{KeysError, ToDeviceMessage, ToDeviceSend};

fn send(world: &World, txn: &str, to: &[(&UserRef, Option<&str>)]) -> ToDeviceSend {
    let message = |(user, device): &(&UserRef, Option<&str>)| ToDeviceMessage {
        user: user.nid,
        device: device.map(ToOwned::to_owned),
        content: json!({ "txn": txn }).to_string(),
    };
    ToDeviceSend {
        sender: world.ari.clone(),
        device: "A1".to_owned(),
        event_type: "m.test".to_owned(),
        txn_id: txn.to_owned(),
        messages: to.iter().map(message).collect(),
    }
}

async fn inbox(world: &World, user: &UserRef, device: &str, from: &Positions) -> Vec<String> {
    let to = world.now();
    let batch = world.keys.to_device_since(user.nid, device, from, &to, 1_000).await.unwrap();
    assert_eq!((batch.up_to, batch.limited), (to, false));
    let txn = |json: &String| {
        let event = parsed(json);
        assert_eq!((&event["type"], &event["sender"]), (&json!("m.test"), &json!("@ari:x")));
        event["content"]["txn"].as_str().unwrap().to_owned()
    };
    batch.events.iter().map(txn).collect()
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn messages_reach_the_devices_they_are_for(db: TestDb) {
    let world = World::new(&db).await;
    let start = world.now();
    let (ari, bom) = (&world.ari, &world.bom);
    let to = [(bom, Some("B1")), (bom, Some("nowhere")), (ari, None)];
    world.keys.send_to_device(send(&world, "t1", &to)).await.unwrap();
    world.keys.send_to_device(send(&world, "t2", &[(bom, None)])).await.unwrap();
    assert_eq!(inbox(&world, bom, "B1", &start).await, ["t1", "t2"]);
    assert_eq!(inbox(&world, bom, "B2", &start).await, ["t2"]);
    assert_eq!(inbox(&world, ari, "A1", &start).await, ["t1"]);
    assert_eq!(inbox(&world, ari, "A2", &start).await, ["t1"]);
    assert_eq!(inbox(&world, bom, "nowhere", &start).await, [""; 0]);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_request_sent_again_and_again_delivers_once(db: TestDb) {
    let world = Arc::new(World::new(&db).await);
    let start = world.now();
    let sends: Vec<_> = (0..200)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let txn = format!("t{}", number % 20);
                let send = send(&world, &txn, &[(&world.bom, None)]);
                world.keys.send_to_device(send).await.unwrap();
            })
        })
        .collect();
    for send in sends {
        send.await.unwrap();
    }
    let mut got = inbox(&world, &world.bom, "B1", &start).await;
    assert_eq!(got.len(), 20);
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), 20);
    // The id is the device's and the type's own.
    let mut other = send(&world, "t1", &[(&world.bom, Some("B1"))]);
    other.device = "A2".to_owned();
    world.keys.send_to_device(other).await.unwrap();
    assert_eq!(inbox(&world, &world.bom, "B1", &start).await.len(), 21);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn transaction_ids_are_forgotten_after_a_week(db: TestDb) {
    let world = World::new(&db).await;
    let start = world.now();
    for (days, expected) in [(0, 1), (6, 1), (2, 2)] {
        world.clock.advance(Duration::from_hours(24 * days));
        world.keys.purge().await.unwrap();
        let send = send(&world, "t", &[(&world.bom, Some("B1"))]);
        world.keys.send_to_device(send).await.unwrap();
        assert_eq!(inbox(&world, &world.bom, "B1", &start).await.len(), expected);
    }
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_device_reads_in_pages_and_what_it_has_read_is_deleted(db: TestDb) {
    let world = World::new(&db).await;
    let mut token = world.now();
    for number in 0..25 {
        let send = send(&world, &format!("t{number:02}"), &[(&world.bom, Some("B1"))]);
        world.keys.send_to_device(send).await.unwrap();
    }
    let to = world.now();
    let mut got = Vec::new();
    let mut pages = 0;
    loop {
        let keys = if pages % 2 == 0 { world.keys.clone() } else { world.restarted() };
        let batch = keys.to_device_since(world.bom.nid, "B1", &token, &to, 10).await.unwrap();
        pages += 1;
        assert!(batch.events.len() <= 10 && to.reaches(&batch.up_to));
        got.extend(batch.events);
        token = batch.up_to;
        keys.delete_to_device(world.bom.nid, "B1", &token).await.unwrap();
        if !batch.limited {
            break;
        }
    }
    assert_eq!((pages, got.len(), &token), (3, 25, &to));
    let distinct: std::collections::BTreeSet<&String> = got.iter().collect();
    assert_eq!(distinct.len(), 25);
    let start = Positions::default();
    assert_eq!(inbox(&world, &world.bom, "B1", &start).await, [""; 0], "deleted");
}

sql!(
    PUT,
    "INSERT INTO to_device (pos, user_nid, device_id, sent_at, json) VALUES (?1, ?2, 'B1', ?3, ?4)"
);

/// Messages for B1 as several committers left them: lane, place in it, time.
struct PutInLanes(UserNid, &'static [(u16, i64, i64)]);

impl Work for PutInLanes {
    const NAME: &'static str = "test.put_in_lanes";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for (lane, offset, sent_at) in self.1 {
            let pos = StreamPos::new(LaneId(*lane), *offset);
            let json = sent_at.to_string();
            let json = Value::Blob(json.as_bytes());
            tx.exec_one(&PUT, &[pos.into(), self.0.into(), (*sent_at).into(), json]).await?;
        }
        Ok(())
    }
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn what_went_through_several_lanes_comes_in_the_order_of_sending(db: TestDb) {
    let world = World::new(&db).await;
    let messages = &[(7, 1, 3), (7, 2, 6), (8, 1, 1), (8, 2, 4), (8, 3, 5), (9, 1, 2)];
    world.db.write(PutInLanes(world.bom.nid, messages)).await.unwrap();
    let mut to = Positions::default();
    for lane in 7..=9 {
        to.set(LaneId(lane), 10);
    }
    let mut token = Positions::default();
    for (expected, more) in [(["1", "2"], true), (["3", "4"], true), (["5", "6"], false)] {
        let keys = world.restarted();
        let batch = keys.to_device_since(world.bom.nid, "B1", &token, &to, 2).await.unwrap();
        assert_eq!((&*batch.events, batch.limited), (&expected.map(String::from)[..], more));
        token = batch.up_to;
    }
    assert_eq!(token, to);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn an_empty_mailbox_is_known_until_a_message_comes(db: TestDb) {
    let world = World::new(&db).await;
    let start = world.now();
    for round in 1..4 {
        assert_eq!(inbox(&world, &world.bom, "B1", &start).await.len(), round - 1);
        let send = send(&world, &format!("t{round}"), &[(&world.bom, None)]);
        world.keys.send_to_device(send).await.unwrap();
        assert_eq!(inbox(&world, &world.bom, "B1", &start).await.len(), round);
    }
    world.keys.delete_to_device(world.bom.nid, "B1", &world.now()).await.unwrap();
    assert_eq!(inbox(&world, &world.bom, "B1", &start).await, [""; 0]);
    world.keys.send_to_device(send(&world, "t9", &[(&world.bom, None)])).await.unwrap();
    assert_eq!(inbox(&world, &world.bom, "B1", &start).await, ["t9"]);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_mailbox_keeps_the_newest(db: TestDb) {
    let world = World::new(&db).await;
    let start = world.now();
    for number in 0..23 {
        world.clock.advance(Duration::from_millis(1));
        let mut batch = send(&world, &format!("t{number:02}"), &[]);
        batch.messages = vec![
            ToDeviceMessage {
                user: world.bom.nid,
                device: Some("B1".to_owned()),
                content: "{}".to_owned(),
            };
            500
        ];
        world.keys.send_to_device(batch).await.unwrap();
    }
    let to = world.now();
    let batch = world.keys.to_device_since(world.bom.nid, "B1", &start, &to, 20_000).await;
    let kept = batch.unwrap().events.len();
    assert!((10_000..=10_500).contains(&kept), "{kept}");
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_deleted_device_leaves_no_messages(db: TestDb) {
    let world = World::new(&db).await;
    let start = world.now();
    world.keys.send_to_device(send(&world, "t1", &[(&world.bom, None)])).await.unwrap();
    world.delete_device(&world.bom, "B1").await;
    assert_eq!(inbox(&world, &world.bom, "B1", &start).await, [""; 0]);
    assert_eq!(inbox(&world, &world.bom, "B2", &start).await, ["t1"]);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn what_is_no_message_is_refused(db: TestDb) {
    let world = World::new(&db).await;
    let large = json!({ "a": "x".repeat(70_000) }).to_string();
    for (content, expected) in [("[]", "object"), ("{", "EOF"), (&*large, "too large")] {
        let mut batch = send(&world, "t", &[(&world.bom, None)]);
        content.clone_into(&mut batch.messages[0].content);
        let refused = world.keys.send_to_device(batch).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let long = "t".repeat(256);
    let refused = world.keys.send_to_device(send(&world, &long, &[])).await;
    assert!(matches!(refused, Err(KeysError::Invalid(_))));
}
