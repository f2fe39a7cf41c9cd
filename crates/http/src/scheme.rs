//! Who is calling.

use std::{future::Future, net::IpAddr};

use haechi_accounts::Session;
use http::Request;
use ruma::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceTokenOptional, AuthScheme, NoAccessToken,
    NoAuthentication, extract_bearer_or_query_token,
};

use crate::{ApiError, RateLimiter};

/// What the state of a router must be able to do for [`RouterExt`](crate::RouterExt).
pub trait Authenticate: Clone + Send + Sync + 'static {
    /// Who is behind the token: `M_UNKNOWN_TOKEN` when nobody is, as a soft logout when it expired.
    /// The address is where the request comes from.
    fn authenticate(
        &self,
        token: &str,
        ip: IpAddr,
    ) -> impl Future<Output = Result<Session, ApiError>> + Send;

    /// How often callers may ask.
    fn rate_limiter(&self) -> &RateLimiter;
}

/// What ruma's schemes of authentication mean here.
pub trait Scheme: AuthScheme {
    /// What the handler learns of the caller.
    type Caller: Send;

    /// Finds out who is calling.
    fn caller<S: Authenticate>(
        state: &S,
        request: &Request<()>,
        ip: IpAddr,
    ) -> impl Future<Output = Result<Self::Caller, ApiError>> + Send;

    /// The session, if the caller has one.
    fn session(caller: &Self::Caller) -> Option<&Session>;
}

macro_rules! anonymous {
    ($($scheme:ty),+) => {$(
        impl Scheme for $scheme {
            type Caller = ();

            async fn caller<S: Authenticate>(
                _: &S,
                _: &Request<()>,
                _: IpAddr,
            ) -> Result<(), ApiError> {
                Ok(())
            }

            fn session((): &()) -> Option<&Session> {
                None
            }
        }
    )+};
}

// There are no application services here, so their tokens change nothing.
anonymous!(NoAuthentication, NoAccessToken, AppserviceTokenOptional);

impl Scheme for AccessToken {
    type Caller = Session;

    async fn caller<S: Authenticate>(
        state: &S,
        request: &Request<()>,
        ip: IpAddr,
    ) -> Result<Session, ApiError> {
        let token =
            token(request).ok_or_else(|| ApiError::missing_token("Missing access token"))?;
        state.authenticate(&token, ip).await
    }

    fn session(caller: &Session) -> Option<&Session> {
        Some(caller)
    }
}

impl Scheme for AccessTokenOptional {
    type Caller = Option<Session>;

    async fn caller<S: Authenticate>(
        state: &S,
        request: &Request<()>,
        ip: IpAddr,
    ) -> Result<Option<Session>, ApiError> {
        match token(request) {
            Some(token) => state.authenticate(&token, ip).await.map(Some),
            None => Ok(None),
        }
    }

    fn session(caller: &Option<Session>) -> Option<&Session> {
        caller.as_ref()
    }
}

/// The token in the header or, as older clients send it, in the query.
pub(crate) fn token(request: &Request<()>) -> Option<String> {
    extract_bearer_or_query_token(request).ok().flatten().filter(|token| !token.is_empty())
}
