//! One room of a sliding sync answer.

use std::{collections::BTreeSet, sync::Arc};

use haechi_base::{Millis, Positions, RoomNid};
use haechi_matrix::{auth::Membership, pdu::Pdu};
use haechi_rooms::{PageToken, Recent, Room, Snapshot, Standing, Stay};
use serde::Deserialize;

use super::{
    Pass,
    conn::{Conn, Sent},
    lists::Details,
    response::{self, Hero},
};
use crate::{
    Inner, Result, Viewer,
    room::{heroes, needs_heroes, state_event},
    v3::{changes_summary, stripped_state},
};

const MEMBER: &str = "m.room.member";

/// Members remembered as told for one room; after that some are told twice.
const MEMBERS_SENT_MAX: usize = 1_024;

/// What a joined room is to be shown with.
struct Wanted<'a> {
    timeline_limit: usize,
    /// State that the client has not asked for before.
    new: &'a [(String, String)],
}

impl Inner {
    /// `None` when there is nothing new in the room.
    pub(super) async fn sliding_room(
        &self,
        pass: &Pass<'_>,
        conn: &mut Conn,
        nid: RoomNid,
        details: &Details,
    ) -> Result<Option<response::Room>> {
        let known = conn.rooms.iter().flat_map(|rooms| rooms.iter());
        let standing = match known.into_iter().find(|standing| standing.room == nid) {
            Some(standing) => *standing,
            None => match self.rooms.standing(nid, pass.viewer().user).await? {
                // Forgotten since the client was told of it.
                Some(standing) if standing.forgotten => standing,
                _ => return Ok(None),
            },
        };
        let sent = self.told_of(pass, conn, &standing).await?;
        let known = sent.clone().unwrap_or_else(|| Sent::nothing(standing.membership));
        let is_new = |pair: &&(String, String)| !known.required.contains(pair);
        let new: Vec<_> = details.required.iter().filter(is_new).cloned().collect();
        if sent.is_some() {
            let news = pass.sorted.rooms.get(&nid);
            let more = details.timeline_limit > known.timeline_limit || !new.is_empty();
            let moved = news.is_some_and(|news| news.event || news.membership || news.read_state)
                || self.has_moved(nid, &known.until, &pass.until).await?;
            let read = news.is_some_and(|news| news.receipt);
            if !more && !moved && !read {
                return Ok(None);
            }
        }
        // What the client asked for once is kept up to date: it may look at it again.
        let required = if new.is_empty() {
            Arc::clone(&known.required)
        } else {
            known.required.iter().chain(&new).cloned().collect::<Vec<_>>().into()
        };
        let mut telling = Sent {
            until: pass.until.clone(),
            membership: standing.membership,
            timeline_limit: details.timeline_limit.max(known.timeline_limit),
            required,
            unread: (0, 0),
            members: known.members,
        };
        let room = self.rooms.room(nid).await?;
        let out = match standing.membership {
            Membership::Join => {
                let wanted = Wanted { timeline_limit: details.timeline_limit, new: &new };
                self.joined_room(pass, conn, &room, &wanted, sent.as_ref(), &mut telling).await?
            }
            Membership::Invite | Membership::Knock => {
                sent.is_none().then(|| invited_room(pass, &room))
            }
            Membership::Leave | Membership::Ban => {
                self.left_room(pass, &room, &standing, sent.as_ref()).await?
            }
        };
        if let Some(out) = &out {
            telling.unread = (out.notification_count, out.highlight_count);
            conn.sent.insert(nid, telling);
        }
        Ok(out)
    }

    /// What the client has been told of a room in which the user stands so. Nothing, where it is to
    /// see the room anew: after coming in, coming back, being invited after knocking, or being
    /// invited again.
    async fn told_of(
        &self,
        pass: &Pass<'_>,
        conn: &Conn,
        standing: &Standing,
    ) -> Result<Option<Sent>> {
        let Some(sent) = conn.sent.get(&standing.room) else { return Ok(None) };
        let has_left = matches!(standing.membership, Membership::Leave | Membership::Ban);
        if !has_left && sent.membership != standing.membership {
            return Ok(None);
        }
        if has_left || sent.until.covers(standing.pos) {
            return Ok(Some(sent.clone()));
        }
        if standing.membership == Membership::Join {
            let room = self.rooms.room(standing.room).await?;
            let since = self.rooms.seq_at(room.nid, &sent.until).await?;
            let stay = self.rooms.stay(&room, &pass.viewer().user_id, since, i64::MAX).await?;
            return Ok((stay == Stay::Unbroken).then(|| sent.clone()));
        }
        Ok(None)
    }

    /// Has the room a newer event than the client has been told?
    async fn has_moved(&self, nid: RoomNid, from: &Positions, to: &Positions) -> Result<bool> {
        if from == to {
            return Ok(false);
        }
        Ok(!from.covers(self.rooms.room(nid).await?.head_pos()))
    }

    async fn joined_room(
        &self,
        pass: &Pass<'_>,
        conn: &Conn,
        room: &Arc<Room>,
        wanted: &Wanted<'_>,
        sent: Option<&Sent>,
        telling: &mut Sent,
    ) -> Result<Option<response::Room>> {
        let viewer = pass.viewer();
        let expanded = sent.is_some_and(|sent| wanted.timeline_limit > sent.timeline_limit);
        let beginning = Positions::default();
        let from = match sent {
            Some(sent) if !expanded => &sent.until,
            _ => &beginning,
        };
        let limit = wanted.timeline_limit.max(sent.map_or(0, |sent| sent.timeline_limit.min(1)));
        let mut recent = self.rooms.timeline(room, from, &pass.until, limit).await?;
        if sent.is_none() || expanded {
            recent.events = self.rooms.visible(room, &viewer.user_id, recent.events).await?;
        }
        self.drop_ignored(viewer, &mut recent.events).await?;
        let snapshot = room.snapshot();
        let state =
            self.required_state(pass, room, &snapshot, wanted.new, sent, &recent, telling).await?;
        let unread = self.rooms.unread(room, viewer.user).await?.overall();
        if sent.is_some_and(|sent| sent.unread == unread)
            && recent.events.is_empty()
            && state.is_empty()
        {
            return Ok(None);
        }
        let first = recent.events.first().map_or(snapshot.seq + 1, |event| event.seq);
        let known = sent
            .map(|sent| &sent.until)
            .or_else(|| pass.since.as_ref().map(|since| &since.positions));
        let live = known.map_or(0, |known| {
            recent.events.iter().filter(|event| !known.covers(event.pos)).count()
        });
        let shows_members = sent.is_none()
            || recent.limited
            || recent.events.iter().any(|event| changes_summary(&event.pdu));
        // What the client has been told is taken back by `null`, not by silence.
        let told = |text: Option<String>| (text.is_some() || sent.is_some()).then_some(text);
        let is_dm = conn.direct.iter().any(|direct| direct.contains(&room.room_id));
        Ok(Some(response::Room {
            name: told(name_of(&snapshot)),
            avatar: told(text_of(&snapshot, "m.room.avatar", "url")),
            initial: sent.is_none().then_some(true),
            is_dm: is_dm.then_some(true),
            invite_state: None,
            notification_count: unread.0,
            highlight_count: unread.1,
            prev_batch: (!recent.events.is_empty() || recent.limited)
                .then(|| PageToken(first - 1).to_string()),
            limited: recent.limited,
            expanded: expanded.then_some(true),
            timeline: self.events_for(viewer, room, &recent.events).await?,
            required_state: state.iter().map(|pdu| state_event(room, pdu)).collect(),
            joined_count: shows_members.then_some(snapshot.joined.len() as u64),
            invited_count: shows_members.then(|| u64::try_from(snapshot.invited).unwrap_or(0)),
            num_live: Some(live as u64),
            bump_stamp: Some(snapshot.bump_at.0),
            heroes: (shows_members && needs_heroes(&snapshot))
                .then(|| shown_heroes(&snapshot, viewer)),
        }))
    }

    /// The state asked for: all of it at first, then what changed.
    #[expect(clippy::too_many_arguments, reason = "all that the state depends on")]
    async fn required_state(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        snapshot: &Snapshot,
        new: &[(String, String)],
        sent: Option<&Sent>,
        recent: &Recent,
        telling: &mut Sent,
    ) -> Result<Vec<Arc<Pdu>>> {
        let me = pass.viewer().user_id.as_str();
        let required = &telling.required;
        let lazy = required.iter().any(|(kind, key)| kind == MEMBER && key == "$LAZY");
        let mut state = matching(snapshot, new, me);
        let touched =
            recent.limited || recent.events.iter().any(|event| event.pdu.state_key().is_some());
        if let Some(sent) = sent.filter(|_| touched) {
            let since = self.rooms.seq_at(room.nid, &sent.until).await?;
            let changed = self.rooms.state_changes(room, since, i64::MAX).await?;
            state.extend(changed.iter().map(Arc::clone).filter(|pdu| {
                is_wanted(required, pdu, me) || (lazy && is_member(pdu) && recent.limited)
            }));
        }
        if lazy {
            let mut users: BTreeSet<&str> =
                recent.events.iter().map(|event| event.pdu.sender().as_str()).collect();
            let targets = recent.events.iter().filter(|event| is_member(&event.pdu));
            users.extend(targets.filter_map(|event| event.pdu.state_key()));
            if telling.members.len() >= MEMBERS_SENT_MAX {
                telling.members.clear();
            }
            for user in users {
                let given = state.iter().any(|pdu| is_member(pdu) && pdu.state_key() == Some(user));
                let is_new = telling.members.insert(user.into()).is_none();
                if !given
                    && is_new
                    && let Some(pdu) = snapshot.state.get(MEMBER, user)
                {
                    state.push(Arc::clone(pdu));
                }
            }
        }
        Ok(state)
    }

    /// A room that the user has left since the client was told of it: the leave, once.
    async fn left_room(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        standing: &Standing,
        sent: Option<&Sent>,
    ) -> Result<Option<response::Room>> {
        let Some(sent) = sent else { return Ok(None) };
        if sent.until.covers(standing.pos) {
            return Ok(None);
        }
        let viewer = pass.viewer();
        let mut recent = self.rooms.up_to(room, standing.seq, sent.timeline_limit.max(1)).await?;
        recent.events.retain(|event| !sent.until.covers(event.pos));
        self.drop_ignored(viewer, &mut recent.events).await?;
        recent.events = self.rooms.visible(room, &viewer.user_id, recent.events).await?;
        let own = self.rooms.up_to(room, standing.seq, 1).await?.events;
        let first = recent.events.first().map_or(standing.seq + 1, |event| event.seq);
        Ok(Some(response::Room {
            prev_batch: Some(PageToken(first - 1).to_string()),
            timeline: self.events_for(viewer, room, &recent.events).await?,
            required_state: own.iter().map(|event| state_event(room, &event.pdu)).collect(),
            num_live: Some(recent.events.len() as u64),
            ..response::Room::default()
        }))
    }
}

fn invited_room(pass: &Pass<'_>, room: &Room) -> response::Room {
    let snapshot = room.snapshot();
    response::Room {
        initial: Some(true),
        invite_state: Some(stripped_state(room, pass.viewer()).events),
        name: text_of(&snapshot, "m.room.name", "name").map(Some),
        avatar: text_of(&snapshot, "m.room.avatar", "url").map(Some),
        bump_stamp: Some(bump_at(room, pass.viewer(), Membership::Invite).0),
        ..response::Room::default()
    }
}

/// When something last happened in the room that lifts it in the viewer's list. Who is not in it
/// does not learn when somebody speaks there.
pub(super) fn bump_at(room: &Room, viewer: &Viewer, membership: Membership) -> Millis {
    let live = room.bump_at();
    if membership == Membership::Join {
        return live;
    }
    let state = room.state();
    let own = state.get(MEMBER, viewer.user_id.as_str());
    own.map_or(live, |pdu| Millis(pdu.origin_server_ts()))
}

fn is_member(pdu: &Pdu) -> bool {
    *pdu.kind() == ruma::events::TimelineEventType::RoomMember
}

fn is_wanted(required: &[(String, String)], pdu: &Pdu, me: &str) -> bool {
    let kind = pdu.kind().to_string();
    let key = pdu.state_key().unwrap_or_default();
    required.iter().any(|(wanted, wanted_key)| {
        (wanted == "*" || *wanted == kind)
            && match wanted_key.as_str() {
                "*" => true,
                "$ME" => key == me,
                "$LAZY" => false,
                exact => exact == key,
            }
    })
}

/// The current state that matches, each event once.
fn matching(snapshot: &Snapshot, required: &[(String, String)], me: &str) -> Vec<Arc<Pdu>> {
    if required.iter().any(|(kind, _)| kind == "*") {
        return snapshot.state.iter().filter(|pdu| is_wanted(required, pdu, me)).cloned().collect();
    }
    let mut found: Vec<Arc<Pdu>> = Vec::new();
    let mut add = |pdu: &Arc<Pdu>| {
        if !found.iter().any(|known| known.event_id() == pdu.event_id()) {
            found.push(Arc::clone(pdu));
        }
    };
    for (kind, key) in required {
        match key.as_str() {
            "*" => snapshot.state.of_type(kind).for_each(|(_, pdu)| add(pdu)),
            "$LAZY" => {}
            "$ME" => snapshot.state.get(kind, me).into_iter().for_each(&mut add),
            exact => snapshot.state.get(kind, exact).into_iter().for_each(&mut add),
        }
    }
    found
}

fn name_of(snapshot: &Snapshot) -> Option<String> {
    text_of(snapshot, "m.room.name", "name")
        .or_else(|| text_of(snapshot, "m.room.canonical_alias", "alias"))
}

fn text_of(snapshot: &Snapshot, kind: &str, field: &str) -> Option<String> {
    let content: serde_json::Value = snapshot.state.get(kind, "")?.content_as().ok()?;
    content[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn shown_heroes(snapshot: &Snapshot, viewer: &Viewer) -> Vec<Hero> {
    #[derive(Deserialize, Default)]
    struct Shown {
        displayname: Option<String>,
        avatar_url: Option<String>,
    }
    heroes(snapshot, &viewer.user_id)
        .into_iter()
        .map(|user_id| {
            let shown: Shown = snapshot
                .state
                .get(MEMBER, user_id.as_str())
                .and_then(|pdu| pdu.content_as().ok())
                .unwrap_or_default();
            Hero { user_id, displayname: shown.displayname, avatar_url: shown.avatar_url }
        })
        .collect()
}
