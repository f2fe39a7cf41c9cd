//! One's own devices.

use axum::Router;
use haechi_accounts::Device;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::{
    OwnedDeviceId,
    api::client::device::{
        delete_device::v3 as delete_device, delete_devices::v3 as delete_devices,
        get_device::v3 as get_device, get_devices::v3 as get_devices,
        update_device::v3 as update_device,
    },
};

use serde::Serialize;

use crate::{
    App, Result,
    adapt::{Answer, Answered},
    uia,
    uia::Interactive,
};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(list).endpoint(get).endpoint(rename).endpoint(delete).endpoint(delete_many)
}

/// A device as clients see it. What is not known is empty or 0: matrix-nio takes a device with a
/// field missing for a malformed answer, and the specification knows no `null` here.
#[derive(Serialize)]
struct Shown {
    device_id: OwnedDeviceId,
    /// The device's id where it has no name.
    display_name: String,
    last_seen_ip: String,
    last_seen_ts: i64,
}

/// All devices of a user.
#[derive(Serialize)]
struct ShownList {
    devices: Vec<Shown>,
}

impl From<Device> for Shown {
    fn from(device: Device) -> Self {
        Self {
            display_name: device.display_name.unwrap_or_else(|| device.device_id.to_string()),
            device_id: device.device_id,
            last_seen_ip: device.seen_ip.unwrap_or_default(),
            last_seen_ts: device.seen.map_or(0, |seen| seen.0),
        }
    }
}

async fn list(
    app: App,
    call: Call<Answered<get_devices::Request, ShownList>>,
) -> Result<Answer<ShownList>> {
    let devices = app.accounts.devices(call.caller.user).await?;
    Ok(Answer(ShownList { devices: devices.into_iter().map(Shown::from).collect() }))
}

async fn get(app: App, call: Call<Answered<get_device::Request, Shown>>) -> Result<Answer<Shown>> {
    let device = app.accounts.device(call.caller.user, &call.request.inner.device_id).await?;
    let device = device.ok_or_else(|| ApiError::not_found("No such device"))?;
    Ok(Answer(device.into()))
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
