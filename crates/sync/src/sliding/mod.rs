//! Simplified sliding sync (MSC4186), in the form that today's clients speak:
//! `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`.
//!
//! A connection remembers which rooms it has told the client and up to where. It lives in memory: a
//! client whose connection is gone is told so (`M_UNKNOWN_POS`) and starts a new one, which costs
//! it one request.

mod conn;
mod extensions;
mod lists;
pub mod response;
mod room;

use std::time::Duration;

use haechi_base::{Positions, limits::SYNC_TIMEOUT_MS_MAX};
use ruma::api::client::sync::sync_events::v5::Request as Body;
use tokio::time::Instant;

use crate::{Inner, Result, Sync, SyncError, SyncToken, Viewer, hub::Listener, news::Sorted};
pub(crate) use conn::Connections;
use conn::{Conn, Connection};
#[cfg(feature = "fuzz")]
pub(crate) use conn::{parse_pos, pos};
use response::Response;

/// Longest a request waits for this node to come to where its token already is.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// A sliding sync request, decoded.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub viewer: Viewer,
    /// What for.
    pub body: Box<Body>,
}

/// One request as it is being answered.
pub(crate) struct Pass<'a> {
    pub(crate) request: &'a Request,
    /// What the client knows; nothing on a new connection.
    pub(crate) since: Option<SyncToken>,
    pub(crate) until: Positions,
    pub(crate) sorted: Sorted,
}

impl Pass<'_> {
    pub(crate) fn viewer(&self) -> &Viewer {
        &self.request.viewer
    }
}

impl Sync {
    /// Answers a request: at once when there is something to tell, else when there is, else with an
    /// empty answer at the end of its patience.
    pub async fn sliding(&self, request: &Request) -> Result<Response> {
        let inner = &*self.0;
        let viewer = &request.viewer;
        let listener = inner.hub.listener(viewer.user);
        let name = request.body.conn_id.clone().unwrap_or_default();
        let pos = request.body.pos.as_deref().map(conn::parse_pos).transpose()?;
        let shared = match pos {
            None => inner.connections.open(viewer, &name),
            Some(_) => inner.connections.find(viewer, &name).ok_or(SyncError::UnknownPos)?,
        };
        let mut turn = shared.arrive();
        let mut conn = tokio::select! {
            biased;
            conn = shared.lock() => conn,
            () = turn.is_over() => return Ok(given_up(request)),
        };
        let mut since = None;
        if let Some((serial, token)) = pos {
            conn.go_to(serial)?;
            if !inner.hub.reach(&token.positions, CATCH_UP_MAX).await {
                return Err(SyncError::Behind);
            }
            since = Some(token);
        }
        Box::pin(inner.forget_delivered(request)).await?;
        let patience = request.body.timeout.unwrap_or_default();
        let deadline = Instant::now() + patience.min(Duration::from_millis(SYNC_TIMEOUT_MS_MAX));
        let mut closing = inner.closing.clone();
        if let Some(turn) = listener.paces.turn(&viewer.device).filter(|turn| *turn < deadline) {
            tokio::time::sleep_until(turn).await;
        }
        let is_first = since.is_none();
        loop {
            let changed = listener.changed();
            let attempt = inner.sliding_attempt(request, &listener, since, &conn);
            let (mut response, attempt, next) = Box::pin(attempt).await?;
            let is_over =
                is_first || !response.is_empty() || Instant::now() >= deadline || *closing.borrow();
            if is_over {
                listener.paces.answered(&viewer.device);
                response.pos = conn::pos(attempt.serial, &next);
                conn.advance(attempt);
                return Ok(response);
            }
            // What was looked at and concerned nobody need not be looked at again; rooms keep their
            // own places.
            conn.keep(attempt);
            drop(response);
            since = Some(next);
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = async { drop(closing.wait_for(|closing| *closing).await) } => {}
                () = turn.is_over() => return Ok(given_up(request)),
            }
        }
    }
}

/// The answer to a request that nobody waits for any more: come back with what you have.
fn given_up(request: &Request) -> Response {
    let pos = request.body.pos.clone().unwrap_or_default();
    Response { pos, ..Response::default() }
}

impl Inner {
    /// What there is to tell since a token, the connection as it is when that was told, and the token
    /// up to which was looked.
    async fn sliding_attempt(
        &self,
        request: &Request,
        listener: &Listener,
        since: Option<SyncToken>,
        connection: &Connection,
    ) -> Result<(Response, Conn, SyncToken)> {
        let typing = self.hub.typing_now();
        let until = self.hub.horizon().await;
        let sorted = match &since {
            None => Sorted::default(),
            Some(since) => self.news(listener, &request.viewer, since, &until).await?,
        };
        let next = SyncToken { positions: until.clone(), typing: Some(typing), to_device: None };
        let mut attempt = connection.next();
        let pass = Pass { request, since, until, sorted };
        let response = self.sliding_answer(&pass, &mut attempt).await?;
        Ok((response, attempt, next))
    }

    async fn sliding_answer(&self, pass: &Pass<'_>, conn: &mut Conn) -> Result<Response> {
        let mut response =
            Response { txn_id: pass.request.body.txn_id.clone(), ..Response::default() };
        self.refresh_rooms(pass, conn).await?;
        let wanted = self.wanted_rooms(pass, conn, &mut response).await?;
        let mut shown = Vec::new();
        for (nid, details) in wanted {
            if let Some(room) = self.sliding_room(pass, conn, nid, &details).await? {
                shown.push((nid, room.initial == Some(true)));
                let room_id = self.rooms.room(nid).await?.room_id.clone();
                response.rooms.insert(room_id, room);
            }
        }
        self.add_extensions(pass, conn, &shown, &mut response).await?;
        Ok(response)
    }
}
