//! Presence events of an answer: of those with whom the viewer shares a room.

use std::{collections::BTreeSet, time::Duration};

use haechi_accounts::PresenceInfo;
use haechi_base::UserNid;
use ruma::{UserId, presence::PresenceState};
use serde_json::json;

use crate::{
    Inner, Result, SyncToken, Viewer,
    device_lists::DeviceWatch,
    room::raw,
    v3::{
        Pass,
        response::{Events, RawEvent},
    },
};

/// For up to so many users it is asked one by one whether the viewer shares a room with them.
const ASKED_ONE_BY_ONE: usize = 16;

impl Inner {
    /// Those whose presence the client does not know, as far as the memory of this node tells.
    pub(crate) fn presence_since(
        &self,
        known: &[UserNid],
        since: &SyncToken,
    ) -> impl Iterator<Item = UserNid> {
        // What was told by another run was forgotten with it: all of it must be told anew.
        let is_of_this_run = self.is_of_this_run(since);
        known.iter().copied().filter(move |user| {
            let now = self.presence.get(*user);
            now.is_some_and(|now| !is_of_this_run || !since.positions.covers(now.pos))
        })
    }

    /// Was this token given out by this run of this node?
    pub(crate) fn is_of_this_run(&self, token: &SyncToken) -> bool {
        let (run, _) = self.hub.typing_now();
        token.typing.is_some_and(|(other, _)| other == run)
    }

    /// What the client is to be told. `watch` has seen who came into the viewer's rooms.
    pub(crate) async fn presence_events(
        &self,
        pass: &Pass<'_>,
        watch: &DeviceWatch,
    ) -> Result<Events> {
        let (viewer, filter) = (&pass.request.viewer, &pass.request.filter.presence);
        if !self.presence.is_on() || filter.passes_none() {
            return Ok(Events::default());
        }
        let mut users: BTreeSet<UserNid> = if pass.is_initial {
            // Who knows nothing yet takes everybody to be away.
            let mut known = self.rooms.acquaintances(viewer.user).await?;
            known.retain(|user| self.presence.get(*user).is_some_and(|it| !is_plainly_away(&it)));
            known.into_iter().collect()
        } else {
            // Those met may have been met before, and been told of then.
            let mut users = self.met(watch).await?;
            users.extend(&pass.sorted.presence);
            self.keep_acquaintances(viewer, &mut users).await?;
            users
        };
        users.remove(&viewer.user);
        let users: Vec<UserNid> = users.into_iter().collect();
        let ids = self.users.ids_of(&users).await?;
        let wanted = users.iter().zip(&ids).filter(|(_, id)| filter.passes("m.presence", id, "{}"));
        let events = wanted.filter_map(|(user, id)| Some(event(id, &self.presence.get(*user)?)));
        Ok(Events { events: events.take(filter.limit(usize::MAX, usize::MAX)).collect() })
    }

    /// Those who are in the viewer's rooms and may not have been before.
    async fn met(&self, watch: &DeviceWatch) -> Result<BTreeSet<UserNid>> {
        let mut met = watch.entered.clone();
        for user in &watch.came {
            met.insert(self.users.nid_of(user).await?);
        }
        Ok(met)
    }

    async fn keep_acquaintances(
        &self,
        viewer: &Viewer,
        users: &mut BTreeSet<UserNid>,
    ) -> Result<()> {
        if users.len() > ASKED_ONE_BY_ONE {
            let known = self.rooms.acquaintances(viewer.user).await?;
            let known: BTreeSet<UserNid> = known.into_iter().collect();
            users.retain(|user| known.contains(user));
            return Ok(());
        }
        for user in users.clone() {
            if !self.rooms.share_a_room(viewer.user, user).await? {
                users.remove(&user);
            }
        }
        Ok(())
    }
}

/// Is it what anybody is of whom nothing is known?
fn is_plainly_away(info: &PresenceInfo) -> bool {
    info.state == PresenceState::Offline && info.status.is_none()
}

fn event(user: &UserId, info: &PresenceInfo) -> RawEvent {
    let mut content = json!({ "presence": info.state });
    if let Some(status) = &info.status {
        content["status_msg"] = json!(status);
    }
    if let Some(idle) = info.idle {
        content["last_active_ago"] = json!(millis(idle));
    }
    if info.state == PresenceState::Online {
        content["currently_active"] = json!(info.is_active);
    }
    raw(&json!({ "type": "m.presence", "sender": user, "content": content }))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
