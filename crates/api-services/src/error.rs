//! Errors of the domain crates in the Matrix shape.

use axum::response::{IntoResponse, Response};
use haechi_accounts::{AccountError, Refusal as AccountRefusal};
use haechi_http::ApiError;
use haechi_ledger::LedgerError;
use haechi_pay::{PayError, Refusal};
use haechi_rooms::RoomError;
use haechi_store::StoreError;
use http::StatusCode;

/// An answer other than success.
#[derive(Debug)]
pub(crate) struct Error(pub(crate) ApiError);

/// Result of every handler.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoSuchPayment | Refusal::NoSuchUser => StatusCode::NOT_FOUND,
            Refusal::NotYours | Refusal::WrongPin(_) | Refusal::NoPin | Refusal::Frozen => {
                StatusCode::FORBIDDEN
            }
            Refusal::PinLocked(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::KeyReused
            | Refusal::AlreadyAccepted
            | Refusal::AlreadyBack
            | Refusal::AlreadyAnswered
            | Refusal::EnvelopeEmpty
            | Refusal::EnvelopeOpened => StatusCode::CONFLICT,
            Refusal::Ledger(code) => {
                tracing::error!(%code, "the ledger refused what payments allowed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_REQUEST,
        };
        let error = ApiError::new(status, refusal.code(), refusal.to_string());
        Self(match refusal {
            Refusal::WrongPin(left) => error.with("tries_left", left),
            Refusal::PinLocked(until) => error.with("locked_until_ms", until.0),
            Refusal::LimitPayment(limit)
            | Refusal::LimitDay(limit)
            | Refusal::LimitMonth(limit) => error.with("limit", limit),
            _ => error,
        })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<PayError> for Error {
    fn from(error: PayError) -> Self {
        match error {
            PayError::Refused(refusal) => refusal.into(),
            PayError::Ledger(LedgerError::Store(error)) | PayError::Store(error) => error.into(),
            PayError::Ledger(error) => Self(ApiError::internal(error)),
            PayError::Pin | PayError::Contended => Self(ApiError::unavailable()),
        }
    }
}

impl From<AccountError> for Error {
    fn from(error: AccountError) -> Self {
        Self(match error {
            AccountError::Refused(AccountRefusal::ExpiredToken) => ApiError::unknown_token(true),
            AccountError::Refused(AccountRefusal::UnknownToken) => ApiError::unknown_token(false),
            AccountError::Refused(AccountRefusal::Deactivated) => {
                ApiError::user_deactivated("This account has been deactivated")
            }
            AccountError::Store(error) => error.into(),
            AccountError::Busy => ApiError::unavailable(),
            other => ApiError::internal(other),
        })
    }
}

impl From<RoomError> for Error {
    fn from(error: RoomError) -> Self {
        Self(match error {
            RoomError::NotFound(what) => ApiError::not_found(what),
            RoomError::Forbidden(why) => ApiError::forbidden(why),
            RoomError::Store(error) => error.into(),
            other => ApiError::internal(other),
        })
    }
}
