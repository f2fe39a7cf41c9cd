//! What fuzz targets need to reach.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, ServerName};

use crate::rules;

/// The id of a new user.
pub fn new_user_id(localpart: &str, server: &ServerName) -> Option<OwnedUserId> {
    rules::new_user_id(localpart, server).ok()
}

/// The id of a user who types it at a login.
pub fn typed_user_id(name: &str, server: &ServerName) -> Option<OwnedUserId> {
    rules::typed_user_id(name, server)
}

/// What the directory finds a user by.
pub fn directory_words(localpart: &str, display_name: &str) -> BTreeSet<String> {
    rules::directory_words(localpart, Some(display_name))
}

/// What the directory looks for.
pub fn search_words(term: &str) -> Vec<String> {
    rules::search_words(term)
}
