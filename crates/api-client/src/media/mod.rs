//! Media: uploads, downloads, thumbnails, previews of links.
//!
//! Files go in and out as streams; nothing here holds a whole one.

mod old;
mod serve;

#[cfg(feature = "fuzz")]
pub(crate) use serve::served;

use axum::{Json, Router, response::IntoResponse as _, response::Response};
use haechi_http::{Authenticate, Call, Raw, RouterExt as _};
use haechi_media::{About, Fit, Form, Media, MediaError};
use http::{HeaderMap, header};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::{
        authenticated_media::{
            get_content::v1 as get_content, get_content_as_filename::v1 as get_content_as,
            get_content_thumbnail::v1 as get_thumbnail, get_media_config::v1 as get_config,
            get_media_preview::v1 as get_preview,
        },
        media::{
            create_content::v3 as upload, create_content_async::v3 as fill,
            create_mxc_uri::v1 as promise,
        },
    },
    media::Method,
};
use serde_json::{json, value::RawValue};

use crate::{App, Result, media::serve::Wanted};

/// What these endpoints need of the router's state.
trait HasMedia: Authenticate {
    fn media(&self) -> &Media;

    /// Do the old paths serve media to whoever asks, without an access token?
    fn serves_anybody(&self) -> bool;
}

impl HasMedia for App {
    fn media(&self) -> &Media {
        &self.media
    }

    fn serves_anybody(&self) -> bool {
        self.settings.media_without_token
    }
}

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    routes_of(router)
}

fn routes_of<S: HasMedia>(router: Router<S>) -> Router<S> {
    let router = router
        .endpoint_streamed(take_upload)
        .endpoint_streamed(take_fill)
        .endpoint(make_promise)
        .endpoint(show_config)
        .endpoint(show_preview)
        .endpoint_streamed(send_content)
        .endpoint_streamed(send_content_as)
        .endpoint_streamed(send_thumbnail);
    old::routes_of(router)
}

async fn take_upload<S: HasMedia>(
    state: S,
    call: Call<upload::Request>,
    raw: Raw,
) -> Result<Response> {
    let about = About { content_type: call.request.content_type, name: call.request.filename };
    let (announced, body) = (length(&raw.headers), raw.body.into_data_stream());
    let id = state.media().upload(call.caller.user, about, announced, body).await?;
    Ok(Json(json!({ "content_uri": state.media().uri(&id) })).into_response())
}

async fn take_fill<S: HasMedia>(state: S, call: Call<fill::Request>, raw: Raw) -> Result<Response> {
    let ask = call.request;
    let about = About { content_type: ask.content_type, name: ask.filename };
    let (announced, body) = (length(&raw.headers), raw.body.into_data_stream());
    let target = (ask.server_name.as_str(), ask.media_id.as_str());
    state.media().fill(call.caller.user, target, about, announced, body).await?;
    Ok(Json(json!({})).into_response())
}

/// How long the sender says the body is.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn make_promise<S: HasMedia>(
    state: S,
    call: Call<promise::Request>,
) -> Result<promise::Response> {
    let (id, expires) = state.media().promise(call.caller.user).await?;
    let mut response = promise::Response::new(state.media().uri(&id).into());
    response.unused_expires_at =
        UInt::new(expires.0.unsigned_abs()).map(MilliSecondsSinceUnixEpoch);
    Ok(response)
}

async fn show_config<S: HasMedia>(
    state: S,
    _: Call<get_config::Request>,
) -> Result<get_config::Response> {
    Ok(get_config::Response::new(upload_size(&state)))
}

fn upload_size<S: HasMedia>(state: &S) -> UInt {
    UInt::new_saturating(state.media().upload_bytes_max())
}

async fn show_preview<S: HasMedia>(
    state: S,
    call: Call<get_preview::Request>,
) -> Result<get_preview::Response> {
    let preview = preview(&state, &call.request.url).await?;
    Ok(get_preview::Response::from_raw_value(preview))
}

async fn preview<S: HasMedia>(state: &S, url: &str) -> Result<Box<RawValue>> {
    let preview = state.media().preview(url).await?;
    let json = RawValue::from_string(preview.json().to_owned());
    Ok(json.map_err(|_| MediaError::NoPreview)?)
}

async fn send_content<S: HasMedia>(
    state: S,
    call: Call<get_content::Request>,
    raw: Raw,
) -> Result<Response> {
    let ask = call.request;
    let wanted = Wanted { server: ask.server_name, id: ask.media_id, wait: ask.timeout_ms };
    serve::content(state.media(), wanted, None, &call.busy, &raw.headers).await
}

async fn send_content_as<S: HasMedia>(
    state: S,
    call: Call<get_content_as::Request>,
    raw: Raw,
) -> Result<Response> {
    let ask = call.request;
    let wanted = Wanted { server: ask.server_name, id: ask.media_id, wait: ask.timeout_ms };
    serve::content(state.media(), wanted, Some(ask.filename), &call.busy, &raw.headers).await
}

async fn send_thumbnail<S: HasMedia>(
    state: S,
    call: Call<get_thumbnail::Request>,
    raw: Raw,
) -> Result<Response> {
    let ask = call.request;
    let form = form(ask.method.as_ref(), (ask.width, ask.height), ask.animated);
    let wanted = Wanted { server: ask.server_name, id: ask.media_id, wait: ask.timeout_ms };
    serve::thumbnail(state.media(), wanted, form, &call.busy, &raw.headers).await
}

fn form(method: Option<&Method>, (width, height): (UInt, UInt), animated: Option<bool>) -> Form {
    let fit = if method == Some(&Method::Crop) { Fit::Crop } else { Fit::Scale };
    let pixels = |value: UInt| u32::try_from(value).unwrap_or(u32::MAX);
    Form::fitting(fit, pixels(width), pixels(height), animated == Some(true))
}

#[cfg(test)]
mod tests;
