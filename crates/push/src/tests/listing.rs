//! The list of notifications.

use haechi_rooms::ReceiptKind;
use haechi_store::testing::store_test;

use super::*;
use crate::NotificationKind::{self, Any, Highlight};

impl World {
    /// All pages of the list: event ids, newest first, with whether each was read.
    async fn listed(
        &self,
        user: &Actor,
        limit: usize,
        kind: NotificationKind,
    ) -> Vec<(String, bool)> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self.push.notifications(user.nid, from, limit, kind).await.unwrap();
            assert!(page.0.len() <= limit);
            all.extend(page.0.into_iter().map(|found| {
                assert!(!found.actions.is_empty());
                (found.notified.event.pdu.event_id().to_string(), found.notified.read)
            }));
            from = page.1;
            if from.is_none() {
                return all;
            }
        }
    }
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn notifications_are_listed_new_to_old_with_what_was_read(db: TestDb) {
    let world = World::over(db).await;
    let (ari, bom) = (world.user("ari").await, world.user("bom").await);
    let mut expected = Vec::new();
    let mut highlights = Vec::new();
    let rooms = [
        world.room(&[ari.clone(), bom.clone()]).await,
        world.room(&[ari.clone(), bom.clone()]).await,
    ];
    for number in 0..12 {
        world.clock.advance(Duration::from_secs(1));
        let room = &rooms[number % 2];
        let is_mention = number % 5 == 0;
        let content = if is_mention { mention(&[&bom.user_id]) } else { text("hello") };
        let event_id = world.say(room, &ari, content).await.to_string();
        let notice = json!({ "msgtype": "m.notice", "body": "not listed" });
        world.say(room, &ari, notice).await;
        if number == 6 {
            // What bom has read, and his own, which is not listed.
            let event_id = OwnedEventId::try_from(event_id.clone()).unwrap();
            world.rooms.set_receipt(room, &bom, ReceiptKind::Public, "", &event_id).await.unwrap();
        }
        let read = number % 2 == 0 && number <= 6;
        highlights.extend(is_mention.then(|| (event_id.clone(), read)));
        expected.push((event_id, read));
    }
    expected.reverse();
    highlights.reverse();
    for limit in [1, 5, 100] {
        assert_eq!(world.listed(&bom, limit, Any).await, expected, "pages of {limit}");
        assert_eq!(world.listed(&bom, limit, Highlight).await, highlights, "pages of {limit}");
        assert_eq!(world.listed(&ari, limit, Any).await, [], "one's own");
    }
    world.rooms.leave(&rooms[0], &bom, None).await.unwrap();
    assert_eq!(world.listed(&bom, 3, Any).await.len(), 6, "of rooms one is in");
}

#[test]
fn tokens_round_trip() {
    for text in ["n17_9", "n-1_0"] {
        assert_eq!(text.parse::<crate::NotificationToken>().unwrap().to_string(), text);
    }
    for bad in ["", "n", "n1", "n1_", "17_9", "nx_9"] {
        assert!(bad.parse::<crate::NotificationToken>().is_err(), "{bad}");
    }
}
