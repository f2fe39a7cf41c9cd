//! Logging in and out.

use axum::Router;
use haechi_accounts::{AccountError, DeviceWish, Refusal, limits};
use haechi_http::{ApiError, Call, Class, LimitKey, RouterExt as _};
use http::Method;
use ruma::api::{
    IncomingRequest, Metadata,
    client::{
        session::{
            get_login_token::v1 as get_login_token, get_login_types::v3 as login_types,
            login::v3 as login, logout::v3 as logout, logout_all::v3 as logout_all,
            refresh_token::v3 as refresh,
        },
        uiaa::UserIdentifier,
    },
    error::DeserializationError,
};
use serde::de::Error as _;
use serde_json::{Map, Value as Json};

use crate::{App, Error, Result, uia, uia::Interactive};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(get_login_types)
        .endpoint(log_in)
        .endpoint(make_login_token)
        .endpoint(refresh_token)
        .endpoint(log_out)
        .endpoint(log_out_everywhere)
}

async fn get_login_types(_: App, _: Call<login_types::Request>) -> Result<login_types::Response> {
    let mut token = login_types::TokenLoginType::new();
    token.get_login_token = true;
    Ok(login_types::Response::new(vec![
        login_types::LoginType::Password(login_types::PasswordLoginType::new()),
        login_types::LoginType::Token(token),
    ]))
}

/// A request to log in. ruma's type takes for granted that it says how.
struct LoginRequest(login::Request);

impl Metadata for LoginRequest {
    const METHOD: Method = login::Request::METHOD;
    const RATE_LIMITED: bool = login::Request::RATE_LIMITED;
    type Authentication = <login::Request as Metadata>::Authentication;
    type PathBuilder = <login::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = login::Request::PATH_BUILDER;
}

impl IncomingRequest for LoginRequest {
    type EndpointError = <login::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = login::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let fields: Map<String, Json> = serde_json::from_slice(request.body())?;
        if !fields.get("type").is_some_and(Json::is_string) {
            return Err(serde_json::Error::missing_field("type").into());
        }
        login::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

async fn log_in(app: App, call: Call<LoginRequest>) -> Result<login::Response> {
    let request = call.request.0;
    app.limiter.check(Class::Logins, LimitKey::Ip(call.ip))?;
    let (user, user_id) = match request.login_info {
        login::LoginInfo::Password(info) => by_password(&app, info).await?,
        login::LoginInfo::Token(info) => by_token(&app, &info.token).await?,
        _ => return Err(ApiError::refused("This way of logging in is not known here").into()),
    };
    let wish = DeviceWish {
        device_id: request.device_id,
        display_name: request.initial_device_display_name,
        refreshable: request.refresh_token,
    };
    let login = app.accounts.log_in(user, user_id, &wish).await?;
    let session = login.session;
    let mut response =
        login::Response::new(session.user_id, login.tokens.access, session.device_id);
    response.refresh_token = login.tokens.refresh;
    response.expires_in = login.tokens.life;
    Ok(response)
}

type Who = (haechi_base::UserNid, ruma::OwnedUserId);

async fn by_password(app: &App, info: login::Password) -> Result<Who> {
    #[expect(deprecated, reason = "old clients name the user so")]
    let name = match info.identifier {
        Some(UserIdentifier::Matrix(identifier)) => Some(identifier.user),
        Some(_) => None,
        None => info.user,
    };
    let Some(name) = name else {
        return Err(ApiError::forbidden("Users are known here by their names only").into());
    };
    if let Some(user) = app.accounts.find_typed(&name).await? {
        app.limiter.check(Class::Logins, LimitKey::User(user))?;
    }
    Ok(app.accounts.check_password(&name, &info.password).await?)
}

async fn by_token(app: &App, token: &str) -> Result<Who> {
    match app.accounts.take_login_token(token).await {
        Err(AccountError::Refused(Refusal::UnknownToken)) => {
            Err(ApiError::forbidden("This login token is not valid, or was used").into())
        }
        other => other.map_err(Error::from),
    }
}

async fn make_login_token(
    app: App,
    call: Call<Interactive<get_login_token::Request>>,
) -> Result<get_login_token::Response> {
    uia::prove_password(&app, &call.caller, call.request.auth.as_ref(), call.ip).await?;
    let token = app.accounts.login_token(call.caller.user).await?;
    Ok(get_login_token::Response::new(limits::LOGIN_TOKEN_LIFE, token))
}

async fn refresh_token(app: App, call: Call<refresh::Request>) -> Result<refresh::Response> {
    let tokens = app.accounts.refresh(&call.request.refresh_token).await?;
    let mut response = refresh::Response::new(tokens.access);
    response.refresh_token = tokens.refresh;
    response.expires_in_ms = tokens.life;
    Ok(response)
}

async fn log_out(app: App, call: Call<logout::Request>) -> Result<logout::Response> {
    let session = call.caller;
    app.accounts.delete_devices(session.user, vec![session.device_id.to_string()]).await?;
    Ok(logout::Response::new())
}

async fn log_out_everywhere(
    app: App,
    call: Call<logout_all::Request>,
) -> Result<logout_all::Response> {
    app.accounts.log_out_everywhere(call.caller.user).await?;
    Ok(logout_all::Response::new())
}
