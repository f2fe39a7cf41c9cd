//! Whose devices a client must look at again, because of who came and went.

use std::collections::BTreeSet;

use haechi_base::UserNid;
use haechi_matrix::pdu::Pdu;
use haechi_rooms::{Event, Membership, Room, membership_of};
use ruma::{OwnedUserId, UserId};

use crate::{Inner, Result, Viewer, v3::response::DeviceLists};

/// Collects whose devices changed while rooms are gone through.
#[derive(Debug, Default)]
pub(crate) struct DeviceWatch {
    changed: BTreeSet<UserNid>,
    pub(crate) came: BTreeSet<OwnedUserId>,
    /// Who is in the rooms that the viewer has come into, encrypted or not.
    pub(crate) entered: BTreeSet<UserNid>,
    went: BTreeSet<OwnedUserId>,
}

impl DeviceWatch {
    pub(crate) fn new(changed: BTreeSet<UserNid>) -> Self {
        Self { changed, ..Self::default() }
    }

    /// Takes in who came and went by these new events of a room that the viewer is in.
    pub(crate) fn members<'a>(
        &mut self,
        viewer: &UserId,
        events: impl IntoIterator<Item = &'a Event>,
    ) {
        for event in events {
            self.member(viewer, &event.pdu);
        }
    }

    /// Takes in who came or went by this event, if it is a membership.
    pub(crate) fn member(&mut self, viewer: &UserId, pdu: &Pdu) {
        if *pdu.kind() != ruma::events::TimelineEventType::RoomMember {
            return;
        }
        let Some(Ok(user)) = pdu.state_key().map(OwnedUserId::try_from) else { return };
        if user == *viewer {
            return;
        }
        match membership_of(pdu) {
            Membership::Join => drop(self.came.insert(user)),
            Membership::Leave | Membership::Ban => drop(self.went.insert(user)),
            Membership::Invite | Membership::Knock => {}
        }
    }

    /// Takes in everyone of a room that the viewer has come into.
    pub(crate) fn joined_room(&mut self, room: &Room) {
        let snapshot = room.snapshot();
        if snapshot.state.get("m.room.encryption", "").is_some() {
            self.changed.extend(snapshot.joined.iter().copied());
        }
        self.entered.extend(snapshot.joined.iter().copied());
    }

    /// Takes in everyone of a room that the viewer has left.
    pub(crate) fn left_room(&mut self, room: &Room) {
        for (user, pdu) in room.state().of_type("m.room.member") {
            if membership_of(pdu) == Membership::Join
                && let Ok(user) = OwnedUserId::try_from(user)
            {
                self.went.insert(user);
            }
        }
    }
}

impl Inner {
    /// The two lists for the answer.
    pub(crate) async fn device_lists(
        &self,
        viewer: &Viewer,
        watch: DeviceWatch,
    ) -> Result<DeviceLists> {
        let mut lists = DeviceLists::default();
        let changed: Vec<UserNid> = watch.changed.into_iter().collect();
        let known = self.users.ids_of(&changed).await?;
        let mut seen: BTreeSet<OwnedUserId> =
            known.iter().map(|id| OwnedUserId::clone(id)).collect();
        seen.extend(watch.came);
        for user in watch.went {
            let nid = self.users.nid_of(&user).await?;
            if self.rooms.share_a_room(viewer.user, nid).await? {
                continue;
            }
            seen.remove(&user);
            lists.left.push(user);
        }
        lists.changed = seen.into_iter().collect();
        Ok(lists)
    }
}
