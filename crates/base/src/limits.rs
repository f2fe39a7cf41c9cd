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

/// Longest pattern with wildcards that a filter or push rule may hold, in bytes.
pub const PATTERN_BYTES_MAX: usize = 512;

/// Most types, senders and rooms that one part of a filter may name.
pub const FILTER_ENTRIES_MAX: usize = 1_000;

/// Most push rules one user may add.
pub const PUSH_RULES_MAX: usize = 1_000;

/// Largest size of all push rules of one user, as JSON, in bytes.
pub const PUSH_RULES_BYTES_MAX: usize = 128 * 1024;
