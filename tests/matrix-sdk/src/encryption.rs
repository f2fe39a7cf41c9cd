//! End-to-end encryption: rooms, recovery on a new device, verification, notifications.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use matrix_sdk::{
    RoomState,
    encryption::{
        VerificationState,
        verification::{SasState, SasVerification, VerificationRequest, VerificationRequestState},
    },
    ruma::events::key::verification::request::ToDeviceKeyVerificationRequestEvent,
};
use matrix_sdk_ui::notification_client::{
    NotificationClient, NotificationProcessSetup, NotificationStatus, RawNotificationEvent,
};
use tokio::sync::mpsc;

use crate::person::{Person, Settings, until};

const ENCRYPTED: Settings = Settings { name: None, encrypted: true, initial_state: Vec::new() };

async fn two() -> Result<(Person, Person)> {
    tokio::try_join!(Person::register("alice"), Person::register("bob"))
}

pub(crate) async fn an_encrypted_room() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], ENCRYPTED).await?;
    let (hers, his) = (alice.timeline(&room_id).await?, bob.timeline(&room_id).await?);
    for n in 0..3 {
        hers.say(&format!("secret {n}")).await?;
        let item = his.hear(&format!("secret {n}")).await?;
        ensure!(item.encryption_info().is_some(), "the message came encrypted");
        his.say(&format!("answer {n}")).await?;
        hers.hear(&format!("answer {n}")).await?;
    }
    let (here, there) = (hers.texts().await, his.texts().await);
    ensure!(here == there, "both must see the same order: {here:?} and {there:?}");
    Ok(())
}

pub(crate) async fn a_new_device_recovers() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], ENCRYPTED).await?;
    let hers = alice.timeline(&room_id).await?;
    hers.say("kept one").await?;
    hers.say("kept two").await?;
    bob.timeline(&room_id).await?.hear("kept two").await?;
    let key = alice.client.encryption().recovery().enable().wait_for_backups_to_upload().await?;
    alice.client.encryption().backups().wait_for_steady_state().await?;

    let phone = alice.again().await?;
    phone.client.encryption().recovery().recover(&key).await?;
    let his = phone.timeline(&room_id).await?;
    his.walk_back().await?;
    for body in ["kept one", "kept two"] {
        his.hear(body).await?;
    }
    until("the new device verified", || async {
        let state = phone.client.encryption().verification_state().get();
        (state == VerificationState::Verified).then_some(())
    })
    .await?;
    bob.timeline(&room_id).await?.say("to all devices").await?;
    his.hear("to all devices").await?;
    hers.hear("to all devices").await?;
    Ok(())
}

pub(crate) async fn two_people_verify() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], ENCRYPTED).await?;
    alice.timeline(&room_id).await?.say("who are you?").await?;
    bob.timeline(&room_id).await?.hear("who are you?").await?;
    let (asked, mut requests) = mpsc::unbounded_channel();
    let client = bob.client.clone();
    bob.client.add_event_handler(move |event: ToDeviceKeyVerificationRequestEvent| {
        let (client, asked) = (client.clone(), asked.clone());
        async move {
            let id = &event.content.transaction_id;
            if let Some(request) =
                client.encryption().get_verification_request(&event.sender, id).await
            {
                // the test may be over already
                let _ = asked.send(request);
            }
        }
    });
    let his_id = bob.id();
    let device = until("bob's device", || async {
        alice.client.encryption().get_user_devices(&his_id).await.ok()?.devices().next()
    })
    .await?;
    let request = device.request_verification().await?;
    let answer = requests.recv().await.context("no request came")?;
    answer.accept().await?;
    let (one, other) = tokio::try_join!(ready(&request), started(&answer))?;
    tokio::try_join!(compare(one), compare(other))?;
    until("bob's device verified", || async {
        let device =
            alice.client.encryption().get_device(&his_id, device.device_id()).await.ok()??;
        device.is_verified().then_some(())
    })
    .await
}

/// Waits until the request is accepted, then starts comparing emoji.
async fn ready(request: &VerificationRequest) -> Result<SasVerification> {
    let mut changes = request.changes();
    loop {
        if let VerificationRequestState::Ready { .. } = request.state() {
            return request.start_sas().await?.context("no emoji verification");
        }
        changes.next().await.context("the request ended")?;
    }
}

/// Waits until the other side starts comparing, and agrees.
async fn started(request: &VerificationRequest) -> Result<SasVerification> {
    let mut changes = request.changes();
    loop {
        match request.state() {
            VerificationRequestState::Transitioned { verification, .. } => {
                let sas = verification.sas().context("not an emoji verification")?;
                sas.accept().await?;
                return Ok(sas);
            }
            VerificationRequestState::Cancelled(info) => bail!("cancelled: {}", info.reason()),
            _ => changes.next().await.context("the request ended")?,
        };
    }
}

/// Confirms that the emoji are the same, and waits for the end.
async fn compare(sas: SasVerification) -> Result<()> {
    let mut changes = sas.changes();
    let mut confirmed = false;
    loop {
        match sas.state() {
            SasState::KeysExchanged { .. } if !confirmed => {
                confirmed = true;
                sas.confirm().await?;
            }
            SasState::Done { .. } => return Ok(()),
            SasState::Cancelled(info) => bail!("cancelled: {}", info.reason()),
            _ => drop(changes.next().await.context("the verification ended")?),
        }
    }
}

pub(crate) async fn a_notification_is_fetched() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], ENCRYPTED).await?;
    bob.room(&room_id, RoomState::Joined).await?;
    bob.sync.stop().await;
    let event_id = alice.timeline(&room_id).await?.say("you are asleep").await?;
    let setup = NotificationProcessSetup::SingleProcess { sync_service: Arc::clone(&bob.sync) };
    let notifications = NotificationClient::new(bob.client.clone(), setup).await?;
    let NotificationStatus::Event(item) =
        notifications.get_notification(&room_id, &event_id).await?
    else {
        bail!("the event was not found");
    };
    let RawNotificationEvent::Timeline(event) = &item.raw_event else { bail!("not a message") };
    let body =
        event.get_field::<serde_json::Value>("content")?.context("no content")?["body"].clone();
    ensure!(body == "you are asleep", "not decrypted: {body}");
    Ok(())
}
