//! What one user does in all their rooms at once: appear otherwise, or leave.

use std::{future::Future, sync::Arc};

use haechi_base::RoomNid;
use haechi_matrix::auth::Membership;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::{
    Result, Room, RoomError, Rooms,
    append::NewEvent,
    membership::MemberProfile,
    model::{Actor, Standing},
};

/// Rooms that one request changes at the same time.
const ROOMS_AT_ONCE_MAX: usize = 16;

impl Rooms {
    /// Lets the user appear as `profile` says in all rooms that they have joined.
    ///
    /// Once begun it goes on when the caller gives up waiting. A room that refuses is left as it is.
    pub async fn show_everywhere(&self, actor: &Actor, profile: &MemberProfile) -> Result<()> {
        let joined = |standing: &Standing| standing.membership == Membership::Join;
        let profile = Arc::new(profile.clone());
        self.in_all_rooms(actor, joined, move |rooms, room, actor| {
            let profile = Arc::clone(&profile);
            async move { rooms.show(&room, &actor, &profile).await }
        })
        .await
    }

    /// Leaves all rooms, declines all invitations and takes all knocks back.
    ///
    /// Once begun it goes on when the caller gives up waiting. A room that refuses is left as it is.
    pub async fn leave_everywhere(&self, actor: &Actor) -> Result<()> {
        let inside = |standing: &Standing| {
            matches!(standing.membership, Membership::Join | Membership::Invite | Membership::Knock)
        };
        self.in_all_rooms(actor, inside, |rooms, room, actor| async move {
            rooms.leave(&room, &actor, None).await
        })
        .await
    }

    async fn show(&self, room: &Arc<Room>, actor: &Actor, profile: &MemberProfile) -> Result<()> {
        let user = actor.user_id.as_str();
        let state = room.state();
        let Some(member) = state.get("m.room.member", user) else { return Ok(()) };
        let mut content: Map<String, Value> = member.content_as().unwrap_or_default();
        if content.get("membership").is_none_or(|membership| membership != "join") {
            return Ok(());
        }
        // These belong to the moment of joining.
        content.remove("reason");
        content.remove("join_authorised_via_users_server");
        let fields = [("displayname", &profile.displayname), ("avatar_url", &profile.avatar_url)];
        for (name, value) in fields {
            match value {
                Some(value) => content.insert(name.to_owned(), value.as_str().into()),
                None => content.remove(name),
            };
        }
        let event = NewEvent::state("m.room.member", user, &content);
        self.append(room, actor, event, None).await.map(drop)
    }

    async fn in_all_rooms<F, Fut>(
        &self,
        actor: &Actor,
        wanted: impl Fn(&Standing) -> bool,
        change: F,
    ) -> Result<()>
    where
        F: Fn(Rooms, Arc<Room>, Actor) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let standings = self.standings(actor.nid).await?;
        let nids: Vec<RoomNid> =
            standings.iter().filter(|standing| wanted(standing)).map(|one| one.room).collect();
        let (rooms, actor, change) = (self.clone(), actor.clone(), Arc::new(change));
        let all = tokio::spawn(async move {
            let mut running = JoinSet::new();
            let mut outcome = Ok(());
            for nid in nids {
                if running.len() == ROOMS_AT_ONCE_MAX {
                    outcome = outcome.and(finished(running.join_next().await));
                }
                let (rooms, actor, change) = (rooms.clone(), actor.clone(), Arc::clone(&change));
                running.spawn(async move {
                    let room = rooms.room(nid).await?;
                    change(rooms, room, actor).await
                });
            }
            while let Some(one) = running.join_next().await {
                outcome = outcome.and(finished(Some(one)));
            }
            outcome
        });
        match all.await {
            Ok(outcome) => outcome,
            // The runtime stops.
            Err(_) => Err(RoomError::Contended),
        }
    }
}

/// What came of one room. Refusals concern that room alone; a store that fails concerns all.
fn finished(
    outcome: Option<std::result::Result<Result<()>, tokio::task::JoinError>>,
) -> Result<()> {
    match outcome {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error @ (RoomError::Store(_) | RoomError::Contended)))) => Err(error),
        Some(Ok(Err(error))) => {
            tracing::debug!(%error, "a room was left as it is");
            Ok(())
        }
        Some(Err(error)) => {
            tracing::error!(%error, "a room was not changed");
            Ok(())
        }
    }
}
