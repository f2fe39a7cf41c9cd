//! Account data as clients see it.

use haechi_accounts::AccountDatum;
use haechi_push::push_rules_content;

use crate::{Viewer, room::account_data_event, v3::response::RawEvent};

/// The account's data of the types that are `wanted`. Push rules are shown with the server's own
/// rules in them, and at first to everybody, also to who never changed any.
pub(crate) fn global_events(
    viewer: &Viewer,
    data: &[AccountDatum],
    is_initial: bool,
    wanted: impl Fn(&str) -> bool,
) -> Vec<RawEvent> {
    const PUSH_RULES: &str = "m.push_rules";
    let push_rules =
        |stored| account_data_event(PUSH_RULES, &push_rules_content(&viewer.user_id, stored));
    let mut events = Vec::new();
    let mut has_push_rules = false;
    for datum in data.iter().filter(|datum| datum.room.is_none() && wanted(&datum.kind)) {
        if datum.kind == PUSH_RULES {
            has_push_rules = true;
            events.push(push_rules(Some(&datum.content)));
        } else {
            events.push(account_data_event(&datum.kind, &datum.content));
        }
    }
    if is_initial && !has_push_rules && wanted(PUSH_RULES) {
        events.push(push_rules(None));
    }
    events
}
