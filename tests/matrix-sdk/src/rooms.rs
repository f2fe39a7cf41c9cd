//! Rooms without encryption.

use anyhow::{Context, Result, ensure};
use eyeball_im::Vector;
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::{
    Room, RoomState,
    media::{MediaFormat, MediaRequestParameters},
    notification_settings::RoomNotificationMode,
    room::edit::EditedContent,
    ruma::{
        RoomId,
        api::client::{
            directory::get_public_rooms_filtered::v3::Request as PublicRoomsRequest,
            receipt::create_receipt::v3::ReceiptType,
            room::{
                Visibility,
                create_room::v3::{Request as CreateRoomRequest, RoomPreset},
            },
        },
        directory::Filter,
        events::{
            InitialStateEvent,
            room::{
                MediaSource,
                join_rules::{JoinRule, RoomJoinRulesEventContent},
                message::RoomMessageEventContentWithoutRelation,
            },
            tag::TagInfo,
        },
    },
};
use matrix_sdk_ui::room_list_service::filters::new_filter_non_left;

use crate::person::{Person, Settings, server_of, unique, until};

async fn two() -> Result<(Person, Person)> {
    tokio::try_join!(Person::register("alice"), Person::register("bob"))
}

pub(crate) async fn an_invite_shows_up_and_two_people_chat() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id =
        alice.create_room(&[&bob], Settings { name: Some("Tea"), ..Default::default() }).await?;
    let (hers, his) = (alice.timeline(&room_id).await?, bob.timeline(&room_id).await?);
    for n in 0..4 {
        hers.say(&format!("question {n}")).await?;
        his.hear(&format!("question {n}")).await?;
        his.say(&format!("answer {n}")).await?;
        hers.hear(&format!("answer {n}")).await?;
    }
    let (here, there) = (hers.texts().await, his.texts().await);
    ensure!(here == there, "both must see the same order: {here:?} and {there:?}");
    let room = bob.room(&room_id, RoomState::Joined).await?;
    ensure!(room.display_name().await?.to_string() == "Tea", "the room's name");
    ensure!(room.members(matrix_sdk::RoomMemberships::JOIN).await?.len() == 2, "two members");
    Ok(())
}

pub(crate) async fn the_room_list_is_sorted_by_activity() -> Result<()> {
    let (alice, bob) = two().await?;
    let mut rooms = Vec::new();
    for _ in 0..25 {
        rooms.push(bob.create_room(&[], Settings::default()).await?);
    }
    let shared = bob.create_room(&[&alice], Settings::default()).await?;
    let phone = bob.again().await?;
    let service = phone.sync.room_list_service();
    let list = service.all_rooms().await?;
    let (entries, controller) = list.entries_with_dynamic_adapters(20);
    pin_mut!(entries);
    controller.set_filter(Box::new(new_filter_non_left()));
    let mut shown = Vector::new();
    while shown.len() < 20 {
        for diff in entries.next().await.context("the room list ended")? {
            diff.apply(&mut shown);
        }
    }
    until("all 26 rooms", || async { (phone.client.joined_rooms().len() == 26).then_some(()) })
        .await?;
    bob.timeline(&rooms[0]).await?.say("awake again").await?;
    while first(&shown) != Some(&rooms[0]) {
        for diff in entries.next().await.context("the room list ended")? {
            diff.apply(&mut shown);
        }
    }
    alice.timeline(&shared).await?.say("me too").await?;
    while first(&shown) != Some(&shared) {
        for diff in entries.next().await.context("the room list ended")? {
            diff.apply(&mut shown);
        }
    }
    Ok(())
}

fn first<T: std::ops::Deref<Target = Room> + Clone>(shown: &Vector<T>) -> Option<&RoomId> {
    shown.front().map(|item| item.room_id())
}

pub(crate) async fn edits_reactions_and_redactions() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], Settings::default()).await?;
    let (hers, his) = (alice.timeline(&room_id).await?, bob.timeline(&room_id).await?);
    let event_id = hers.say("helo").await?;
    let item = hers.text("helo", |item| item.event_id().is_some()).await?;
    let edited =
        EditedContent::RoomMessage(RoomMessageEventContentWithoutRelation::text_plain("hello"));
    his.hear("helo").await?;
    hers.timeline.edit(&item.identifier(), edited).await?;
    let seen = his.hear("hello").await?;
    ensure!(seen.event_id() == Some(&event_id), "an edit keeps the event");
    his.timeline.toggle_reaction(&seen.identifier(), "👍").await?;
    let by_bob = bob.id();
    hers.event(&event_id, "the reaction", |item| {
        item.content()
            .reactions()
            .and_then(|all| all.get("👍"))
            .is_some_and(|by| by.contains_key(&by_bob))
    })
    .await?;
    hers.timeline.redact(&item.identifier(), Some("oops")).await?;
    his.event(&event_id, "the redaction", |item| item.content().is_redacted()).await?;
    Ok(())
}

pub(crate) async fn typing_and_receipts() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], Settings::default()).await?;
    let (hers, his) = (alice.timeline(&room_id).await?, bob.timeline(&room_id).await?);
    let room = bob.room(&room_id, RoomState::Joined).await?;
    let event_id = hers.say("read me").await?;
    his.hear("read me").await?;
    until("one unread message", || async { (room.num_unread_messages() == 1).then_some(()) })
        .await?;
    let (_guard, mut typing) =
        alice.room(&room_id, RoomState::Joined).await?.subscribe_to_typing_notifications();
    room.typing_notice(true).await?;
    ensure!(typing.recv().await?.contains(&bob.id()), "bob types");
    his.timeline.send_single_receipt(ReceiptType::Read, event_id.clone()).await?;
    let by_bob = bob.id();
    hers.event(&event_id, "bob's receipt", |item| item.read_receipts().contains_key(&by_bob))
        .await?;
    until("nothing unread", || async { (room.num_unread_messages() == 0).then_some(()) }).await
}

pub(crate) async fn history_page_by_page() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[], Settings::default()).await?;
    let hers = alice.timeline(&room_id).await?;
    let expected: Vec<_> = (0..45).map(|n| format!("message {n}")).collect();
    for body in &expected {
        hers.say(body).await?;
    }
    alice.room(&room_id, RoomState::Joined).await?.invite_user_by_id(&bob.id()).await?;
    bob.room(&room_id, RoomState::Invited).await?.join().await?;
    let his = bob.timeline(&room_id).await?;
    his.walk_back().await?;
    his.hear_all(&expected).await
}

pub(crate) async fn a_missed_stretch_is_filled() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], Settings::default()).await?;
    let (hers, his) = (alice.timeline(&room_id).await?, bob.timeline(&room_id).await?);
    hers.say("before").await?;
    his.hear("before").await?;
    bob.sync.stop().await;
    let mut expected = vec!["before".to_owned()];
    for n in 0..60 {
        let body = format!("while away {n}");
        hers.say(&body).await?;
        expected.push(body);
    }
    bob.sync.start().await;
    his.hear("while away 59").await?;
    his.walk_back().await?;
    his.hear_all(&expected).await
}

pub(crate) async fn threads_and_replies() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], Settings::default()).await?;
    let (hers, his) = (alice.timeline(&room_id).await?, bob.timeline(&room_id).await?);
    let root = hers.say("root").await?;
    his.hear("root").await?;
    his.timeline
        .send_reply(RoomMessageEventContentWithoutRelation::text_plain("a reply"), root.clone())
        .await?;
    let reply = hers.hear("a reply").await?;
    let to = reply
        .content()
        .as_msglike()
        .and_then(|m| m.in_reply_to.as_ref())
        .map(|d| d.event_id.clone());
    ensure!(to.as_ref() == Some(&root), "the reply names its event: {to:?}");
    let room = bob.room(&room_id, RoomState::Joined).await?;
    let relation = serde_json::json!({ "rel_type": "m.thread", "event_id": root });
    let content = serde_json::json!({ "msgtype": "m.text", "body": "in the thread", "m.relates_to": relation });
    room.send_raw("m.room.message", content).await?;
    hers.event(&root, "the thread's summary", |item| {
        item.content()
            .as_msglike()
            .and_then(|m| m.thread_summary.as_ref())
            .is_some_and(|s| s.num_replies == 1)
    })
    .await?;
    Ok(())
}

pub(crate) async fn media_and_profiles() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], Settings::default()).await?;
    let kind = "application/octet-stream".parse()?;
    let uri = alice.client.media().upload(&kind, b"some bytes".to_vec(), None).await?.content_uri;
    let request = MediaRequestParameters {
        source: MediaSource::Plain(uri.clone()),
        format: MediaFormat::File,
    };
    let got = bob.client.media().get_media_content(&request, false).await?;
    ensure!(got == b"some bytes", "the bytes must come back");
    alice.client.account().set_display_name(Some("Alice A.")).await?;
    alice.client.account().set_avatar_url(Some(&uri)).await?;
    let room = bob.room(&room_id, RoomState::Joined).await?;
    let her_id = alice.id();
    until("alice's profile in the room", || async {
        let member = room.get_member(&her_id).await.ok()??;
        (member.name() == "Alice A." && member.avatar_url() == Some(&uri)).then_some(())
    })
    .await?;
    let found = bob.client.search_users(&alice.name, 5).await?;
    ensure!(found.results.iter().any(|user| user.user_id == her_id), "the directory finds alice");
    Ok(())
}

pub(crate) async fn previews_directory_and_knocking() -> Result<()> {
    let (alice, bob) = two().await?;
    let name = unique("Door");
    let mut request = CreateRoomRequest::new();
    request.name = Some(name.clone());
    request.preset = Some(RoomPreset::PublicChat);
    request.visibility = Visibility::Public;
    let rule = RoomJoinRulesEventContent::new(JoinRule::Knock);
    request.initial_state = vec![InitialStateEvent::with_empty_state_key(rule).to_raw_any()];
    let room_id = alice.client.create_room(request).await?.room_id().to_owned();
    let mut query = PublicRoomsRequest::new();
    query.filter = Filter::new();
    query.filter.generic_search_term = Some(name.clone());
    let found = bob.client.public_rooms_filtered(query).await?;
    ensure!(found.chunk.iter().any(|room| room.room_id == room_id), "the directory lists the room");
    let via = vec![server_of(&alice.id()).try_into()?];
    let preview = bob.client.get_room_preview((&*room_id).into(), via).await?;
    ensure!(
        preview.name.as_deref() == Some(&name),
        "the preview tells the name: {:?}",
        preview.name
    );
    bob.client.knock((*room_id).to_owned().into(), Some("let me in".to_owned()), vec![]).await?;
    bob.room(&room_id, RoomState::Knocked).await?;
    let room = alice.room(&room_id, RoomState::Joined).await?;
    room.invite_user_by_id(&bob.id()).await?;
    bob.room(&room_id, RoomState::Invited).await?.join().await?;
    let room = bob.room(&room_id, RoomState::Joined).await?;
    room.leave().await?;
    bob.room(&room_id, RoomState::Left).await?;
    Ok(())
}

pub(crate) async fn settings_reach_other_devices() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id = alice.create_room(&[&bob], Settings::default()).await?;
    let phone = alice.again().await?;
    let room = phone.room(&room_id, RoomState::Joined).await?;
    let hers = alice.room(&room_id, RoomState::Joined).await?;
    hers.set_is_favourite(true, None).await?;
    until("the favourite", || async { room.is_favourite().then_some(()) }).await?;
    hers.set_unread_flag(true).await?;
    until("marked unread", || async { room.is_marked_unread().then_some(()) }).await?;
    hers.set_tag("u.mine".into(), TagInfo::new()).await?;
    let settings = alice.client.notification_settings().await;
    settings.set_room_notification_mode(&room_id, RoomNotificationMode::Mute).await?;
    let other = phone.client.notification_settings().await;
    until("the muted room", || async {
        let mode = other.get_user_defined_room_notification_mode(&room_id).await;
        (mode == Some(RoomNotificationMode::Mute)).then_some(())
    })
    .await?;
    alice.client.account().ignore_user(&bob.id()).await?;
    let his_id = bob.id();
    until("the ignored user", || async {
        phone.client.is_user_ignored(&his_id).await.then_some(())
    })
    .await
}

pub(crate) async fn a_restart_goes_on_where_it_was() -> Result<()> {
    let (alice, bob) = two().await?;
    let room_id =
        alice.create_room(&[&bob], Settings { encrypted: true, ..Default::default() }).await?;
    let hers = alice.timeline(&room_id).await?;
    hers.say("before the restart").await?;
    bob.timeline(&room_id).await?.hear("before the restart").await?;
    let bob = bob.restart().await?;
    // Before the message comes: a timeline that is opened meanwhile may show it from cache and sync.
    let his = bob.timeline(&room_id).await?;
    hers.say("after the restart").await?;
    his.hear("after the restart").await?;
    his.walk_back().await?;
    his.hear_all(&["before the restart".to_owned(), "after the restart".to_owned()]).await
}
