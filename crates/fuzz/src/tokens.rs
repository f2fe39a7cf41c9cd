//! Tokens come back from clients.

use std::{fmt::Display, str::FromStr};

use haechi_base::Positions;
use haechi_matrix::{
    RoomVersion,
    auth::{Membership, Visibility},
};
use haechi_push::NotificationToken;
use haechi_rooms::{DirectoryToken, HierarchyToken, PageToken, SearchToken, ThreadToken};
use haechi_sync::SyncToken;

/// Whatever is read is written so that it reads the same.
pub(crate) fn tokens(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    steady::<SyncToken>(text);
    steady::<PageToken>(text);
    steady::<ThreadToken>(text);
    steady::<HierarchyToken>(text);
    steady::<SearchToken>(text);
    steady::<DirectoryToken>(text);
    steady::<NotificationToken>(text);
    steady::<RoomVersion>(text);
    steady::<Membership>(text);
    steady::<Visibility>(text);
    if let Some(written) = haechi_sync::fuzz::pos(text) {
        assert_eq!(haechi_sync::fuzz::pos(&written).as_ref(), Some(&written));
    }
    if let Some(key) = haechi_blob::Key::parse(text) {
        assert_eq!(key.as_str(), text);
        assert!(!text.contains(['/', '.', '\\']));
    }
    if let Ok(positions) = text.parse::<Positions>() {
        let again: Positions = positions.to_string().parse().expect("it was written by us");
        assert_eq!(again, positions);
        assert!(positions.reaches(&again) && again.ranges_to(&positions).is_empty());
    }
}

fn steady<T: FromStr + Display>(text: &str) {
    let Ok(token) = text.parse::<T>() else { return };
    let written = token.to_string();
    let Ok(again) = written.parse::<T>() else { panic!("{text:?} is written {written:?}") };
    assert_eq!(again.to_string(), written, "{text:?}");
}
