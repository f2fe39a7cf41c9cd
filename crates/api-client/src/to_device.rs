//! Messages from device to device (client-server API, "Send-to-Device messaging").

use axum::Router;
use haechi_http::{Call, RouterExt as _};
use haechi_keys::{ToDeviceMessage, ToDeviceSend};
use ruma::{
    OwnedUserId, api::client::to_device::send_event_to_device::v3 as send_event_to_device,
    to_device::DeviceIdOrAllDevices,
};

use crate::{
    App, Result,
    keys::{text, user_of},
};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(send)
}

async fn send(
    app: App,
    call: Call<send_event_to_device::Request>,
) -> Result<send_event_to_device::Response> {
    let request = call.request;
    let ids: Vec<&OwnedUserId> = request.messages.keys().collect();
    let nids = app.accounts.users().find_many(&ids).await?;
    let mut messages = Vec::new();
    for (devices, nid) in request.messages.values().zip(nids) {
        let Some(user) = nid else { continue };
        for (device, content) in devices {
            let device = match device {
                DeviceIdOrAllDevices::DeviceId(device) => Some(device.to_string()),
                DeviceIdOrAllDevices::AllDevices => None,
            };
            messages.push(ToDeviceMessage { user, device, content: text(content) });
        }
    }
    let send = ToDeviceSend {
        sender: user_of(&call.caller),
        device: call.caller.device_id.to_string(),
        event_type: request.event_type.to_string(),
        txn_id: request.txn_id.to_string(),
        messages,
    };
    app.keys.send_to_device(send).await?;
    Ok(send_event_to_device::Response::new())
}
