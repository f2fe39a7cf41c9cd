//! What a user may have of each thing.

use std::time::Duration;

/// Longest password in bytes: hashing a longer one would cost the server too much.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Passwords that wait for one being hashed; more are refused.
pub const PASSWORDS_WAITING_MAX: usize = 256;
/// Devices of one user.
pub const DEVICES_MAX: i64 = 1_000;
/// Longest name of a device in bytes.
pub const DEVICE_NAME_BYTES_MAX: usize = 1_024;
/// Filters of one user.
pub const FILTERS_MAX: i64 = 1_000;
/// Entries of account data of one user, in all rooms together.
pub const ACCOUNT_DATA_MAX: i64 = 50_000;
/// Longest display name in bytes.
pub const DISPLAY_NAME_BYTES_MAX: usize = 1_024;
/// Longest avatar URL in bytes.
pub const AVATAR_URL_BYTES_MAX: usize = 1_024;
/// Longest name of a profile field in bytes (client-server API, "Profiles").
pub const PROFILE_KEY_BYTES_MAX: usize = 255;
/// Largest profile in bytes (client-server API, "Profiles").
pub const PROFILE_BYTES_MAX: usize = 65_536;
/// Words of a name that can be found.
pub const DIRECTORY_WORDS_MAX: usize = 16;
/// Endings of a word that can be found.
pub const DIRECTORY_ENDINGS_MAX: usize = 24;
/// Longest word that can be found, in characters.
pub const DIRECTORY_WORD_CHARS_MAX: usize = 48;
/// Users looked at in one search of the directory.
pub const DIRECTORY_CANDIDATES_MAX: i64 = 2_000;
/// Users whose ids are remembered.
pub const USERS_CACHED_MAX: u64 = 500_000;
/// Access tokens remembered.
pub const TOKENS_CACHED_MAX: u64 = 200_000;
/// How long an access token is remembered before the database is asked again.
pub const TOKEN_CACHED: Duration = Duration::from_mins(10);
/// How long a login token is good.
pub const LOGIN_TOKEN_LIFE: Duration = Duration::from_mins(2);
/// How long an OpenID token is good.
pub const OPENID_TOKEN_LIFE: Duration = Duration::from_hours(1);
/// How exactly the last activity of a device is kept.
pub const SEEN_EVERY: Duration = Duration::from_mins(1);
/// Devices whose last activity waits to be written.
pub const SEEN_WAITING_MAX: usize = 100_000;
/// Longest status message of a presence in bytes.
pub const STATUS_BYTES_MAX: usize = 1_024;
/// Users whose presence is remembered.
pub const PRESENCES_MAX: usize = 200_000;
/// Users whom one user can ignore.
pub const IGNORED_MAX: usize = 10_000;
/// Lists of ignored users remembered.
pub const IGNORED_CACHED_MAX: u64 = 100_000;
/// How long a list of ignored users is remembered before the database is asked again.
pub const IGNORED_CACHED: Duration = Duration::from_mins(1);
