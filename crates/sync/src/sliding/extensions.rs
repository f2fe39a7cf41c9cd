//! The extensions of sliding sync: to-device messages, keys, account data, receipts, typing.

use std::sync::Arc;

use haechi_base::{RoomNid, limits::TO_DEVICE_BATCH_MAX};
use haechi_rooms::{Membership, Receipt, Room};
use serde_json::value::RawValue;

use super::{
    Pass, Request,
    conn::Conn,
    response::{E2ee, Response, ToDevice},
};
use crate::{
    Inner, Result, SyncError, SyncToken, device_lists::DeviceWatch, room::account_data_event,
};

/// New events of a room looked through for who came and went; behind more than these its changed
/// state is read.
const RECENT_MAX: usize = 100;

impl Inner {
    /// Deletes the to-device messages which the client shows to have received.
    pub(super) async fn forget_delivered(&self, request: &Request) -> Result<()> {
        if let Some(since) = &request.body.extensions.to_device.since {
            let token = to_device_token(since)?;
            let viewer = &request.viewer;
            self.keys.delete_to_device(viewer.user, &viewer.device, &token.positions).await?;
        }
        Ok(())
    }

    /// `shown` are the rooms in the answer, and whether each is told from the beginning.
    pub(super) async fn add_extensions(
        &self,
        pass: &Pass<'_>,
        conn: &Conn,
        shown: &[(RoomNid, bool)],
        response: &mut Response,
    ) -> Result<()> {
        let wanted = &pass.request.body.extensions;
        if wanted.to_device.enabled == Some(true) {
            response.extensions.to_device = Some(self.to_device(pass).await?);
        }
        if wanted.e2ee.enabled == Some(true) {
            response.extensions.e2ee = Some(self.e2ee(pass).await?);
        }
        if wanted.account_data.enabled == Some(true) {
            self.add_account_data(pass, shown, response).await?;
        }
        if wanted.receipts.enabled == Some(true) {
            self.add_receipts(pass, conn, shown, response).await?;
        }
        if wanted.typing.enabled == Some(true) {
            self.add_typing(pass, conn, shown, response).await?;
        }
        Ok(())
    }

    async fn to_device(&self, pass: &Pass<'_>) -> Result<ToDevice> {
        let wanted = &pass.request.body.extensions.to_device;
        let from = match &wanted.since {
            Some(since) => to_device_token(since)?.positions,
            None => haechi_base::Positions::default(),
        };
        let limit = wanted.limit.map_or(TO_DEVICE_BATCH_MAX, |limit| {
            usize::try_from(u64::from(limit)).unwrap_or(TO_DEVICE_BATCH_MAX)
        });
        let limit = limit.clamp(1, TO_DEVICE_BATCH_MAX);
        let viewer = pass.viewer();
        let batch = self
            .keys
            .to_device_since(viewer.user, &viewer.device, &from, &pass.until, limit)
            .await?;
        let next = SyncToken { positions: batch.up_to, typing: None, to_device: None };
        let events = batch.events.into_iter().filter_map(|json| RawValue::from_string(json).ok());
        Ok(ToDevice { next_batch: next.to_string(), events: events.map(Arc::from).collect() })
    }

    async fn e2ee(&self, pass: &Pass<'_>) -> Result<E2ee> {
        let viewer = pass.viewer();
        let counts = self.keys.key_counts(viewer.user, &viewer.device).await?;
        let mut watch = DeviceWatch::new(pass.sorted.device_lists.clone());
        if let Some(since) = &pass.since {
            for (nid, news) in &pass.sorted.rooms {
                let room = self.rooms.room(*nid).await?;
                match room.state().membership(viewer.user_id.as_str()) {
                    Membership::Join if news.membership => watch.joined_room(&room),
                    Membership::Join if news.event => {
                        self.watch_members(pass, since, &room, &mut watch).await?;
                    }
                    Membership::Leave | Membership::Ban if news.membership => {
                        watch.left_room(&room);
                    }
                    _ => {}
                }
            }
        }
        let device_lists = self.device_lists(viewer, watch).await?;
        Ok(E2ee {
            has_news: pass.sorted.device_keys || !device_lists.is_empty(),
            device_lists,
            device_one_time_keys_count: counts.one_time_keys.clone(),
            device_unused_fallback_key_types: counts.unused_fallback_keys.clone(),
        })
    }

    /// Takes in who came and went in a room since the client was told.
    async fn watch_members(
        &self,
        pass: &Pass<'_>,
        since: &SyncToken,
        room: &Arc<Room>,
        watch: &mut DeviceWatch,
    ) -> Result<()> {
        let (viewer, from) = (pass.viewer(), &since.positions);
        let recent = self.rooms.timeline(room, from, &pass.until, RECENT_MAX).await?;
        if !recent.limited {
            watch.members(&viewer.user_id, recent.events.iter().map(|event| &**event));
            return Ok(());
        }
        let after = self.rooms.seq_at(room.nid, from).await?;
        for pdu in self.rooms.state_changes(room, after, i64::MAX).await?.iter() {
            watch.member(&viewer.user_id, pdu);
        }
        Ok(())
    }

    async fn add_account_data(
        &self,
        pass: &Pass<'_>,
        shown: &[(RoomNid, bool)],
        response: &mut Response,
    ) -> Result<()> {
        let user = pass.viewer().user;
        let data = match &pass.since {
            None => self.account_data_all(pass.viewer()).await?,
            Some(since) => {
                let touched = pass.sorted.account_data
                    || pass.sorted.rooms.values().any(|news| news.account_data);
                let mut data = Vec::new();
                if touched {
                    let ranges = since.positions.ranges_to(&pass.until);
                    data = self.account_data_since(pass.viewer(), &ranges).await?;
                }
                for (nid, initial) in shown {
                    if *initial {
                        data.retain(|datum| datum.room != Some(*nid));
                        data.extend(self.accounts.account_data_of_room(user, *nid).await?);
                    }
                }
                data
            }
        };
        let out = &mut response.extensions.account_data;
        for datum in data {
            let event = account_data_event(&datum.kind, &datum.content);
            match datum.room {
                None => out.global.push(event),
                Some(nid) => {
                    let room = self.rooms.room(nid).await?;
                    out.rooms.entry(room.room_id.clone()).or_default().push(event);
                }
            }
        }
        Ok(())
    }

    async fn add_receipts(
        &self,
        pass: &Pass<'_>,
        conn: &Conn,
        shown: &[(RoomNid, bool)],
        response: &mut Response,
    ) -> Result<()> {
        let viewer = pass.viewer();
        let mut wanted: Vec<(RoomNid, bool)> =
            shown.iter().copied().filter(|(_, initial)| *initial).collect();
        for (nid, news) in &pass.sorted.rooms {
            let is_new = wanted.iter().all(|(known, _)| known != nid);
            if (news.receipt || news.read_state) && is_new && conn.sent.contains_key(nid) {
                wanted.push((*nid, false));
            }
        }
        for (nid, initial) in wanted {
            let room = self.rooms.room(nid).await?;
            let ranges = match (&pass.since, initial) {
                (Some(since), false) => Some(since.positions.ranges_to(&pass.until)),
                _ => None,
            };
            let mut receipts = self.rooms.receipts(nid, ranges).await?;
            if initial {
                // Of a whole room only what can be seen in its timeline, and one's own.
                let timeline = response.rooms.get(&room.room_id).map(|room| &room.timeline);
                let is_shown = |receipt: &Receipt| {
                    receipt.user == viewer.user
                        || timeline
                            .into_iter()
                            .flatten()
                            .any(|event| event.get().contains(receipt.event_id.as_str()))
                };
                receipts.retain(is_shown);
            }
            if let Some(event) = self.receipt_event(viewer, &receipts).await? {
                response.extensions.receipts.rooms.insert(room.room_id.clone(), event);
            }
        }
        Ok(())
    }

    async fn add_typing(
        &self,
        pass: &Pass<'_>,
        conn: &Conn,
        shown: &[(RoomNid, bool)],
        response: &mut Response,
    ) -> Result<()> {
        let changed = pass.sorted.rooms.iter().filter(|(_, news)| news.typing).map(|(nid, _)| *nid);
        let mut wanted: Vec<RoomNid> = changed.filter(|nid| conn.sent.contains_key(nid)).collect();
        let fresh = shown
            .iter()
            .filter(|(nid, initial)| *initial && !self.rooms.typing().users(*nid).is_empty());
        wanted.extend(fresh.map(|(nid, _)| *nid));
        for nid in wanted {
            let room = self.rooms.room(nid).await?;
            let event = self.typing_event(&room).await?;
            response.extensions.typing.rooms.insert(room.room_id.clone(), event);
        }
        Ok(())
    }
}

fn to_device_token(text: &str) -> Result<SyncToken> {
    text.parse().map_err(|_| SyncError::Invalid("`since` is not a token of this server".to_owned()))
}
