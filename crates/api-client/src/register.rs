//! Making an account.

use axum::Router;
use haechi_accounts::{DeviceWish, Registration};
use haechi_http::{ApiError, Call, Class, LimitKey, RouterExt as _};
use ruma::{
    OwnedDeviceId, OwnedUserId,
    api::client::account::{
        check_registration_token_validity::v1 as check_token,
        get_username_availability::v3 as availability,
        register::{RegistrationKind, v3 as register},
    },
};
use serde::Serialize;

use crate::{
    App, RegistrationMode, Result,
    adapt::{Answer, Answered},
    uia::{AuthDict, Interactive, Stage},
};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(register_user).endpoint(is_available).endpoint(is_token_valid)
}

async fn register_user(
    app: App,
    call: Call<Interactive<Answered<register::Request, Registered>>>,
) -> Result<Answer<Registered>> {
    let Interactive { inner: Answered { inner: request, .. }, auth } = call.request;
    let stage = match app.settings.registration {
        RegistrationMode::Open => Stage::Dummy,
        RegistrationMode::Token => Stage::RegistrationToken,
        RegistrationMode::Closed => {
            return Err(ApiError::forbidden("Registration is closed on this server").into());
        }
    };
    if request.kind == RegistrationKind::Guest {
        return Err(ApiError::forbidden("There are no guests on this server").into());
    }
    if request.login_type.is_some() {
        return Err(ApiError::forbidden("There are no application services here").into());
    }
    // A bad name is told before anything has to be proved.
    if let Some(username) = &request.username {
        app.accounts.check_available(username).await?;
    }
    let registration_token = prove(&app, stage, auth.as_ref()).await?;
    app.limiter.check(Class::Registrations, LimitKey::Ip(call.ip))?;

    let wish = DeviceWish {
        device_id: request.device_id,
        display_name: request.initial_device_display_name,
        refreshable: request.refresh_token,
    };
    let registration = Registration {
        localpart: request.username,
        password: request.password,
        is_admin: false,
        registration_token,
        login: (!request.inhibit_login).then_some(wish),
    };
    let (user_id, login) = app.accounts.register(registration).await?;
    let login = login.map(|login| LoggedIn {
        device_id: login.session.device_id,
        access_token: login.tokens.access,
        refresh_token: login.tokens.refresh,
        expires_in_ms: login.tokens.life.map(|life| life.as_millis()),
    });
    Ok(Answer(Registered { user_id, login }))
}

/// The new account, as clients are told of it.
#[derive(Serialize)]
struct Registered {
    user_id: OwnedUserId,
    #[serde(flatten)]
    login: Option<LoggedIn>,
}

/// Its first device, unless none was wanted.
#[derive(Serialize)]
struct LoggedIn {
    device_id: OwnedDeviceId,
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u128>,
}

/// Lets through who may register; returns the token to be used up, if it takes one.
async fn prove(app: &App, stage: Stage, auth: Option<&AuthDict>) -> Result<Option<String>> {
    let auth = stage.brought(auth)?;
    if stage != Stage::RegistrationToken {
        return Ok(None);
    }
    let token = auth.token.clone().unwrap_or_default();
    if app.accounts.check_registration_token(&token).await? {
        return Ok(Some(token));
    }
    let refused = ("M_UNAUTHORIZED", "Invalid registration token");
    Err(stage.wanted(Some(auth), Some(refused)).into())
}

async fn is_available(
    app: App,
    call: Call<availability::Request>,
) -> Result<availability::Response> {
    if app.settings.registration == RegistrationMode::Closed {
        return Err(ApiError::forbidden("Registration is closed on this server").into());
    }
    app.accounts.check_available(&call.request.username).await?;
    Ok(availability::Response::new(true))
}

async fn is_token_valid(
    app: App,
    call: Call<check_token::Request>,
) -> Result<check_token::Response> {
    if app.settings.registration != RegistrationMode::Token {
        return Err(ApiError::forbidden("This server takes no registration tokens").into());
    }
    // As expensive to guess as a password.
    app.limiter.check(Class::Logins, LimitKey::Ip(call.ip))?;
    let valid = app.accounts.check_registration_token(&call.request.token).await?;
    Ok(check_token::Response::new(valid))
}
