//! What there is to look at, sorted by room: from memory or from the tables.

use std::collections::{BTreeMap, BTreeSet};

use haechi_base::{Positions, RoomNid, UserNid};
use haechi_rooms::Membership;

use crate::{
    Inner, Result, SyncToken, Viewer,
    hub::{Listener, Signal},
};

/// What is new in one room.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(crate) struct RoomNews {
    pub(crate) event: bool,
    pub(crate) membership: bool,
    pub(crate) receipt: bool,
    pub(crate) read_state: bool,
    pub(crate) account_data: bool,
    pub(crate) typing: bool,
}

/// What is new for a user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) rooms: BTreeMap<RoomNid, RoomNews>,
    pub(crate) account_data: bool,
    pub(crate) to_device: bool,
    pub(crate) device_keys: bool,
    pub(crate) device_lists: BTreeSet<UserNid>,
    pub(crate) presence: BTreeSet<UserNid>,
}

impl Sorted {
    /// Everything there is of a room.
    pub(crate) const WHOLE_ROOM: RoomNews = RoomNews {
        event: true,
        membership: true,
        receipt: true,
        read_state: true,
        account_data: true,
        typing: true,
    };

    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
            && !self.account_data
            && !self.to_device
            && !self.device_keys
            && self.device_lists.is_empty()
            && self.presence.is_empty()
    }

    fn room(&mut self, room: RoomNid) -> &mut RoomNews {
        self.rooms.entry(room).or_default()
    }

    fn add(&mut self, signal: Signal, device: &str) {
        match signal {
            Signal::Event(room) => self.room(room).event = true,
            Signal::Membership(room) => self.room(room).membership = true,
            Signal::Receipt(room) => self.room(room).receipt = true,
            Signal::ReadState(room) => self.room(room).read_state = true,
            Signal::RoomAccountData(room) => self.room(room).account_data = true,
            Signal::AccountData => self.account_data = true,
            Signal::ToDevice(to) => self.to_device |= *to == *device,
            Signal::DeviceKeys(of) => self.device_keys |= *of == *device,
            Signal::DeviceList(user) => drop(self.device_lists.insert(user)),
            Signal::Presence(user) => drop(self.presence.insert(user)),
        }
    }
}

impl Inner {
    /// What is new for the viewer after `since`, up to `until`.
    pub(crate) async fn news(
        &self,
        listener: &Listener,
        viewer: &Viewer,
        since: &SyncToken,
        until: &Positions,
    ) -> Result<Sorted> {
        let is_of_this_run = self.is_of_this_run(since);
        let typing_since = since.typing.filter(|_| is_of_this_run).map_or(0, |(_, at)| at);
        let mut sorted = Sorted::default();
        let Some(news) = listener.news(&since.positions, until, typing_since) else {
            return self.news_from_tables(viewer, since, until, typing_since).await;
        };
        for signal in news.signals {
            sorted.add(signal, &viewer.device);
        }
        for room in news.typing {
            sorted.room(room).typing = true;
        }
        if since.to_device.is_some() {
            sorted.to_device = true;
        }
        if !is_of_this_run && self.presence.is_on() {
            let known = self.rooms.acquaintances(viewer.user).await?;
            sorted.presence.extend(self.presence_since(&known, since));
        }
        Ok(sorted)
    }

    async fn news_from_tables(
        &self,
        viewer: &Viewer,
        since: &SyncToken,
        until: &Positions,
        typing_since: u64,
    ) -> Result<Sorted> {
        let positions = &since.positions;
        let mut sorted = Sorted { to_device: true, device_keys: true, ..Sorted::default() };
        let ranges = positions.ranges_to(until);
        for place in self.rooms.moves(viewer.user, &ranges).await? {
            let news = RoomNews {
                event: place.membership == Membership::Join && !positions.covers(place.head_pos),
                membership: !positions.covers(place.pos),
                receipt: place.membership == Membership::Join && place.has_receipts,
                ..RoomNews::default()
            };
            if news.event || news.membership || news.receipt {
                sorted.rooms.insert(place.room, news);
            }
            let is_member = place.membership == Membership::Join;
            if is_member && self.hub.has_typed(place.room, typing_since) {
                sorted.room(place.room).typing = true;
            }
        }
        for datum in self.accounts.account_data_since(viewer.user, &ranges).await? {
            match datum.room {
                Some(room) => sorted.room(room).account_data = true,
                None => sorted.account_data = true,
            }
        }
        let known = self.rooms.acquaintances(viewer.user).await?;
        let changed = self.keys.device_lists_changed(viewer.user, positions, until, &known).await?;
        sorted.device_lists.extend(changed);
        sorted.presence.extend(self.presence_since(&known, since));
        Ok(sorted)
    }
}
