//! What every API crate needs over axum: Matrix endpoints from ruma's types, errors in the Matrix
//! shape, authentication, limits, and the layers around all of it.
//!
//! ```text
//! router.endpoint(get_filter) // async fn get_filter(app: App, call: Call<get_filter::v3::Request>)
//! ```

mod busy;
mod endpoint;
mod error;
mod limiter;
mod scheme;
mod stack;

pub use busy::Busy;
pub use endpoint::{Call, Raw, RouterExt};
pub use error::{ApiError, Uia};
pub use haechi_accounts::Session;
pub use limiter::{Class, LimitKey, Rate, RateLimiter, RateLimits};
pub use scheme::{Authenticate, Scheme};
pub use stack::{ClientIp, Stack, StackSettings};
