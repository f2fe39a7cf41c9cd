//! User-interactive authentication (client-server API, "User-Interactive Authentication API").
//!
//! Every flow here has one stage, so nothing is remembered between two requests: each brings the
//! whole proof, and any server can judge it. The session's id is for the client's own use.

use std::net::IpAddr;

use haechi_accounts::{AccountError, Refusal};
use haechi_http::{ApiError, Class, LimitKey, Session, Uia};
use http::Method;
use ruma::api::{IncomingRequest, Metadata, error::DeserializationError};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::{App, Error, Result};

/// A request that may bring a proof.
///
/// The proof is taken out before ruma sees the rest: some clients name the user in fields that only
/// earlier versions of the specification had.
pub(crate) struct Interactive<R> {
    /// The request without its proof.
    pub(crate) inner: R,
    /// The proof.
    pub(crate) auth: Option<AuthDict>,
}

/// The field `auth` of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct AuthDict {
    #[serde(rename = "type")]
    stage: Option<String>,
    session: Option<String>,
    password: Option<String>,
    pub(crate) token: Option<String>,
    identifier: Option<Identifier>,
    /// As before version r0.4 of the specification.
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
}

impl AuthDict {
    /// The user who is named, short or whole.
    fn user(&self) -> Option<&str> {
        match &self.identifier {
            Some(identifier) if identifier.kind == "m.id.user" => identifier.user.as_deref(),
            Some(_) => None,
            None => self.user.as_deref(),
        }
    }
}

impl<R: Metadata> Metadata for Interactive<R> {
    const METHOD: Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: R::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for Interactive<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        if request.body().is_empty() {
            let inner = R::try_from_http_request_inner(request, path_args)?;
            return Ok(Self { inner, auth: None });
        }
        let mut fields: Map<String, Json> = serde_json::from_slice(request.body())?;
        let auth = fields.remove("auth").filter(|auth| !auth.is_null());
        let auth = auth.map(serde_json::from_value).transpose()?;
        let rest = serde_json::to_vec(&fields)?;
        let inner = R::try_from_http_request_inner(request.map(|_| &rest[..]), path_args)?;
        Ok(Self { inner, auth })
    }
}

/// What proves that a request may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing.
    Dummy,
    /// The user's password.
    Password,
    /// A registration token.
    RegistrationToken,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
        }
    }

    /// The answer to a proof that is missing or was `refused`.
    pub(crate) fn wanted(
        self,
        auth: Option<&AuthDict>,
        refused: Option<(&'static str, &str)>,
    ) -> ApiError {
        let session = auth.and_then(|auth| auth.session.clone());
        let session = session.filter(|session| session.len() <= 64);
        let session = session.unwrap_or_else(new_session);
        let flows: &[&[&str]] = &[&[self.name()]];
        ApiError::uia(&Uia { flows, completed: &[], session: &session, refused })
    }

    /// Does the request bring a proof of this kind? If not, tells the client what is wanted.
    pub(crate) fn brought(self, auth: Option<&AuthDict>) -> Result<&AuthDict, ApiError> {
        match auth {
            Some(auth) if auth.stage.as_deref() == Some(self.name()) => Ok(auth),
            _ => Err(self.wanted(auth, None)),
        }
    }
}

/// Any text will do that differs from request to request.
fn new_session() -> String {
    ruma::TransactionId::new().to_string()
}

/// Lets the user through who gives his password; otherwise answers with what is wanted.
pub(crate) async fn prove_password(
    app: &App,
    session: &Session,
    auth: Option<&AuthDict>,
    ip: IpAddr,
) -> Result<()> {
    let auth = Stage::Password.brought(auth)?;
    app.limiter.check(Class::Logins, LimitKey::User(session.user))?;
    app.limiter.check(Class::Logins, LimitKey::Ip(ip))?;
    let name = auth.user().unwrap_or(session.user_id.as_str());
    let password = auth.password.as_deref().unwrap_or_default();
    let wrong = || {
        let text = "Invalid username or password";
        Error(Stage::Password.wanted(Some(auth), Some(("M_FORBIDDEN", text))))
    };
    match app.accounts.check_password(name, password).await {
        Ok((user, _)) if user == session.user => Ok(()),
        Ok(_) | Err(AccountError::Refused(Refusal::WrongPassword | Refusal::Deactivated)) => {
            Err(wrong())
        }
        Err(error) => Err(error.into()),
    }
}
