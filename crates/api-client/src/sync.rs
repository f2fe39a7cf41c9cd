//! `GET /sync`, and simplified sliding sync.

use std::sync::Arc;

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use haechi_matrix::filter::SyncFilter;
use haechi_sync::{SyncError, Viewer, sliding, v3};
use ruma::api::client::sync::sync_events::{
    v3::{Filter, Request},
    v5,
};

use crate::{
    App, Error, Result,
    own_body::{Json, OwnBody},
};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(sync).endpoint(sliding)
}

impl From<SyncError> for Error {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Behind => Self(ApiError::unavailable()),
            SyncError::UnknownPos => {
                Self(ApiError::unknown_pos("This connection has ended; start a new one"))
            }
            SyncError::Invalid(why) => Self(ApiError::invalid_param(why)),
            SyncError::Room(error) => error.into(),
            SyncError::Keys(error) => error.into(),
            SyncError::Account(error) => error.into(),
            SyncError::Store(error) => error.into(),
        }
    }
}

type SyncRequest = OwnBody<Request>;
type SlidingRequest = OwnBody<v5::Request>;

/// The caller as sync knows them.
pub(crate) fn viewer(session: &Session) -> Viewer {
    Viewer {
        user: session.user,
        user_id: session.user_id.clone(),
        device: session.device_id.as_str().into(),
    }
}

// Tens of thousands of requests sleep here at the same time. What is done before and after the sleep is
// boxed, so that only what it needs is kept meanwhile.

async fn sync(app: App, call: Call<SyncRequest>) -> Result<Json> {
    let OwnBody(request) = call.request;
    let request = Box::pin(v3_request(&app, &call.caller, request)).await?;
    call.busy.pause();
    let response = app.sync.v3(&request).await?;
    Ok(Json(serde_json::to_vec(&response).map_err(ApiError::internal)?))
}

async fn v3_request(app: &App, session: &Session, request: Box<Request>) -> Result<v3::Request> {
    let filter = filter(app, session, request.filter).await?;
    let since = request
        .since
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| ApiError::invalid_param("`since` is not a token of this server"))?;
    app.presence.synced(session.user, request.set_presence).await?;
    Ok(v3::Request {
        viewer: viewer(session),
        since,
        filter,
        full_state: request.full_state,
        timeout: request.timeout.unwrap_or_default(),
        use_state_after: request.use_state_after,
    })
}

async fn sliding(app: App, call: Call<SlidingRequest>) -> Result<Json> {
    let OwnBody(body) = call.request;
    let session = &call.caller;
    Box::pin(app.presence.synced(session.user, body.set_presence.clone())).await?;
    let request = sliding::Request { viewer: viewer(session), body };
    call.busy.pause();
    let response = app.sync.sliding(&request).await?;
    Ok(Json(serde_json::to_vec(&response).map_err(ApiError::internal)?))
}

async fn filter(app: &App, session: &Session, filter: Option<Filter>) -> Result<Arc<SyncFilter>> {
    let definition = match filter {
        None => return Ok(Arc::default()),
        Some(Filter::FilterDefinition(definition)) => definition,
        Some(Filter::FilterId(id)) => {
            return match app.filter(session.user, &id).await? {
                Some(filter) => Ok(filter),
                None => Err(ApiError::invalid_param("There is no such filter").into()),
            };
        }
        Some(_) => return Err(ApiError::invalid_param("That is not a filter").into()),
    };
    let compiled = SyncFilter::new(definition);
    Ok(Arc::new(compiled.map_err(|error| ApiError::invalid_param(error.to_string()))?))
}
