//! What every handler needs of a request: who calls, under which key, with what body.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use haechi_accounts::{AccountError, Session};
use haechi_base::{RoomNid, UserNid};
use haechi_http::{ApiError, Class, ClientIp, LimitKey};
use haechi_pay::{Key, Refusal};
use http::{header, request::Parts};
use ruma::{RoomId, UserId};
use serde::de::DeserializeOwned;

use crate::{
    Services,
    error::{Error, Result},
};

/// Largest body.
const BODY_BYTES_MAX: usize = 65_536;

/// The header that names a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Who calls.
pub(crate) struct Caller(pub(crate) Session);

impl FromRequestParts<Services> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Services) -> Result<Self> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| ApiError::missing_token("Missing access token"))?;
        let ip = ClientIp::of(&parts.extensions).0;
        let session = state.accounts.authenticate(token, ip).await?;
        state.limiter.check(Class::General, LimitKey::User(session.user))?;
        Ok(Self(session))
    }
}

/// Who calls, and the `Idempotency-Key` of the request.
pub(crate) struct Keyed {
    pub(crate) session: Session,
    pub(crate) key: Key,
}

impl FromRequestParts<Services> for Keyed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Services) -> Result<Self> {
        let Caller(session) = Caller::from_request_parts(parts, state).await?;
        let key = parts.headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
        let key = key.filter(|key| !key.is_empty()).ok_or(Refusal::BadKey)?.to_owned();
        Ok(Self { key: Key { user: session.user, key }, session })
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Services> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Services) -> Result<Self> {
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        let body = body.map_err(|_| {
            ApiError::too_large(format!("The body is larger than {BODY_BYTES_MAX} bytes"))
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let error = error.to_string();
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
            if is_json { ApiError::bad_json(error) } else { ApiError::not_json(error) }.into()
        })
    }
}

impl Services {
    /// The number of a user who has an account here.
    pub(crate) async fn user(&self, id: &str) -> Result<UserNid> {
        let parsed = UserId::parse(id).map_err(|_| ApiError::invalid_param("Not a user id"))?;
        let ours = parsed.server_name() == self.accounts.server_name();
        if !ours {
            return Err(Refusal::NoSuchUser.into());
        }
        match self.accounts.account(&parsed).await {
            Ok(nid) => Ok(nid),
            Err(AccountError::Refused(_)) => Err(Refusal::NoSuchUser.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The number of a room in which all of these users are.
    pub(crate) async fn room(&self, id: &str, users: &[UserNid]) -> Result<RoomNid> {
        let parsed = RoomId::parse(id).map_err(|_| ApiError::invalid_param("Not a room id"))?;
        let nid = self.rooms.nid_of(&parsed).await?;
        let joined = self.rooms.audience(nid).await?;
        if users.iter().any(|user| !joined.contains(user)) {
            return Err(ApiError::forbidden("Not all of those people are in that room").into());
        }
        Ok(nid)
    }
}
