//! `GET /_matrix/client/v3/sync`.

pub mod response;
mod rooms;
mod window;

pub(crate) use rooms::{changes_summary, stripped_state};

use std::{collections::HashMap, sync::Arc, time::Duration};

use haechi_accounts::AccountDatum;
use haechi_base::{
    Positions, RoomNid,
    limits::{SYNC_TIMEOUT_MS_MAX, TO_DEVICE_BATCH_MAX},
};
use haechi_matrix::filter::SyncFilter;
use haechi_rooms::{Membership, Receipt, Standing};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{
    Inner, Result, Sync, SyncError, SyncToken, Viewer, device_lists::DeviceWatch, hub::Listener,
    news::Sorted, room::account_data_event,
};
use response::{Events, RawEvent, Response};

/// Longest a request waits for this node to come to where its token already is.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// A sync request, decoded.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub viewer: Viewer,
    /// Up to where the client knows everything; nothing yet without it.
    pub since: Option<SyncToken>,
    /// What it wants to see.
    pub filter: Arc<SyncFilter>,
    /// Does it want all state again?
    pub full_state: bool,
    /// How long it is willing to wait.
    pub timeout: Duration,
    /// Does it want state as of the end of the timeline, not of its beginning?
    pub use_state_after: bool,
}

/// One request as it is being answered.
pub(crate) struct Pass<'a> {
    pub(crate) request: &'a Request,
    pub(crate) listener: &'a Listener,
    /// From where; the beginning of time for an initial sync.
    pub(crate) since: SyncToken,
    pub(crate) is_initial: bool,
    /// For an initial sync: of all rooms what is cheaper read at once.
    pub(crate) whole: Option<Whole>,
    /// To where.
    pub(crate) until: Arc<Positions>,
    pub(crate) sorted: Sorted,
}

/// Of all the rooms of a user, what would take a read for each.
pub(crate) struct Whole {
    pub(crate) standings: HashMap<RoomNid, Standing>,
    receipts: HashMap<RoomNid, Vec<Receipt>>,
    account_data: HashMap<Option<RoomNid>, Vec<AccountDatum>>,
}

impl Whole {
    pub(crate) fn receipts(&self, room: RoomNid) -> &[Receipt] {
        self.receipts.get(&room).map_or(&[], Vec::as_slice)
    }

    /// Of a room, or without one of the account.
    pub(crate) fn account_data(&self, room: Option<RoomNid>) -> &[AccountDatum] {
        self.account_data.get(&room).map_or(&[], Vec::as_slice)
    }
}

impl Sync {
    /// Answers a request: at once when there is something to tell, else when there is, else with an
    /// empty answer at the end of its patience.
    pub async fn v3(&self, request: &Request) -> Result<Response> {
        let inner = &*self.0;
        let listener = inner.hub.listener(request.viewer.user);
        let Some(since) = &request.since else {
            listener.forget_members(&request.viewer.device);
            return Box::pin(inner.initial(request, &listener)).await;
        };
        if !inner.hub.reach(&since.positions, CATCH_UP_MAX).await {
            return Err(SyncError::Behind);
        }
        let viewer = &request.viewer;
        let delivered = since.to_device();
        Box::pin(inner.keys.delete_to_device(viewer.user, &viewer.device, delivered)).await?;
        let patience = request.timeout.min(Duration::from_millis(SYNC_TIMEOUT_MS_MAX));
        let deadline = Instant::now() + patience;
        let mut closing = inner.closing.clone();
        let mut since = since.clone();
        if let Some(turn) = listener.paces.turn(&viewer.device).filter(|turn| *turn < deadline) {
            tokio::time::sleep_until(turn).await;
        }
        loop {
            let changed = listener.changed();
            // Boxed, so that the many who wait keep no room for what happens before and after.
            let (response, next) = Box::pin(inner.attempt(request, &listener, &since)).await?;
            if let Some(response) = response {
                listener.paces.answered(&viewer.device);
                return Ok(response);
            }
            // Nothing of it concerned this client: look only at what comes after.
            since = next;
            tokio::select! {
                () = changed => continue,
                () = tokio::time::sleep_until(deadline) => {}
                () = async { drop(closing.wait_for(|closing| *closing).await) } => {}
            }
            return Box::pin(inner.empty(viewer, &since)).await;
        }
    }
}

/// A stored event as it goes out.
fn stored(json: String) -> Option<RawEvent> {
    RawValue::from_string(json).ok().map(Arc::from)
}

impl Inner {
    /// What is new for the client since its token, if anything is, and the token up to which was looked.
    async fn attempt(
        &self,
        request: &Request,
        listener: &Listener,
        since: &SyncToken,
    ) -> Result<(Option<Response>, SyncToken)> {
        let typing = self.hub.typing_now();
        let until = self.hub.horizon().await;
        let sorted = self.news(listener, &request.viewer, since, &until).await?;
        let next = SyncToken { positions: until.clone(), typing: Some(typing), to_device: None };
        if !request.full_state && sorted.is_empty() {
            return Ok((None, next));
        }
        let pass = Pass {
            request,
            listener,
            since: since.clone(),
            is_initial: false,
            until: Arc::new(until),
            whole: None,
            sorted,
        };
        let is_news = request.full_state || pass.sorted.device_keys;
        let response = self.answer(pass, next.clone()).await?;
        Ok(((is_news || !response.is_empty()).then_some(response), next))
    }

    async fn empty(&self, viewer: &Viewer, since: &SyncToken) -> Result<Response> {
        let mut response = Response { next_batch: since.to_string(), ..Response::default() };
        self.add_key_counts(viewer, &mut response).await?;
        Ok(response)
    }

    async fn initial(&self, request: &Request, listener: &Listener) -> Result<Response> {
        let typing = self.hub.typing_now();
        let until = self.hub.horizon().await;
        let mut sorted = Sorted { account_data: true, to_device: true, ..Sorted::default() };
        let whole = self.whole(&request.viewer).await?;
        for standing in whole.standings.values() {
            let shown = match standing.membership {
                Membership::Join | Membership::Invite | Membership::Knock => true,
                Membership::Leave | Membership::Ban => request.filter.include_leave,
            };
            if shown {
                sorted.rooms.insert(standing.room, Sorted::WHOLE_ROOM);
            }
        }
        let next = SyncToken { positions: until.clone(), typing: Some(typing), to_device: None };
        let pass = Pass {
            request,
            listener,
            since: SyncToken::default(),
            is_initial: true,
            until: Arc::new(until),
            whole: Some(whole),
            sorted,
        };
        self.answer(pass, next).await
    }

    async fn whole(&self, viewer: &Viewer) -> Result<Whole> {
        let standings = self.rooms.standings(viewer.user).await?;
        let mut account_data: HashMap<_, Vec<_>> = HashMap::new();
        for datum in self.account_data_all(viewer).await? {
            account_data.entry(datum.room).or_default().push(datum);
        }
        Ok(Whole {
            standings: standings.into_iter().map(|standing| (standing.room, standing)).collect(),
            receipts: self.rooms.receipts_where_joined(viewer.user).await?,
            account_data,
        })
    }

    async fn answer(&self, mut pass: Pass<'_>, mut next: SyncToken) -> Result<Response> {
        let viewer = &pass.request.viewer;
        if pass.request.full_state && !pass.is_initial {
            for standing in self.rooms.standings(viewer.user).await? {
                if standing.membership == Membership::Join {
                    pass.sorted.rooms.entry(standing.room).or_default();
                }
            }
        }
        let mut response = Response::default();
        let mut watch = DeviceWatch::new(std::mem::take(&mut pass.sorted.device_lists));
        self.add_rooms(&pass, &mut watch, &mut response).await?;
        response.presence = self.presence_events(&pass, &watch).await?;
        if !pass.is_initial {
            response.device_lists = self.device_lists(viewer, watch).await?;
        }
        if pass.sorted.account_data {
            response.account_data = self.global_account_data(&pass).await?;
        }
        if pass.sorted.to_device {
            let batch = self
                .keys
                .to_device_since(
                    viewer.user,
                    &viewer.device,
                    pass.since.to_device(),
                    &pass.until,
                    TO_DEVICE_BATCH_MAX,
                )
                .await?;
            response.to_device.events = batch.events.into_iter().filter_map(stored).collect();
            if batch.limited {
                next.to_device = Some(batch.up_to);
            }
        }
        self.add_key_counts(viewer, &mut response).await?;
        response.next_batch = next.to_string();
        Ok(response)
    }

    async fn add_key_counts(&self, viewer: &Viewer, response: &mut Response) -> Result<()> {
        let counts = self.keys.key_counts(viewer.user, &viewer.device).await?;
        response.device_one_time_keys_count.clone_from(&counts.one_time_keys);
        response.device_unused_fallback_key_types.clone_from(&counts.unused_fallback_keys);
        Ok(())
    }

    async fn global_account_data(&self, pass: &Pass<'_>) -> Result<Events> {
        let viewer = &pass.request.viewer;
        let since;
        let data: &[AccountDatum] = if let Some(whole) = &pass.whole {
            whole.account_data(None)
        } else {
            let ranges = pass.since.positions.ranges_to(&pass.until);
            since = self.account_data_since(viewer, &ranges).await?;
            &since
        };
        let filter = &pass.request.filter.account_data;
        let wanted = data
            .iter()
            .filter(|datum| datum.room.is_none() && filter.passes_kind(&datum.kind))
            .map(|datum| account_data_event(&datum.kind, &datum.content));
        Ok(Events { events: wanted.collect() })
    }
}
