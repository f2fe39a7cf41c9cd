//! Joining, leaving, inviting, knocking, kicking, banning, forgetting; and who is in a room.

use std::{collections::BTreeMap, sync::Arc};

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use haechi_matrix::{auth::Membership, pdu::Pdu};
use haechi_rooms::{MemberChange, MemberProfile, Room, RoomError, membership_of};
use http::StatusCode;
use ruma::{
    OwnedUserId,
    api::client::{
        knock::knock_room,
        membership::{
            ban_user, forget_room, get_member_events, invite_user, join_room_by_id,
            join_room_by_id_or_alias, joined_members, joined_rooms, kick_user, leave_room,
            unban_user,
        },
    },
    events::room::member::MembershipState,
};
use serde_json::Map;

use super::{actor, as_raw};
use crate::{App, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(join)
        .endpoint(join_by_alias)
        .endpoint(knock)
        .endpoint(leave)
        .endpoint(invite)
        .endpoint(kick)
        .endpoint(ban)
        .endpoint(unban)
        .endpoint(forget)
        .endpoint(rooms_joined)
        .endpoint(members)
        .endpoint(members_joined)
}

async fn join_room(
    app: &App,
    caller: &Session,
    room: &Arc<Room>,
    reason: Option<&str>,
) -> Result<()> {
    let profile = app.member_profile(&caller.user_id).await?;
    Ok(app.rooms.join(room, &actor(caller), &profile, reason, Map::new()).await?)
}

async fn join(
    app: App,
    call: Call<join_room_by_id::v3::Request>,
) -> Result<join_room_by_id::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    join_room(&app, &call.caller, &room, call.request.reason.as_deref()).await?;
    Ok(join_room_by_id::v3::Response::new(room.room_id.clone()))
}

async fn join_by_alias(
    app: App,
    call: Call<join_room_by_id_or_alias::v3::Request>,
) -> Result<join_room_by_id_or_alias::v3::Response> {
    let room = app.room_or_alias(&call.request.room_id_or_alias).await?;
    join_room(&app, &call.caller, &room, call.request.reason.as_deref()).await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room.room_id.clone()))
}

async fn knock(app: App, call: Call<knock_room::v3::Request>) -> Result<knock_room::v3::Response> {
    let room = app.room_or_alias(&call.request.room_id_or_alias).await?;
    let profile = app.member_profile(&call.caller.user_id).await?;
    let reason = call.request.reason.as_deref();
    app.rooms.knock(&room, &actor(&call.caller), &profile, reason).await?;
    Ok(knock_room::v3::Response::new(room.room_id.clone()))
}

async fn leave(app: App, call: Call<leave_room::v3::Request>) -> Result<leave_room::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    let reason = call.request.reason.as_deref();
    app.rooms.leave(&room, &actor(&call.caller), reason).await?;
    Ok(leave_room::v3::Response::new())
}

async fn invite(
    app: App,
    call: Call<invite_user::v3::Request>,
) -> Result<invite_user::v3::Response> {
    let invite_user::v3::InvitationRecipient::UserId(invited) = call.request.recipient else {
        return Err(ApiError::threepid_medium_not_supported(
            "This server knows no identity server, so nobody can be invited by e-mail or phone",
        )
        .into());
    };
    let room = app.room(&call.request.room_id).await?;
    if room.state().membership(invited.user_id.as_str()) == Membership::Join {
        return Err(ApiError::forbidden("That user is in the room already").into());
    }
    let change = MemberChange {
        profile: app.member_profile(&invited.user_id).await?,
        target: invited.user_id,
        reason: invited.reason,
        is_direct: false,
    };
    change_member(&app, &call.caller, &room, Membership::Invite, change).await?;
    Ok(invite_user::v3::Response::new())
}

async fn kick(app: App, call: Call<kick_user::v3::Request>) -> Result<kick_user::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    let user_id = call.request.user_id;
    if matches!(room.state().membership(user_id.as_str()), Membership::Leave | Membership::Ban) {
        return Err(ApiError::forbidden("That user is not in the room").into());
    }
    let change = removal(user_id, call.request.reason);
    change_member(&app, &call.caller, &room, Membership::Leave, change).await?;
    Ok(kick_user::v3::Response::new())
}

async fn ban(app: App, call: Call<ban_user::v3::Request>) -> Result<ban_user::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    let change = removal(call.request.user_id, call.request.reason);
    change_member(&app, &call.caller, &room, Membership::Ban, change).await?;
    Ok(ban_user::v3::Response::new())
}

async fn unban(app: App, call: Call<unban_user::v3::Request>) -> Result<unban_user::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    let user_id = call.request.user_id;
    if room.state().membership(user_id.as_str()) != Membership::Ban {
        return Err(ApiError::forbidden("That user is not banned").into());
    }
    let change = removal(user_id, call.request.reason);
    change_member(&app, &call.caller, &room, Membership::Leave, change).await?;
    Ok(unban_user::v3::Response::new())
}

fn removal(target: OwnedUserId, reason: Option<String>) -> MemberChange {
    MemberChange { target, profile: MemberProfile::default(), reason, is_direct: false }
}

async fn change_member(
    app: &App,
    caller: &Session,
    room: &Arc<Room>,
    to: Membership,
    change: MemberChange,
) -> Result<()> {
    app.rooms.change_member(room, &actor(caller), to, &change).await?;
    Ok(())
}

async fn forget(
    app: App,
    call: Call<forget_room::v3::Request>,
) -> Result<forget_room::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    match app.rooms.forget(&room, call.caller.user).await {
        Err(RoomError::Invalid(text)) => {
            Err(ApiError::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", text))?;
        }
        done => done?,
    }
    Ok(forget_room::v3::Response::new())
}

async fn rooms_joined(
    app: App,
    call: Call<joined_rooms::v3::Request>,
) -> Result<joined_rooms::v3::Response> {
    let mut joined = Vec::new();
    for standing in app.rooms.standings(call.caller.user).await? {
        if standing.membership == Membership::Join {
            let room = app.rooms.room(standing.room).await?;
            joined.push(room.room_id.clone());
        }
    }
    Ok(joined_rooms::v3::Response::new(joined))
}

async fn members(
    app: App,
    call: Call<get_member_events::v3::Request>,
) -> Result<get_member_events::v3::Response> {
    let request = call.request;
    let room = app.room(&request.room_id).await?;
    let user = &call.caller.user_id;
    let state = match &request.at {
        None => app.rooms.visible_state(&room, user).await,
        Some(token) => {
            let seq = app.rooms.page_start(room.nid, token).await?;
            app.rooms.visible_state_at(&room, user, seq).await
        }
    };
    let state = state?;
    let named =
        |pdu: &Pdu, wanted: &MembershipState| membership_of(pdu).as_str() == wanted.as_str();
    let chunk = state
        .of_type("m.room.member")
        .map(|(_, pdu)| pdu)
        .filter(|pdu| request.membership.as_ref().is_none_or(|wanted| named(pdu, wanted)))
        .filter(|pdu| request.not_membership.as_ref().is_none_or(|not| !named(pdu, not)))
        .map(|pdu| as_raw(super::state::state_event(&room, pdu)))
        .collect();
    Ok(get_member_events::v3::Response::new(chunk))
}

async fn members_joined(
    app: App,
    call: Call<joined_members::v3::Request>,
) -> Result<joined_members::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    haechi_rooms::Rooms::ensure_joined(&room, call.caller.user)?;
    let joined = joined_of(&room);
    Ok(joined_members::v3::Response::new(joined))
}

fn joined_of(room: &Room) -> BTreeMap<OwnedUserId, joined_members::v3::RoomMember> {
    #[derive(serde::Deserialize, Default)]
    struct Shown {
        displayname: Option<String>,
        avatar_url: Option<String>,
    }
    room.state()
        .of_type("m.room.member")
        .filter(|(_, pdu)| membership_of(pdu) == Membership::Join)
        .filter_map(|(user, pdu)| {
            let shown: Shown = pdu.content_as().unwrap_or_default();
            let mut member = joined_members::v3::RoomMember::new();
            member.display_name = shown.displayname;
            member.avatar_url = shown.avatar_url.map(Into::into);
            Some((OwnedUserId::try_from(user).ok()?, member))
        })
        .collect()
}
