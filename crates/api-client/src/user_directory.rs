//! Finding users by name.

use axum::Router;
use haechi_http::{Call, RouterExt as _};
use ruma::api::client::user_directory::search_users::v3 as search_users;

use crate::{App, Result};

/// Most users in one answer.
const RESULTS_MAX: usize = 50;

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(search)
}

/// Everybody with an account here can be found, except by himself.
async fn search(app: App, call: Call<search_users::Request>) -> Result<search_users::Response> {
    let limit = usize::try_from(call.request.limit).unwrap_or(RESULTS_MAX).min(RESULTS_MAX);
    let me = call.caller.user;
    let term = &call.request.search_term;
    let (found, limited) = app.accounts.search(term, limit, |user| user != me).await?;
    let shown = found.into_iter().map(|found| {
        let mut user = search_users::User::new(found.user_id);
        user.display_name = found.display_name;
        user.avatar_url = found.avatar_url.map(Into::into);
        user
    });
    Ok(search_users::Response::new(shown.collect(), limited))
}
