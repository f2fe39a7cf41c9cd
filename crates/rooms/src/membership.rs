//! Joining, leaving, inviting, knocking, kicking, banning.

use std::sync::Arc;

use haechi_base::{RoomNid, UserNid};
use haechi_matrix::auth::{JoinDecision, Membership};
use haechi_store::{Change, FromRow, LockKey, Locks, Result as StoreResult, Row, Tx, Work, sql};
use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde_json::{Map, Value};

use crate::{
    Result, Room, RoomError, Rooms,
    append::NewEvent,
    load::room_auth,
    model::{Actor, Standing, State},
    summary::join_rules,
};

/// How somebody appears in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberProfile {
    /// Name to be shown.
    pub displayname: Option<String>,
    /// Picture, an `mxc:` URI.
    pub avatar_url: Option<String>,
}

/// A change of somebody's membership by somebody else.
#[derive(Clone, Debug)]
pub struct MemberChange {
    /// Whose.
    pub target: OwnedUserId,
    /// How the target appears; for invitations.
    pub profile: MemberProfile,
    /// Why.
    pub reason: Option<String>,
    /// Is it an invitation to a direct chat?
    pub is_direct: bool,
}

pub(crate) fn member_content(
    membership: &str,
    profile: &MemberProfile,
    reason: Option<&str>,
) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("membership".to_owned(), membership.into());
    let fields = [
        ("displayname", profile.displayname.as_deref()),
        ("avatar_url", profile.avatar_url.as_deref()),
        ("reason", reason),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            content.insert(name.to_owned(), value.into());
        }
    }
    content
}

impl Rooms {
    /// Joins. Somebody who is in the room already stays as they are.
    pub async fn join(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        profile: &MemberProfile,
        reason: Option<&str>,
        extra: Map<String, Value>,
    ) -> Result<()> {
        let state = room.state();
        let before = state.membership(actor.user_id.as_str());
        if before == Membership::Join {
            return Ok(());
        }
        let mut content = extra;
        content.extend(member_content("join", profile, reason));
        content.remove("join_authorised_via_users_server");
        if let Some(authoriser) = self.authoriser(room, &state, actor, before).await? {
            let key = "join_authorised_via_users_server".to_owned();
            content.insert(key, authoriser.as_str().into());
        }
        let event = NewEvent::state("m.room.member", actor.user_id.as_str(), &content);
        self.append(room, actor, event, None).await.map(drop)
    }

    /// Who of the room lets the user in by a restricted join rule, if that is needed.
    async fn authoriser(
        &self,
        room: &Arc<Room>,
        state: &State,
        actor: &Actor,
        before: Membership,
    ) -> Result<Option<OwnedUserId>> {
        let rules = join_rules(state);
        if !rules.is_restricted(room.version) {
            return Ok(None);
        }
        let joined_rooms = self.joined_of(&rules, actor.nid).await?;
        let decision = rules
            .decide(room.version, before, |other| joined_rooms.iter().any(|room| room == other));
        if decision != JoinDecision::AllowedByRoom {
            return Ok(None);
        }
        let here: Vec<&UserId> = state
            .of_type("m.room.member")
            .filter(|(_, pdu)| crate::membership_of(pdu) == Membership::Join)
            .filter_map(|(user, _)| <&UserId>::try_from(user).ok())
            .filter(|user| user.server_name() == &*self.0.server_name)
            .collect();
        Ok(room_auth(room.version, state)
            .and_then(|auth| auth.authoriser(here).map(ToOwned::to_owned)))
    }

    /// Leaves, declines an invitation, or takes a knock back.
    pub async fn leave(&self, room: &Arc<Room>, actor: &Actor, reason: Option<&str>) -> Result<()> {
        match room.state().membership(actor.user_id.as_str()) {
            Membership::Leave | Membership::Ban => return Err(RoomError::not_joined()),
            Membership::Join | Membership::Invite | Membership::Knock => {}
        }
        let content = member_content("leave", &MemberProfile::default(), reason);
        let event = NewEvent::state("m.room.member", actor.user_id.as_str(), &content);
        self.append(room, actor, event, None).await.map(drop)
    }

    /// Asks to be let in.
    pub async fn knock(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        profile: &MemberProfile,
        reason: Option<&str>,
    ) -> Result<()> {
        let content = member_content("knock", profile, reason);
        let event = NewEvent::state("m.room.member", actor.user_id.as_str(), &content);
        self.append(room, actor, event, None).await.map(drop)
    }

    /// Invites, kicks (to [`Membership::Leave`]), bans or unbans somebody else.
    pub async fn change_member(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        to: Membership,
        change: &MemberChange,
    ) -> Result<OwnedEventId> {
        let mut content = member_content(to.as_str(), &change.profile, change.reason.as_deref());
        if change.is_direct {
            content.insert("is_direct".to_owned(), true.into());
        }
        let event = NewEvent::state("m.room.member", change.target.as_str(), &content);
        self.append(room, actor, event, None).await
    }

    /// What the user is in the room, and since which event; `None` for a stranger.
    pub async fn standing(&self, room: RoomNid, user: UserNid) -> Result<Option<Standing>> {
        Ok(self.0.db.read(StandingOf { room, user }).await?)
    }

    /// All rooms the user ever had to do with, but for those forgotten.
    pub async fn standings(&self, user: UserNid) -> Result<Vec<Standing>> {
        Ok(self.0.db.read(StandingsOf(user)).await?)
    }

    /// Hides a room that the user has left.
    pub async fn forget(&self, room: &Arc<Room>, user: UserNid) -> Result<()> {
        match self.standing(room.nid, user).await? {
            None => Err(RoomError::NO_ROOM),
            Some(Standing { membership: Membership::Leave | Membership::Ban, .. }) => {
                Ok(self.0.db.write(Forget { room: room.nid, user }).await?)
            }
            Some(_) => Err(RoomError::Invalid("leave the room before you forget it".to_owned())),
        }
    }

    /// Fails unless the user has joined the room.
    pub fn ensure_joined(room: &Room, user: UserNid) -> Result<()> {
        if room.live.read().joined.contains(&user) { Ok(()) } else { Err(RoomError::not_joined()) }
    }
}

sql!(
    STANDING,
    "SELECT room, membership, seq, pos, forgotten FROM member WHERE room = ?1 AND user_nid = ?2"
);
sql!(
    STANDINGS,
    "SELECT room, membership, seq, pos, forgotten FROM member
     WHERE user_nid = ?1 AND forgotten = 0"
);
sql!(MEMBER_FORGET, "UPDATE member SET forgotten = 1 WHERE room = ?1 AND user_nid = ?2");

impl FromRow for Standing {
    fn from_row(row: &Row<'_>) -> StoreResult<Self> {
        let membership: String = row.get(1)?;
        Ok(Self {
            room: row.get(0)?,
            membership: membership.parse().unwrap_or(Membership::Leave),
            seq: row.get(2)?,
            pos: row.get(3)?,
            forgotten: row.get(4)?,
        })
    }
}

struct StandingOf {
    room: RoomNid,
    user: UserNid,
}

impl Work for StandingOf {
    const NAME: &'static str = "rooms.standing";
    type Out = Option<Standing>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Option<Standing>> {
        tx.opt(&STANDING, &[self.room.into(), self.user.into()]).await
    }
}

struct StandingsOf(UserNid);

impl Work for StandingsOf {
    const NAME: &'static str = "rooms.standings";
    type Out = Vec<Standing>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<Standing>> {
        tx.all(&STANDINGS, &[self.0.into()]).await
    }
}

struct Forget {
    room: RoomNid,
    user: UserNid,
}

impl Work for Forget {
    const NAME: &'static str = "rooms.forget";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Room(self.room))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<()> {
        tx.put(&MEMBER_FORGET, &[self.room.into(), self.user.into()]).await?;
        tx.announce(Change::Membership(self.room, self.user))?;
        Ok(())
    }
}

sql!(
    ACQUAINTANCES,
    "SELECT DISTINCT b.user_nid FROM member a JOIN member b ON b.room = a.room
     WHERE a.user_nid = ?1 AND a.membership = 'join' AND b.membership = 'join'"
);

impl Rooms {
    /// Everyone who shares a room with the user, and the user.
    pub async fn acquaintances(&self, user: UserNid) -> Result<Vec<UserNid>> {
        let mut users = self.0.db.read(Acquaintances(user)).await?;
        if users.is_empty() {
            users.push(user);
        }
        Ok(users)
    }
}

struct Acquaintances(UserNid);

impl Work for Acquaintances {
    const NAME: &'static str = "rooms.acquaintances";
    type Out = Vec<UserNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<UserNid>> {
        let rows = tx.all::<(UserNid,)>(&ACQUAINTANCES, &[self.0.into()]).await?;
        Ok(rows.into_iter().map(|(user,)| user).collect())
    }
}
