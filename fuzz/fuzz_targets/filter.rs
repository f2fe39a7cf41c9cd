//! Filters come from clients.
#![no_main]

use haechi_matrix::filter::SyncFilter;
use libfuzzer_sys::fuzz_target;
use ruma::{api::client::filter::FilterDefinition, room_id, user_id};

fuzz_target!(|input: (&str, &str, &str)| {
    let (filter, kind, content) = input;
    let Ok(definition) = serde_json::from_str::<FilterDefinition>(filter) else { return };
    let Ok(filter) = SyncFilter::new(definition) else { return };
    let sender = user_id!("@u:d");
    for part in [&filter.presence, &filter.timeline, &filter.state, &filter.ephemeral] {
        let passes = part.passes(kind, sender, content) && part.passes_room(room_id!("!r:d"));
        assert!(!(passes && part.passes_none()));
        assert!(passes || !part.passes_all());
        assert!((1..=100).contains(&part.limit(10, 100)));
    }
});
