//! Key backups (client-server API, "Server-side key backups").

use std::collections::BTreeMap;

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_keys::{BackedUpSession, BackupScope, BackupState, BackupVersion};
use ruma::{
    OwnedRoomId, UInt,
    api::client::backup::{
        BackupAlgorithm, KeyBackupData, RoomKeyBackup, add_backup_keys::v3 as add_backup_keys,
        add_backup_keys_for_room::v3 as add_backup_keys_for_room,
        add_backup_keys_for_session::v3 as add_backup_keys_for_session,
        create_backup_version::v3 as create_backup_version,
        delete_backup_keys::v3 as delete_backup_keys,
        delete_backup_keys_for_room::v3 as delete_backup_keys_for_room,
        delete_backup_keys_for_session::v3 as delete_backup_keys_for_session,
        delete_backup_version::v3 as delete_backup_version, get_backup_info::v3 as get_backup_info,
        get_backup_keys::v3 as get_backup_keys,
        get_backup_keys_for_room::v3 as get_backup_keys_for_room,
        get_backup_keys_for_session::v3 as get_backup_keys_for_session,
        get_latest_backup_info::v3 as get_latest_backup_info,
        update_backup_version::v3 as update_backup_version,
    },
    serde::Raw,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    App, Result,
    keys::{count, raw, text},
};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(create)
        .endpoint(latest)
        .endpoint(version)
        .endpoint(update)
        .endpoint(delete)
        .endpoint(put_all)
        .endpoint(put_room)
        .endpoint(put_session)
        .endpoint(get_all)
        .endpoint(get_room)
        .endpoint(get_session)
        .endpoint(delete_all)
        .endpoint(delete_room)
        .endpoint(delete_session)
}

/// An algorithm with its data, and the version that an update may name a second time.
#[derive(Deserialize, Serialize)]
struct Algorithm<'a> {
    #[serde(rename = "algorithm")]
    name: String,
    #[serde(borrow)]
    auth_data: &'a RawValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

fn algorithm(raw: &Raw<BackupAlgorithm>) -> Result<Algorithm<'_>, ApiError> {
    serde_json::from_str(raw.json().get()).map_err(|error| ApiError::bad_json(error.to_string()))
}

async fn create(
    app: App,
    call: Call<create_backup_version::Request>,
) -> Result<create_backup_version::Response> {
    let new = algorithm(&call.request.algorithm)?;
    let version = app.keys.create_backup(call.caller.user, &new.name, new.auth_data.get()).await?;
    Ok(create_backup_version::Response::new(version))
}

async fn latest(
    app: App,
    call: Call<get_latest_backup_info::Request>,
) -> Result<get_latest_backup_info::Response> {
    let found = app.keys.backup(call.caller.user, None).await?;
    let (algorithm, number, state) = info(found)?;
    let count = count(state.count);
    Ok(get_latest_backup_info::Response::new(algorithm, count, state.etag, number))
}

async fn version(
    app: App,
    call: Call<get_backup_info::Request>,
) -> Result<get_backup_info::Response> {
    let version = Some(call.request.version.as_str());
    let found = app.keys.backup(call.caller.user, version).await?;
    let (algorithm, number, state) = info(found)?;
    let count = count(state.count);
    Ok(get_backup_info::Response::new(algorithm, count, state.etag, number))
}

fn info(found: BackupVersion) -> Result<(Raw<BackupAlgorithm>, String, BackupState), ApiError> {
    let auth_data: &RawValue =
        serde_json::from_str(&found.auth_data).map_err(ApiError::internal)?;
    let algorithm = Algorithm { name: found.algorithm, auth_data, version: None };
    let algorithm = Raw::new(&algorithm).map_err(ApiError::internal)?.cast_unchecked();
    Ok((algorithm, found.version, found.state))
}

async fn update(
    app: App,
    call: Call<update_backup_version::Request>,
) -> Result<update_backup_version::Response> {
    let new = algorithm(&call.request.algorithm)?;
    let version = &call.request.version;
    if new.version.as_ref().is_some_and(|named| named != version) {
        return Err(ApiError::invalid_param("The version in the body is another").into());
    }
    app.keys.update_backup(call.caller.user, version, &new.name, new.auth_data.get()).await?;
    Ok(update_backup_version::Response::new())
}

async fn delete(
    app: App,
    call: Call<delete_backup_version::Request>,
) -> Result<delete_backup_version::Response> {
    app.keys.delete_backup(call.caller.user, &call.request.version).await?;
    Ok(delete_backup_version::Response::new())
}

fn session(room: &OwnedRoomId, id: String, data: &Raw<KeyBackupData>) -> BackedUpSession {
    BackedUpSession { room: room.to_string(), session: id, json: text(data) }
}

async fn put_all(
    app: App,
    call: Call<add_backup_keys::Request>,
) -> Result<add_backup_keys::Response> {
    let mut sessions = Vec::new();
    for (room, backup) in call.request.rooms {
        sessions.extend(backup.sessions.into_iter().map(|(id, data)| session(&room, id, &data)));
    }
    let (etag, count) = put(&app, call.caller.user, &call.request.version, sessions).await?;
    Ok(add_backup_keys::Response::new(etag, count))
}

async fn put_room(
    app: App,
    call: Call<add_backup_keys_for_room::Request>,
) -> Result<add_backup_keys_for_room::Response> {
    let room = call.request.room_id;
    let sessions = call.request.sessions.into_iter();
    let sessions = sessions.map(|(id, data)| session(&room, id, &data)).collect();
    let (etag, count) = put(&app, call.caller.user, &call.request.version, sessions).await?;
    Ok(add_backup_keys_for_room::Response::new(etag, count))
}

async fn put_session(
    app: App,
    call: Call<add_backup_keys_for_session::Request>,
) -> Result<add_backup_keys_for_session::Response> {
    let request = call.request;
    let sessions = vec![session(&request.room_id, request.session_id, &request.session_data)];
    let (etag, count) = put(&app, call.caller.user, &request.version, sessions).await?;
    Ok(add_backup_keys_for_session::Response::new(etag, count))
}

async fn put(
    app: &App,
    user: haechi_base::UserNid,
    version: &str,
    sessions: Vec<BackedUpSession>,
) -> Result<(String, UInt)> {
    let state = app.keys.put_backup_sessions(user, version, sessions).await?;
    Ok((state.etag, count(state.count)))
}

async fn get_all(
    app: App,
    call: Call<get_backup_keys::Request>,
) -> Result<get_backup_keys::Response> {
    let found = get(&app, call.caller.user, &call.request.version, BackupScope::All).await?;
    let mut rooms: BTreeMap<OwnedRoomId, RoomKeyBackup> = BTreeMap::new();
    for session in found {
        let room = OwnedRoomId::try_from(session.room).map_err(ApiError::internal)?;
        let backup = rooms.entry(room).or_insert_with(|| RoomKeyBackup::new(BTreeMap::new()));
        backup.sessions.insert(session.session, raw(session.json)?);
    }
    Ok(get_backup_keys::Response::new(rooms))
}

async fn get_room(
    app: App,
    call: Call<get_backup_keys_for_room::Request>,
) -> Result<get_backup_keys_for_room::Response> {
    let scope = BackupScope::Room(call.request.room_id.to_string());
    let found = get(&app, call.caller.user, &call.request.version, scope).await?;
    let sessions = found.into_iter().map(|one| Ok((one.session, raw(one.json)?)));
    Ok(get_backup_keys_for_room::Response::new(sessions.collect::<Result<_, ApiError>>()?))
}

async fn get_session(
    app: App,
    call: Call<get_backup_keys_for_session::Request>,
) -> Result<get_backup_keys_for_session::Response> {
    let request = call.request;
    let scope = BackupScope::Session(request.room_id.to_string(), request.session_id);
    let mut found = get(&app, call.caller.user, &request.version, scope).await?;
    let session = found.pop().ok_or_else(|| ApiError::not_found("Key not found."))?;
    Ok(get_backup_keys_for_session::Response::new(raw(session.json)?))
}

async fn get(
    app: &App,
    user: haechi_base::UserNid,
    version: &str,
    scope: BackupScope,
) -> Result<Vec<BackedUpSession>> {
    Ok(app.keys.backup_sessions(user, version, scope).await?)
}

async fn delete_all(
    app: App,
    call: Call<delete_backup_keys::Request>,
) -> Result<delete_backup_keys::Response> {
    let version = &call.request.version;
    let (etag, count) = remove(&app, call.caller.user, version, BackupScope::All).await?;
    Ok(delete_backup_keys::Response::new(etag, count))
}

async fn delete_room(
    app: App,
    call: Call<delete_backup_keys_for_room::Request>,
) -> Result<delete_backup_keys_for_room::Response> {
    let scope = BackupScope::Room(call.request.room_id.to_string());
    let (etag, count) = remove(&app, call.caller.user, &call.request.version, scope).await?;
    Ok(delete_backup_keys_for_room::Response::new(etag, count))
}

async fn delete_session(
    app: App,
    call: Call<delete_backup_keys_for_session::Request>,
) -> Result<delete_backup_keys_for_session::Response> {
    let request = call.request;
    let scope = BackupScope::Session(request.room_id.to_string(), request.session_id);
    let (etag, count) = remove(&app, call.caller.user, &request.version, scope).await?;
    Ok(delete_backup_keys_for_session::Response::new(etag, count))
}

async fn remove(
    app: &App,
    user: haechi_base::UserNid,
    version: &str,
    scope: BackupScope,
) -> Result<(String, UInt)> {
    let state = app.keys.delete_backup_sessions(user, version, scope).await?;
    Ok((state.etag, count(state.count)))
}
