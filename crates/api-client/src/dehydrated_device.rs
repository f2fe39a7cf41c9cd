//! Dehydrated devices (MSC3814).

use axum::Router;
use haechi_base::Positions;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_keys::{DehydratedDevice, DehydratedUpload, KeysUpload};
use ruma::api::client::dehydrated_device::{
    delete_dehydrated_device::unstable as delete_dehydrated_device,
    get_dehydrated_device::unstable as get_dehydrated_device, get_events::unstable as get_events,
    put_dehydrated_device::unstable as put_dehydrated_device,
};

use crate::{
    App, Result,
    keys::{key_texts, raw, text, user_of},
};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(put).endpoint(get).endpoint(delete).endpoint(events)
}

async fn put(
    app: App,
    call: Call<put_dehydrated_device::Request>,
) -> Result<put_dehydrated_device::Response> {
    let request = call.request;
    let upload = DehydratedUpload {
        device: DehydratedDevice {
            device: request.device_id.to_string(),
            data: text(&request.device_data),
        },
        display_name: request.initial_device_display_name,
        keys: KeysUpload {
            device_keys: Some(text(&request.device_keys)),
            one_time_keys: key_texts(&request.one_time_keys),
            fallback_keys: key_texts(&request.fallback_keys),
        },
    };
    app.keys.put_dehydrated_device(&user_of(&call.caller), upload).await?;
    Ok(put_dehydrated_device::Response::new(request.device_id))
}

async fn get(
    app: App,
    call: Call<get_dehydrated_device::Request>,
) -> Result<get_dehydrated_device::Response> {
    let found = app.keys.dehydrated_device(call.caller.user).await?;
    Ok(get_dehydrated_device::Response::new(found.device.into(), raw(found.data)?))
}

async fn delete(
    app: App,
    call: Call<delete_dehydrated_device::Request>,
) -> Result<delete_dehydrated_device::Response> {
    let device = app.keys.delete_dehydrated_device(call.caller.user).await?;
    Ok(delete_dehydrated_device::Response::new(device.into()))
}

async fn events(app: App, call: Call<get_events::Request>) -> Result<get_events::Response> {
    let request = call.request;
    let from: Positions = match request.next_batch {
        Some(token) => {
            token.parse().map_err(|_| ApiError::invalid_param("next_batch is not a token"))?
        }
        None => Positions::default(),
    };
    let (user, device) = (call.caller.user, request.device_id.as_str());
    let batch = app.keys.dehydrated_device_events(user, device, &from).await?;
    let events = batch.events.into_iter().map(raw).collect::<Result<_, _>>()?;
    let mut response = get_events::Response::new(events);
    // Clients ask on until a batch is empty.
    response.next_batch = Some(batch.up_to.to_string());
    Ok(response)
}
