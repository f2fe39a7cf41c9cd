//! Profiles.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use ruma::{
    UserId,
    api::client::profile::{
        delete_profile_field::v3 as delete_field, get_profile::v3 as get_profile,
        get_profile_field::v3 as get_field, set_profile_field::v3 as set_field,
    },
    profile::{ProfileFieldName, ProfileFieldValue},
};
use serde_json::Value as Json;

use crate::{App, Result, app::only_self, rooms::actor};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get).endpoint(get_one).endpoint(set_one).endpoint(delete_one)
}

async fn find(app: &App, user_id: &UserId) -> Result<std::collections::BTreeMap<String, Json>> {
    let profile = app.accounts.profile(user_id).await?;
    Ok(profile.ok_or_else(|| ApiError::not_found("No such user"))?)
}

async fn get(app: App, call: Call<get_profile::Request>) -> Result<get_profile::Response> {
    Ok(find(&app, &call.request.user_id).await?.into_iter().collect())
}

async fn get_one(app: App, call: Call<get_field::Request>) -> Result<get_field::Response> {
    let mut profile = find(&app, &call.request.user_id).await?;
    let field = call.request.field;
    let Some(value) = profile.remove(field.as_str()) else {
        // A user without a name has an empty answer: clients ask for these two of everybody.
        return match field {
            ProfileFieldName::DisplayName | ProfileFieldName::AvatarUrl => {
                Ok(get_field::Response::default())
            }
            _ => Err(ApiError::not_found("No such field in the profile").into()),
        };
    };
    let value = ProfileFieldValue::new(field.as_str(), value).map_err(ApiError::internal)?;
    Ok(get_field::Response::new(value))
}

async fn set_one(app: App, call: Call<set_field::Request>) -> Result<set_field::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let value = call.request.value;
    let name = value.field_name();
    let json = value.value().into_owned();
    // An empty name is no name.
    let is_empty = json.is_null() || json.as_str().is_some_and(str::is_empty);
    let json = Some(json).filter(|_| !(is_shown_in_rooms(&name) && is_empty));
    put(&app, &call.caller, &name, json).await?;
    Ok(set_field::Response::new())
}

async fn delete_one(app: App, call: Call<delete_field::Request>) -> Result<delete_field::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    put(&app, &call.caller, &call.request.field, None).await?;
    Ok(delete_field::Response::new())
}

async fn put(
    app: &App,
    session: &Session,
    name: &ProfileFieldName,
    value: Option<Json>,
) -> Result<()> {
    let changed = app.accounts.set_profile_field(session.user, name.as_str(), value).await?;
    if changed && is_shown_in_rooms(name) {
        show_in_rooms(app.clone(), session).await?;
    }
    Ok(())
}

/// Rooms repeat these two in the membership of each member.
fn is_shown_in_rooms(name: &ProfileFieldName) -> bool {
    matches!(name, ProfileFieldName::DisplayName | ProfileFieldName::AvatarUrl)
}

async fn show_in_rooms(app: App, session: &Session) -> Result<()> {
    let actor = actor(session);
    let profile = app.member_profile(&session.user_id).await?;
    // Goes on to the last room also when the client has gone away.
    let shown = tokio::spawn(async move { app.rooms.show_profile(&actor, &profile).await });
    Ok(shown.await.map_err(ApiError::internal)??)
}
