//! The paths from before downloads needed an access token.
//!
//! They answer only when the operator has switched them on: the specification keeps them for media
//! from before that time, of which there is none here.
#![expect(deprecated, reason = "today's clients still ask by the old paths")]

use axum::{Router, response::Response};
use haechi_http::{ApiError, Call, Raw, RouterExt as _};
use ruma::api::client::media::{
    get_content::v3 as get_content, get_content_as_filename::v3 as get_content_as,
    get_content_thumbnail::v3 as get_thumbnail, get_media_config::v3 as get_config,
    get_media_preview::v3 as get_preview,
};

use super::{
    HasMedia, form, preview,
    serve::{self, Wanted},
    upload_size,
};
use crate::Result;

pub(super) fn routes_of<S: HasMedia>(router: Router<S>) -> Router<S> {
    router
        .endpoint(show_config)
        .endpoint(show_preview)
        .endpoint_streamed(send_content)
        .endpoint_streamed(send_content_as)
        .endpoint_streamed(send_thumbnail)
}

async fn show_config<S: HasMedia>(
    state: S,
    _: Call<get_config::Request>,
) -> Result<get_config::Response> {
    Ok(get_config::Response::new(upload_size(&state)))
}

async fn show_preview<S: HasMedia>(
    state: S,
    call: Call<get_preview::Request>,
) -> Result<get_preview::Response> {
    let preview = preview(&state, &call.request.url).await?;
    Ok(get_preview::Response::from_raw_value(preview))
}

fn only_if_served<S: HasMedia>(state: &S) -> Result<(), ApiError> {
    if state.serves_anybody() {
        return Ok(());
    }
    Err(ApiError::not_found("Media is served to authenticated clients only"))
}

async fn send_content<S: HasMedia>(
    state: S,
    call: Call<get_content::Request>,
    raw: Raw,
) -> Result<Response> {
    only_if_served(&state)?;
    let ask = call.request;
    let wanted = Wanted { server: ask.server_name, id: ask.media_id, wait: ask.timeout_ms };
    serve::content(state.media(), wanted, None, &call.busy, &raw.headers).await
}

async fn send_content_as<S: HasMedia>(
    state: S,
    call: Call<get_content_as::Request>,
    raw: Raw,
) -> Result<Response> {
    only_if_served(&state)?;
    let ask = call.request;
    let wanted = Wanted { server: ask.server_name, id: ask.media_id, wait: ask.timeout_ms };
    serve::content(state.media(), wanted, Some(ask.filename), &call.busy, &raw.headers).await
}

async fn send_thumbnail<S: HasMedia>(
    state: S,
    call: Call<get_thumbnail::Request>,
    raw: Raw,
) -> Result<Response> {
    only_if_served(&state)?;
    let ask = call.request;
    let form = form(ask.method.as_ref(), (ask.width, ask.height), ask.animated);
    let wanted = Wanted { server: ask.server_name, id: ask.media_id, wait: ask.timeout_ms };
    serve::thumbnail(state.media(), wanted, form, &call.busy, &raw.headers).await
}
