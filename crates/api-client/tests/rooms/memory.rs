//! Rooms in memory: as many as may be, and the others serve as well.

use haechi_store::testing::{TestDb, store_test};
use serde_json::json;

use crate::server::{CACHE_BYTES_MAX, Server};

/// Rooms that do not fit together.
const ROOMS: usize = 40;

/// Bytes of one message. Each is held twice: as it is stored, and as it is told.
const MESSAGE_BYTES: usize = 4_000;

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn memory_is_bounded_and_dropped_rooms_come_back(db: TestDb) {
    let server = Server::start(db).await;
    let alice = server.register("alice").await;
    let text =
        |room: usize, number: usize| format!("{room} {number} {}", "x".repeat(MESSAGE_BYTES));
    let mut rooms = Vec::new();
    for room in 0..ROOMS {
        let id = alice.create(json!({})).await;
        let (_, before) = server.rooms.kept_in_memory();
        for number in 0..10 {
            alice.say(&id, &text(room, number)).await;
        }
        if room == 0 {
            let (_, after) = server.rooms.kept_in_memory();
            // The last ones may not have been weighed yet.
            let grown = usize::try_from(after - before).unwrap();
            assert!(grown > 2 * 6 * MESSAGE_BYTES, "{before} to {after}");
        }
        let (kept, bytes) = server.rooms.kept_in_memory();
        assert!(bytes <= CACHE_BYTES_MAX, "{bytes} bytes in {kept} rooms");
        rooms.push(id);
    }
    let (kept, bytes) = server.rooms.kept_in_memory();
    assert!(kept > 0 && kept < ROOMS as u64, "{bytes} bytes in {kept} rooms");
    assert!(bytes > CACHE_BYTES_MAX / 2, "{bytes} bytes in {kept} rooms");

    for (room, id) in rooms.iter().enumerate() {
        alice.say(id, "more").await;
        let page = alice.get(&format!("/v3/rooms/{id}/messages?dir=b&limit=2")).await;
        assert_eq!(page["chunk"][0]["content"]["body"], "more");
        assert_eq!(page["chunk"][1]["content"]["body"], text(room, 9));
    }
    let sync = alice.get("/v3/sync").await;
    assert_eq!(sync["rooms"]["join"].as_object().unwrap().len(), ROOMS);
    assert!(server.rooms.kept_in_memory().1 <= CACHE_BYTES_MAX);
}
