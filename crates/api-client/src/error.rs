//! Errors of the domain crates as answers.

use haechi_accounts::{AccountError, Refusal};
use haechi_http::ApiError;
use haechi_keys::KeysError;
use haechi_matrix::{pdu::PduError, push_rules::EditError};
use haechi_media::MediaError;
use haechi_push::{PushError, Refusal as Refused};
use haechi_rooms::RoomError;
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

impl From<RoomError> for Error {
    fn from(error: RoomError) -> Self {
        Self(match error {
            RoomError::NotFound(what) => ApiError::not_found(sentence(what)),
            RoomError::Forbidden(why) => ApiError::forbidden(sentence(&why)),
            RoomError::Invalid(why) => ApiError::invalid_param(sentence(&why)),
            RoomError::Event(error) => match error {
                PduError::TooLarge { .. } | PduError::FieldTooLong { .. } => {
                    ApiError::too_large(sentence(&error.to_string()))
                }
                _ => ApiError::bad_json(sentence(&error.to_string())),
            },
            RoomError::UnsupportedVersion(_) => {
                ApiError::unsupported_room_version(sentence(&error.to_string()))
            }
            RoomError::AliasInUse => ApiError::room_in_use(sentence(&error.to_string())),
            RoomError::AnnotatedBefore => {
                ApiError::duplicate_annotation(sentence(&error.to_string()))
            }
            RoomError::BadAlias(_) => ApiError::bad_alias(sentence(&error.to_string())),
            RoomError::InvalidState(why) => ApiError::invalid_room_state(sentence(&why)),
            RoomError::Contended => ApiError::unavailable(),
            RoomError::Store(error) => error.into(),
        })
    }
}

impl From<MediaError> for Error {
    fn from(error: MediaError) -> Self {
        let text = sentence(&error.to_string());
        Self(match error {
            MediaError::NotFound => ApiError::not_found(text),
            MediaError::NotYetUploaded => ApiError::not_yet_uploaded(text),
            MediaError::AlreadyUploaded => ApiError::cannot_overwrite_media(text),
            MediaError::TooLarge(_) | MediaError::TooLargeForThumbnail => ApiError::too_large(text),
            MediaError::Refused(_) | MediaError::PreviewRefused => ApiError::forbidden(text),
            MediaError::TooMuch { retry_after } => ApiError::limit_exceeded(retry_after),
            MediaError::Interrupted(_) | MediaError::NoThumbnail => ApiError::refused(text),
            MediaError::NoPreview => ApiError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", text),
            MediaError::Store(error) => error.into(),
            MediaError::Blob(_) => ApiError::internal(error),
        })
    }
}

impl From<PushError> for Error {
    fn from(error: PushError) -> Self {
        let text = sentence(&error.to_string());
        Self(match error {
            PushError::Refused(Refused::NoSuchRule) => ApiError::not_found(text),
            PushError::Refused(Refused::InvalidPusher(_) | Refused::NotAToken) => {
                ApiError::invalid_param(text)
            }
            PushError::Refused(Refused::TooManyPushers(_)) => ApiError::forbidden(text),
            PushError::Refused(Refused::LoggedOut) => ApiError::unknown_token(false),
            PushError::Edit(error) => match error {
                EditError::NotFound | EditError::NeighbourNotFound => ApiError::not_found(text),
                EditError::ServerDefault
                | EditError::InvalidId
                | EditError::NoRoomBetween
                | EditError::Pattern => ApiError::invalid_param(text),
                EditError::TooMany => ApiError::forbidden(text),
            },
            PushError::Account(error) => return error.into(),
            PushError::Room(error) => return error.into(),
            PushError::Store(error) => error.into(),
            PushError::Fetch(error) => ApiError::internal(error),
        })
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

impl From<KeysError> for Error {
    fn from(error: KeysError) -> Self {
        let text = error.to_string();
        Self(match error {
            KeysError::Store(error) => error.into(),
            KeysError::BadJson(_) => ApiError::bad_json(text),
            KeysError::Invalid(_) => ApiError::invalid_param(text),
            KeysError::TooLarge(_) => ApiError::too_large(text),
            KeysError::OneTimeKeyExists { .. } => ApiError::refused(text),
            KeysError::NoMasterKey => ApiError::missing_param(text),
            KeysError::InvalidSignature => {
                ApiError::new(StatusCode::BAD_REQUEST, "M_INVALID_SIGNATURE", text)
            }
            // The one endpoint that can ask for more does so before it comes to this.
            KeysError::KeyIdInUse | KeysError::AuthRequired | KeysError::Forbidden(_) => {
                ApiError::forbidden(text)
            }
            KeysError::NotFound(_) => ApiError::not_found(text),
            KeysError::WrongBackupVersion { current } => {
                ApiError::wrong_room_keys_version(&current)
            }
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
