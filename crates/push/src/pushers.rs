//! Pushers: setting, listing, deleting them, and a memory of who has any.

use std::collections::HashMap;

use haechi_base::{Millis, UserNid};
use imbl::OrdSet;
use parking_lot::RwLock;
use ruma::api::client::push::{Pusher, PusherIds};

use crate::{
    Push, Result,
    model::{PusherNid, StoredPusher},
    rules::check_pusher,
    store::pushers::{DeletePusher, PushersOf, PutPusher},
};

/// Who has pushers. It may know of more than there are: the tables have the last word.
#[derive(Default)]
pub(crate) struct Registry(RwLock<HashMap<UserNid, Vec<Registered>>>);

/// A pusher, and since when it has been there: what happened before is not its business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) id: PusherNid,
    pub(crate) created: Millis,
}

impl Registry {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    pub(crate) fn add(&self, user: UserNid, pusher: Registered) {
        let mut users = self.0.write();
        let pushers = users.entry(user).or_default();
        if !pushers.contains(&pusher) {
            pushers.push(pusher);
        }
    }

    pub(crate) fn remove(&self, user: UserNid, id: PusherNid) {
        let mut users = self.0.write();
        if let Some(pushers) = users.get_mut(&user) {
            pushers.retain(|pusher| pusher.id != id);
            if pushers.is_empty() {
                users.remove(&user);
            }
        }
    }

    pub(crate) fn of(&self, user: UserNid) -> Vec<Registered> {
        self.0.read().get(&user).cloned().unwrap_or_default()
    }

    /// Those of `users` who have pushers.
    pub(crate) fn among(&self, users: &OrdSet<UserNid>) -> Vec<UserNid> {
        let registered = self.0.read();
        if registered.len() < users.len() {
            let mut found: Vec<_> =
                registered.keys().copied().filter(|user| users.contains(user)).collect();
            found.sort_unstable();
            return found;
        }
        users.iter().copied().filter(|user| registered.contains_key(user)).collect()
    }

    pub(crate) fn all(&self) -> Vec<(UserNid, Registered)> {
        let users = self.0.read();
        let pushers = users.iter();
        pushers.flat_map(|(user, list)| list.iter().map(|pusher| (*user, *pusher))).collect()
    }
}

impl Push {
    /// The user's pushers.
    pub async fn pushers(&self, user: UserNid) -> Result<Vec<Pusher>> {
        let pushers = self.0.db.read(PushersOf(user)).await?;
        Ok(pushers.into_iter().map(Pusher::from).collect())
    }

    /// Makes a pusher, or changes the user's one with the same ids. It ends with the device. Unless
    /// `append`, pushers of other users with the same ids end.
    pub async fn set_pusher(
        &self,
        user: UserNid,
        device_id: &str,
        pusher: Pusher,
        append: bool,
    ) -> Result<()> {
        let data = check_pusher(&pusher, self.0.schemes())?.clone();
        let pusher = StoredPusher {
            user,
            ids: pusher.ids,
            app_display_name: pusher.app_display_name,
            device_display_name: pusher.device_display_name,
            profile_tag: pusher.profile_tag,
            lang: pusher.lang,
            data,
            updated: self.0.clock.now(),
        };
        let work = PutPusher { pusher, device_id: device_id.to_owned(), append };
        let (id, created) = self.0.db.write(work).await??;
        self.0.registry.add(user, Registered { id, created });
        self.0.desks.wake(id);
        Ok(())
    }

    /// Deletes a pusher of the user, if it is there.
    pub async fn delete_pusher(&self, user: UserNid, ids: PusherIds) -> Result<()> {
        Ok(self.0.db.write(DeletePusher { user, ids }).await?)
    }
}
