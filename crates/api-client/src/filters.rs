//! Filters that a client stores to use them by id.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::api::client::filter::{create_filter::v3 as create_filter, get_filter::v3 as get_filter};
use serde_json::value::to_raw_value;

use crate::{App, Result, app::only_self};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(create).endpoint(get)
}

async fn create(app: App, call: Call<create_filter::Request>) -> Result<create_filter::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let definition = to_raw_value(&call.request.filter).map_err(ApiError::internal)?;
    let filter_id = app.accounts.add_filter(call.caller.user, definition).await?;
    Ok(create_filter::Response::new(filter_id))
}

async fn get(app: App, call: Call<get_filter::Request>) -> Result<get_filter::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let filter = app.accounts.filter(call.caller.user, &call.request.filter_id).await?;
    let filter = filter.ok_or_else(|| ApiError::not_found("No such filter"))?;
    let filter = serde_json::from_str(filter.get()).map_err(ApiError::internal)?;
    Ok(get_filter::Response::new(filter))
}
