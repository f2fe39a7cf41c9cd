//! The one place of bounds: everything that can grow has its limit here.

/// Largest request body of an ordinary API call. Larger ones answer `M_TOO_LARGE`.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest event, whole PDU (spec, "Size limits").
pub const EVENT_BYTES_MAX: usize = 65_536;

/// Longest Matrix identifier, event type or state key (spec, "Size limits").
pub const IDENTIFIER_BYTES_MAX: usize = 255;

/// Longest a client may wait in one `/sync`, in milliseconds.
pub const SYNC_TIMEOUT_MS_MAX: u64 = 120_000;

/// Most events in one timeline of one sync answer.
pub const SYNC_TIMELINE_EVENTS_MAX: usize = 100;

/// Most events in one page of `/messages`, `/context` or `/relations`.
pub const PAGE_EVENTS_MAX: usize = 1_000;

/// Most to-device messages in one sync answer; the rest follow in the next.
pub const TO_DEVICE_BATCH_MAX: usize = 100;

/// Longest transaction id a client may choose, in bytes.
pub const TRANSACTION_ID_BYTES_MAX: usize = 255;

/// Longest content type of an upload that is kept, in bytes.
pub const MEDIA_CONTENT_TYPE_BYTES_MAX: usize = 255;

/// Longest file name of an upload that is kept, in bytes.
pub const MEDIA_NAME_BYTES_MAX: usize = 255;

/// Longest a download waits for content that was promised, in milliseconds.
pub const MEDIA_TIMEOUT_MS_MAX: u64 = 60_000;

/// Uploads that run at the same time in the whole server.
pub const MEDIA_UPLOADS_AT_ONCE_MAX: usize = 256;

/// Thumbnails that wait to be made; more are asked to come back.
pub const MEDIA_THUMBNAILS_WAITING_MAX: usize = 128;

/// Pages of which previews are made at the same time.
pub const MEDIA_PREVIEWS_AT_ONCE_MAX: usize = 16;

/// Longest address of which a preview is made, in bytes.
pub const MEDIA_PREVIEW_URL_BYTES_MAX: usize = 2_048;

/// Longest pattern with wildcards that a filter or push rule may hold, in bytes.
pub const PATTERN_BYTES_MAX: usize = 512;

/// Most types, senders and rooms that one part of a filter may name.
pub const FILTER_ENTRIES_MAX: usize = 1_000;

/// Most push rules one user may add.
pub const PUSH_RULES_MAX: usize = 1_000;

/// Largest size of all push rules of one user, as JSON, in bytes.
pub const PUSH_RULES_BYTES_MAX: usize = 128 * 1024;
