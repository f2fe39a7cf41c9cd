//! One's own devices.

use axum::Router;
use haechi_accounts::Device;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::device::{
        self, delete_device::v3 as delete_device, delete_devices::v3 as delete_devices,
        get_device::v3 as get_device, get_devices::v3 as get_devices,
        update_device::v3 as update_device,
    },
};

use crate::{App, Result, uia, uia::Interactive};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(list).endpoint(get).endpoint(rename).endpoint(delete).endpoint(delete_many)
}

fn shown(device: Device) -> device::Device {
    let mut shown = device::Device::new(device.device_id);
    shown.display_name = device.display_name;
    shown.last_seen_ip = device.seen_ip;
    let seen = device.seen.and_then(|seen| UInt::try_from(seen.0).ok());
    shown.last_seen_ts = seen.map(MilliSecondsSinceUnixEpoch);
    shown
}

async fn list(app: App, call: Call<get_devices::Request>) -> Result<get_devices::Response> {
    let devices = app.accounts.devices(call.caller.user).await?;
    Ok(get_devices::Response::new(devices.into_iter().map(shown).collect()))
}

async fn get(app: App, call: Call<get_device::Request>) -> Result<get_device::Response> {
    let device = app.accounts.device(call.caller.user, &call.request.device_id).await?;
    let device = device.ok_or_else(|| ApiError::not_found("No such device"))?;
    Ok(get_device::Response::new(shown(device)))
}

async fn rename(app: App, call: Call<update_device::Request>) -> Result<update_device::Response> {
    let request = call.request;
    let user = call.caller.user;
    match request.display_name {
        Some(name) => app.accounts.rename_device(user, &request.device_id, Some(name)).await?,
        None if app.accounts.device(user, &request.device_id).await?.is_some() => {}
        None => return Err(ApiError::not_found("No such device").into()),
    }
    Ok(update_device::Response::new())
}

async fn delete(
    app: App,
    call: Call<Interactive<delete_device::Request>>,
) -> Result<delete_device::Response> {
    let Interactive { inner: request, auth } = call.request;
    uia::prove_password(&app, &call.caller, auth.as_ref(), call.ip).await?;
    let devices = vec![request.device_id.to_string()];
    app.accounts.delete_devices(call.caller.user, devices).await?;
    Ok(delete_device::Response::new())
}

async fn delete_many(
    app: App,
    call: Call<Interactive<delete_devices::Request>>,
) -> Result<delete_devices::Response> {
    let Interactive { inner: request, auth } = call.request;
    uia::prove_password(&app, &call.caller, auth.as_ref(), call.ip).await?;
    let devices = request.devices.iter().map(ToString::to_string).collect();
    app.accounts.delete_devices(call.caller.user, devices).await?;
    Ok(delete_devices::Response::new())
}
