//! What can go wrong in a room.

use haechi_matrix::pdu::PduError;
use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = RoomError> = std::result::Result<T, E>;

/// What can go wrong in a room. The API turns each into the spec's error code.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// `M_NOT_FOUND`: no such room, event, alias or state, or none that the caller may know of.
    #[error("{0}")]
    NotFound(&'static str),
    /// `M_FORBIDDEN`: the rules of the room or of the server say no.
    #[error("{0}")]
    Forbidden(String),
    /// `M_BAD_JSON` or `M_INVALID_PARAM`: the request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// `M_BAD_JSON`, `M_TOO_LARGE`: the event cannot be built.
    #[error(transparent)]
    Event(#[from] PduError),
    /// `M_UNSUPPORTED_ROOM_VERSION`.
    #[error("this server does not support room version {0}")]
    UnsupportedVersion(String),
    /// `M_ROOM_IN_USE`: the alias belongs to another room.
    #[error("that alias is in use")]
    AliasInUse,
    /// `M_BAD_ALIAS`: the room is to be named by an alias that leads elsewhere or nowhere.
    #[error("the alias {0} does not lead to this room")]
    BadAlias(String),
    /// `M_DUPLICATE_ANNOTATION`: the sender has reacted in this way before.
    #[error("you have reacted like that before")]
    AnnotatedBefore,
    /// `M_INVALID_ROOM_STATE`: the initial state contradicts itself.
    #[error("{0}")]
    InvalidState(String),
    /// Others changed the room again and again while we tried; the client may try again.
    #[error("the room is changing too quickly; try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RoomError {
    /// The room does not exist, as far as the caller may know.
    pub const NO_ROOM: Self = Self::NotFound("no such room, or you are not in it");
    /// The event does not exist, as far as the caller may know.
    pub const NO_EVENT: Self = Self::NotFound("no such event, or you may not see it");

    /// The caller is not in the room.
    pub fn not_joined() -> Self {
        Self::Forbidden("you are not in that room".to_owned())
    }
}
