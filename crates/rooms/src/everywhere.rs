//! What one user does in all rooms.

use haechi_base::RoomNid;
use serde_json::{Map, Value};

use crate::{Actor, MemberProfile, Membership, NewEvent, Result, Room, RoomError, Rooms, Standing};

/// Fields of a membership that are not repeated when only name or picture changed.
const OF_THE_MOMENT: &[&str] =
    &["displayname", "avatar_url", "reason", "join_authorised_via_users_server"];

impl Rooms {
    /// Shows the user's new name and picture in all rooms that he is in. A room that refuses is
    /// passed over.
    pub async fn show_profile(&self, actor: &Actor, profile: &MemberProfile) -> Result<()> {
        for standing in self.standings(actor.nid).await? {
            if standing.membership == Membership::Join {
                let shown = self.show_profile_in(standing.room, actor, profile).await;
                pass_over_refusals(standing.room, shown)?;
            }
        }
        Ok(())
    }

    async fn show_profile_in(
        &self,
        room: RoomNid,
        actor: &Actor,
        profile: &MemberProfile,
    ) -> Result<()> {
        let room = self.room(room).await?;
        let Some(content) = with_profile(&room, actor, profile) else { return Ok(()) };
        let event = NewEvent::state("m.room.member", actor.user_id.as_str(), &content);
        self.append(&room, actor, event, None).await.map(drop)
    }

    /// Leaves all rooms, declines all invitations and takes all knocks back. A room that refuses is
    /// passed over.
    pub async fn leave_all(&self, actor: &Actor) -> Result<()> {
        let is_in = |standing: &Standing| {
            matches!(standing.membership, Membership::Join | Membership::Invite | Membership::Knock)
        };
        for standing in self.standings(actor.nid).await?.into_iter().filter(is_in) {
            let room = self.room(standing.room).await?;
            let left = self.leave(&room, actor, None).await;
            pass_over_refusals(standing.room, left)?;
        }
        Ok(())
    }
}

/// The user's membership with another profile; `None` when nothing would change.
fn with_profile(room: &Room, actor: &Actor, profile: &MemberProfile) -> Option<Map<String, Value>> {
    let state = room.state();
    let before = state.get("m.room.member", actor.user_id.as_str())?;
    let before: Map<String, Value> = before.content_as().ok()?;
    let mut after = before.clone();
    after.retain(|field, _| !OF_THE_MOMENT.contains(&field.as_str()));
    after.extend(crate::membership::member_content("join", profile, None));
    let shown = |content: &Map<String, Value>| {
        (content.get("displayname").cloned(), content.get("avatar_url").cloned())
    };
    (shown(&before) != shown(&after)).then_some(after)
}

/// Trouble with the store ends the walk; a room's rules do not.
fn pass_over_refusals(room: RoomNid, done: Result<()>) -> Result<()> {
    match done {
        Err(error @ RoomError::Store(_)) => Err(error),
        Err(error) => {
            tracing::debug!(room = room.0, %error, "a room was passed over");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
