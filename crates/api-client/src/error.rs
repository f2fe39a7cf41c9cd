//! Errors of the domain crates as answers.

use haechi_accounts::{AccountError, Refusal};
use haechi_http::ApiError;
use haechi_store::StoreError;
use http::StatusCode;

/// Result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An [`ApiError`] that errors of the domain crates turn into by `?`.
#[derive(Clone, Debug)]
pub struct Error(pub ApiError);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<AccountError> for Error {
    fn from(error: AccountError) -> Self {
        Self(match error {
            AccountError::Refused(refusal) => refused(refusal),
            AccountError::Store(error) => error.into(),
            AccountError::Busy => ApiError::unavailable(),
            AccountError::Hashing(_) => ApiError::internal(error),
        })
    }
}

fn refused(refusal: Refusal) -> ApiError {
    let text = sentence(&refusal.to_string());
    match refusal {
        Refusal::UserInUse => ApiError::user_in_use(text),
        Refusal::InvalidUsername => ApiError::invalid_username(text),
        Refusal::PasswordTooShort(_) => ApiError::weak_password(text),
        Refusal::WrongPassword | Refusal::TooMany(_) => ApiError::forbidden(text),
        Refusal::Deactivated => ApiError::user_deactivated(text),
        Refusal::NoSuchUser | Refusal::NoSuchDevice => ApiError::not_found(text),
        Refusal::UnknownToken => ApiError::unknown_token(false),
        Refusal::ExpiredToken => ApiError::unknown_token(true),
        Refusal::RegistrationToken => {
            ApiError::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", text)
        }
        Refusal::KeyTooLarge => ApiError::key_too_large(text),
        Refusal::ProfileTooLarge => ApiError::profile_too_large(text),
        Refusal::PasswordTooLong(_)
        | Refusal::InvalidDeviceId(_)
        | Refusal::RegistrationTokenExists
        | Refusal::InvalidValue(_) => ApiError::invalid_param(text),
    }
}

/// Begins with a capital: an error inside the server becomes a message for people.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}
