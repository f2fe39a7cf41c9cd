//! What can go wrong with payments.

use haechi_base::Millis;
use haechi_ledger::{LedgerError, TransferCode};
use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = PayError> = std::result::Result<T, E>;

/// What can go wrong with payments.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The rules forbid it; nothing has moved.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store failed. Ask again with the same key.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A PIN could not be hashed, or too many wait to be.
    #[error("PINs cannot be checked now")]
    Pin,
    /// The room changed again and again while we tried; ask again with the same key.
    #[error("the room is changing too quickly; try again")]
    Contended,
}

/// Why the rules forbid something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The operator does not offer it.
    #[error("this currency is not offered here")]
    UnknownCurrency,
    /// Zero, negative, or beyond all bounds.
    #[error("an amount is a whole number of minor units above zero")]
    BadAmount,
    /// The wallet holds less.
    #[error("there is not enough money in the wallet")]
    NotEnough,
    /// More than may be sent at once.
    #[error("one payment may be {0} at most")]
    LimitPayment(i64),
    /// More than may be sent in a day.
    #[error("at most {0} may be sent in 24 hours")]
    LimitDay(i64),
    /// More than may be sent in a month.
    #[error("at most {0} may be sent in 30 days")]
    LimitMonth(i64),
    /// The receiver's wallet would hold more than it may.
    #[error("the receiver's wallet cannot hold so much")]
    LimitBalance,
    /// Payer and payee are the same.
    #[error("nobody can pay himself")]
    ToOneself,
    /// There is no such person here, or the account was closed.
    #[error("there is no such user here")]
    NoSuchUser,
    /// The operator has frozen one of the wallets.
    #[error("this wallet is frozen; ask the operator")]
    Frozen,
    /// There is no PIN yet.
    #[error("set a payment PIN first")]
    NoPin,
    /// Not six digits.
    #[error("a payment PIN has six digits")]
    BadPin,
    /// The PIN is wrong.
    #[error("the payment PIN is wrong; {0} tries are left")]
    WrongPin(i64),
    /// Too many wrong PINs.
    #[error("the payment PIN is locked after too many tries")]
    PinLocked(Millis),
    /// The key was used for something else.
    #[error("this Idempotency-Key was used for something else")]
    KeyReused,
    /// The key is missing, or too long.
    #[error("an Idempotency-Key has 1 to 255 characters")]
    BadKey,
    /// There is none, or it is not the caller's to see.
    #[error("there is no such payment")]
    NoSuchPayment,
    /// Somebody else's to do.
    #[error("that is for the other side to do")]
    NotYours,
    /// It was accepted before.
    #[error("the payment was accepted already")]
    AlreadyAccepted,
    /// It was refused, cancelled, or has gone back.
    #[error("the payment has gone back already")]
    AlreadyBack,
    /// It was answered before.
    #[error("the request was answered already")]
    AlreadyAnswered,
    /// Nothing is left in the envelope.
    #[error("the envelope is empty")]
    EnvelopeEmpty,
    /// The person has had a share.
    #[error("you have opened this envelope already")]
    EnvelopeOpened,
    /// A bill cannot be split so.
    #[error("that cannot be split among so many")]
    BadSplit,
    /// The words are too long.
    #[error("a note has at most 200 characters")]
    NoteTooLong,
    /// The ledger says no for a reason that payments should have prevented.
    #[error("the ledger refused: {0}")]
    Ledger(TransferCode),
}

impl Refusal {
    /// The error code in answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownCurrency => "HAECHI_UNKNOWN_CURRENCY",
            Self::BadAmount => "HAECHI_BAD_AMOUNT",
            Self::NotEnough => "HAECHI_NOT_ENOUGH_MONEY",
            Self::LimitPayment(_) => "HAECHI_LIMIT_PAYMENT",
            Self::LimitDay(_) => "HAECHI_LIMIT_DAY",
            Self::LimitMonth(_) => "HAECHI_LIMIT_MONTH",
            Self::LimitBalance => "HAECHI_LIMIT_BALANCE",
            Self::ToOneself => "HAECHI_TO_ONESELF",
            Self::NoSuchUser => "HAECHI_NO_SUCH_USER",
            Self::Frozen => "HAECHI_FROZEN",
            Self::NoPin => "HAECHI_NO_PIN",
            Self::BadPin => "HAECHI_BAD_PIN",
            Self::WrongPin(_) => "HAECHI_WRONG_PIN",
            Self::PinLocked(_) => "HAECHI_PIN_LOCKED",
            Self::KeyReused => "HAECHI_KEY_REUSED",
            Self::BadKey => "HAECHI_BAD_KEY",
            Self::NoSuchPayment => "M_NOT_FOUND",
            Self::NotYours => "M_FORBIDDEN",
            Self::AlreadyAccepted => "HAECHI_ALREADY_ACCEPTED",
            Self::AlreadyBack => "HAECHI_ALREADY_BACK",
            Self::AlreadyAnswered => "HAECHI_ALREADY_ANSWERED",
            Self::EnvelopeEmpty => "HAECHI_ENVELOPE_EMPTY",
            Self::EnvelopeOpened => "HAECHI_ENVELOPE_OPENED",
            Self::BadSplit => "HAECHI_BAD_SPLIT",
            Self::NoteTooLong => "M_TOO_LARGE",
            Self::Ledger(_) => "HAECHI_LEDGER_REFUSED",
        }
    }
}
