//! Messages from device to device.

use std::sync::Arc;

use haechi_base::{Positions, UserNid, limits};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Keys, KeysError, Result, ToDeviceBatch, ToDeviceSend, UserRef,
    store::to_device::{AnyInRanges, DeleteToDevice, Outgoing, ReadMailbox, SendToDevice},
};

/// Messages in one request.
const MESSAGES_MAX: usize = 10_000;

#[derive(Serialize)]
struct Event<'a> {
    content: &'a RawValue,
    sender: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl Keys {
    /// Puts messages into the mailboxes of devices (`/sendToDevice`), all in one commit. Does
    /// nothing when the device has sent this transaction id before.
    ///
    /// Messages for devices that do not exist go nowhere. A mailbox keeps its newest 10,000.
    pub async fn send_to_device(&self, send: ToDeviceSend) -> Result<()> {
        if send.messages.len() > MESSAGES_MAX {
            return Err(KeysError::TooLarge(format!("More than {MESSAGES_MAX} messages")));
        }
        if send.txn_id.len() > limits::TRANSACTION_ID_BYTES_MAX
            || send.event_type.len() > limits::IDENTIFIER_BYTES_MAX
        {
            return Err(KeysError::Invalid(
                "The transaction id or event type is too long".to_owned(),
            ));
        }
        let mut messages = Vec::with_capacity(send.messages.len());
        for message in send.messages {
            let json = event_json(&send.sender, &send.event_type, &message.content)?;
            messages.push(Outgoing { user: message.user, device: message.device, json });
        }
        let work = SendToDevice {
            caches: Arc::clone(&self.caches),
            sender: send.sender.nid,
            device: send.device,
            event_type: send.event_type,
            txn_id: send.txn_id,
            messages,
            now: self.clock.now(),
        };
        self.db.write(work).await?;
        Ok(())
    }

    /// The messages for a device after `from` up to `to`, at most `limit`. An empty mailbox is
    /// known from memory.
    pub async fn to_device_since(
        &self,
        user: UserNid,
        device: &str,
        from: &Positions,
        to: &Positions,
        limit: usize,
    ) -> Result<ToDeviceBatch> {
        if self.caches.empty_mailboxes.get(user, device).is_some() {
            return Ok(ToDeviceBatch { events: Vec::new(), up_to: to.clone(), limited: false });
        }
        let ticket = self.caches.empty_mailboxes.ticket(user);
        let (from, to) = (from.clone(), to.clone());
        let read = ReadMailbox { user, device: device.to_owned(), from, to, limit };
        let mailbox = self.db.read(read).await?;
        if mailbox.empty {
            self.caches.empty_mailboxes.put(ticket, user, device, ());
        }
        let up_to = mailbox.up_to;
        Ok(ToDeviceBatch { events: mailbox.events, up_to, limited: mailbox.limited })
    }

    /// Deletes the messages that a device has received, as it shows by coming back with a token
    /// that includes them. Nothing is written when there are none.
    ///
    /// The answer to the client need not wait for it: what `up_to` includes is not read again.
    pub async fn delete_to_device(
        &self,
        user: UserNid,
        device: &str,
        up_to: &Positions,
    ) -> Result<()> {
        if self.caches.empty_mailboxes.get(user, device).is_some() {
            return Ok(());
        }
        let ranges = Positions::default().ranges_to(up_to);
        let device = device.to_owned();
        let any = AnyInRanges { user, device: device.clone(), ranges: ranges.clone() };
        if self.db.read(any).await? {
            let caches = Arc::clone(&self.caches);
            self.db.write(DeleteToDevice { caches, user, device, ranges }).await?;
        }
        Ok(())
    }
}

fn event_json(sender: &UserRef, event_type: &str, content: &str) -> Result<String> {
    let content: &RawValue =
        serde_json::from_str(content).map_err(|error| KeysError::BadJson(error.to_string()))?;
    if !content.get().starts_with('{') {
        return Err(KeysError::BadJson("The content of a message must be an object".to_owned()));
    }
    let event = Event { content, sender: sender.id.as_str(), kind: event_type };
    let json =
        serde_json::to_string(&event).map_err(|error| KeysError::BadJson(error.to_string()))?;
    if json.len() > limits::EVENT_BYTES_MAX {
        return Err(KeysError::TooLarge("A message is too large".to_owned()));
    }
    Ok(json)
}
