//! Gateways are told of what notifies, and told again until they take it.

use haechi_rooms::{MemberChange, Membership, ReceiptKind};
use haechi_store::{Locks, StoreError, Tx, Work, testing::store_test};
use ruma::{
    api::client::push::PusherIds,
    push::{NewPushRule, NewSimplePushRule, PushFormat},
};

use super::{
    gateway::{Gateway, Reply},
    *,
};
use crate::{
    PushError, PushSettings, Refusal, delete_pushers,
    gateway::{Answer, Gateways},
};

/// Ari and Bom in a room; Bom has a pusher.
struct Scene {
    world: World,
    gateway: Gateway,
    ari: Actor,
    bom: Actor,
    room: Arc<Room>,
}

impl Scene {
    async fn new(db: TestDb, format: Option<PushFormat>) -> Self {
        let world = World::over(db).await;
        let gateway = Gateway::start().await;
        let (ari, bom) = (world.user("ari").await, world.user("bom").await);
        let room = world.room(&[ari.clone(), bom.clone()]).await;
        let pusher = gateway.pusher("bom's phone", format);
        world.push.set_pusher(bom.nid, "D", pusher, false).await.unwrap();
        Self { world, gateway, ari, bom, room }
    }

    async fn say(&self, body: &str) -> String {
        self.world.say(&self.room, &self.ari, text(body)).await.to_string()
    }

    async fn read(&self, event_id: &str) {
        let event_id = OwnedEventId::try_from(event_id).unwrap();
        let (room, kind) = (&self.room, ReceiptKind::Private);
        self.world.rooms.set_receipt(room, &self.bom, kind, "", &event_id).await.unwrap();
    }

    /// The server is killed, or stopped in good order, and started again.
    async fn restarted(mut self, killed: bool) -> Self {
        self.world = if killed { self.world.killed().await } else { self.world.restarted().await };
        self.room = self.world.rooms.room(self.room.nid).await.unwrap();
        self
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn a_gateway_is_told_what_a_client_shows(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    scene.world.say(&scene.room, &scene.bom, text("mine")).await;
    let event_id = scene.say("hello").await;
    let told = scene.gateway.next().await;
    let updated = told["devices"][0]["pushkey_ts"].clone();
    assert!(updated.is_u64());
    assert_eq!(
        told,
        json!({
            "event_id": event_id, "room_id": scene.room.room_id, "type": "m.room.message",
            "sender": "@ari:haechi.example", "sender_display_name": "ari",
            "content": { "msgtype": "m.text", "body": "hello" }, "counts": { "unread": 1 },
            "devices": [{
                "app_id": "org.example.app", "pushkey": "bom's phone", "pushkey_ts": updated,
                "data": { "own": "thing" }, "tweaks": { "sound": "default" },
            }],
        })
    );
    let event_id = scene.world.say(&scene.room, &scene.ari, mention(&[&scene.bom.user_id])).await;
    let told = scene.gateway.next().await;
    assert_eq!(told["event_id"], event_id.as_str());
    assert_eq!(told["devices"][0]["tweaks"]["highlight"], true);
    assert_eq!(told["counts"]["unread"], 2);
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn a_gateway_may_be_told_the_id_only(db: TestDb) {
    let mut scene = Scene::new(db, Some(PushFormat::EventIdOnly)).await;
    let event_id = scene.say("secret").await;
    let told = scene.gateway.next().await;
    assert_eq!(told["event_id"], event_id);
    assert_eq!(told["devices"][0]["data"]["format"], "event_id_only");
    assert!(!told.to_string().contains("secret"));
    for field in ["type", "sender", "content", "room_name"] {
        assert!(told.get(field).is_none(), "{field}");
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn a_muted_room_stays_silent_and_an_invitation_does_not(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    let mute = NewSimplePushRule::new(scene.room.room_id.clone(), vec![]);
    let (bom, push) = (&scene.bom, &scene.world.push);
    push.set_rule(bom.nid, &bom.user_id, NewPushRule::Room(mute), None, None).await.unwrap();
    scene.say("nobody hears this").await;
    let other = scene.world.room(std::slice::from_ref(&scene.ari)).await;
    let change = MemberChange {
        target: bom.user_id.clone(),
        profile: MemberProfile::default(),
        reason: None,
        is_direct: false,
    };
    let rooms = &scene.world.rooms;
    let invite = rooms.change_member(&other, &scene.ari, Membership::Invite, &change).await;
    let told = scene.gateway.next().await;
    assert_eq!(told["event_id"], invite.unwrap().as_str());
    assert_eq!(told["user_is_target"], true);
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn what_was_not_taken_is_told_again(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    scene.gateway.reply([Reply::Status(503), Reply::Status(502)]);
    let event_id = scene.say("hello").await;
    for _ in 0..3 {
        assert_eq!(scene.gateway.next_event().await, event_id);
    }
    let next = scene.say("and on").await;
    assert_eq!(scene.gateway.next_event().await, next, "taken once, told no more");
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn what_can_never_be_taken_holds_nothing_up(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    scene.gateway.reply([Reply::Status(400)]);
    let bad = scene.say("hello").await;
    let good = scene.say("and on").await;
    assert_eq!(scene.gateway.next_event().await, bad);
    assert_eq!(scene.gateway.next_event().await, good);
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn what_was_not_taken_is_told_after_a_restart(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    for killed in [false, true] {
        scene.gateway.usually(Reply::Status(503));
        let event_id = scene.say("hello").await;
        while scene.gateway.next_event().await != event_id {}
        scene = scene.restarted(killed).await;
        scene.gateway.usually(Reply::Status(200));
        while scene.gateway.next_event().await != event_id {}
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn what_was_on_its_way_when_the_server_was_killed_is_told_again(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    scene.gateway.reply([Reply::Silence]);
    let event_id = scene.say("hello").await;
    assert_eq!(scene.gateway.next_event().await, event_id);
    let mut scene = scene.restarted(true).await;
    assert_eq!(scene.gateway.next_event().await, event_id);
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn of_much_that_was_missed_the_newest_is_told_in_order(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    scene.gateway.usually(Reply::Status(503));
    let mut sent = Vec::new();
    for number in 0..40 {
        sent.push(scene.say(&number.to_string()).await);
    }
    scene.gateway.next_event().await;
    scene.gateway.usually(Reply::Status(200));
    let (last, mut told) = (sent.last().unwrap().clone(), Vec::new());
    while told.last() != Some(&last) {
        told.push(scene.gateway.next_event().await);
    }
    // From the last repetition of an older one on, they come in order and none is left out.
    assert_eq!(told[told.len() - 10..], sent[sent.len() - 10..]);
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn a_rejected_pushkey_is_forgotten(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    scene.gateway.reply([Reply::Reject("bom's phone")]);
    let first = scene.say("hello").await;
    assert_eq!(scene.gateway.next_event().await, first);
    while !scene.world.push.pushers(scene.bom.nid).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    scene.say("nobody hears this").await;
    let pusher = scene.gateway.pusher("another phone", None);
    scene.world.push.set_pusher(scene.bom.nid, "D", pusher, false).await.unwrap();
    let heard = scene.say("this").await;
    loop {
        let told = scene.gateway.next().await;
        assert_eq!(told["devices"][0]["pushkey"], "another phone");
        if told["event_id"] == heard {
            return;
        }
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn the_badge_follows_what_is_read_elsewhere(db: TestDb) {
    let mut scene = Scene::new(db, None).await;
    let first = scene.say("one").await;
    assert_eq!(scene.gateway.next().await["counts"]["unread"], 1);
    let second = scene.say("two").await;
    assert_eq!(scene.gateway.next().await["counts"]["unread"], 2);
    for (event_id, unread) in [(first, 1), (second, 0)] {
        scene.read(&event_id).await;
        let told = scene.gateway.next().await;
        assert_eq!(told["counts"], json!({ "unread": unread }));
        assert!(told.get("event_id").is_none());
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn a_pushkey_belongs_to_one_user_unless_asked_otherwise(db: TestDb) {
    let scene = Scene::new(db, None).await;
    let (push, ari, bom) = (&scene.world.push, scene.ari.nid, scene.bom.nid);
    let count = async |user| push.pushers(user).await.unwrap().len();
    let pusher = || scene.gateway.pusher("bom's phone", None);
    push.set_pusher(ari, "D", pusher(), true).await.unwrap();
    assert_eq!((count(ari).await, count(bom).await), (1, 1));
    push.set_pusher(ari, "D", pusher(), false).await.unwrap();
    assert_eq!((count(ari).await, count(bom).await), (1, 0));
    let ids = PusherIds::new("bom's phone".to_owned(), "org.example.app".to_owned());
    push.delete_pusher(bom, ids.clone()).await.unwrap();
    assert_eq!(count(ari).await, 1, "not his to delete");
    push.delete_pusher(ari, ids).await.unwrap();
    assert_eq!(count(ari).await, 0);
}

struct LogOut(UserNid, &'static str);

impl Work for LogOut {
    const NAME: &'static str = "test.log_out";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(haechi_store::LockKey::User(self.0))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        delete_pushers(tx, self.0, &[self.1.to_owned()]).await
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn pushers_end_with_their_device(db: TestDb) {
    let scene = Scene::new(db, None).await;
    let (push, bom) = (&scene.world.push, scene.bom.nid);
    scene.world.db.write(LogOut(bom, "OTHER")).await.unwrap();
    assert_eq!(push.pushers(bom).await.unwrap().len(), 1);
    scene.world.db.write(LogOut(bom, "D")).await.unwrap();
    assert_eq!(push.pushers(bom).await.unwrap().len(), 0);
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn nobody_sets_a_pusher_who_was_just_logged_out(db: TestDb) {
    let scene = Scene::new(db, None).await;
    let (push, bom) = (&scene.world.push, scene.bom.nid);
    let pusher = scene.gateway.pusher("another phone", None);
    let error = push.set_pusher(bom, "GONE", pusher, false).await.unwrap_err();
    assert!(matches!(error, PushError::Refused(Refusal::LoggedOut)), "{error}");
    assert_eq!(push.pushers(bom).await.unwrap().len(), 1);
}

#[tokio::test]
async fn gateways_inside_the_own_network_are_not_called() {
    let gateway = Gateway::start().await;
    let url = format!("http://127.0.0.1:{}/_matrix/push/v1/notify", gateway.port);
    let gateways = Gateways::new(&PushSettings::STANDARD).unwrap();
    let answer = gateways.call(&url.parse().unwrap(), &json!({})).await;
    assert_eq!(answer, Answer::Later("refused: address".to_owned()));
}
