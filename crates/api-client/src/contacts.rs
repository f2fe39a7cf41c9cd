//! E-mail addresses and telephone numbers. There is neither a mailer nor an identity server here,
//! and these endpoints say so.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use http::StatusCode;
use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus, add_3pid::v3 as add, bind_3pid::v3 as bind,
    delete_3pid::v3 as delete, get_3pids::v3 as list,
    request_3pid_management_token_via_email::v3 as add_by_email,
    request_3pid_management_token_via_msisdn::v3 as add_by_phone,
    request_password_change_token_via_email::v3 as password_by_email,
    request_password_change_token_via_msisdn::v3 as password_by_phone,
    request_registration_token_via_email::v3 as register_by_email,
    request_registration_token_via_msisdn::v3 as register_by_phone, unbind_3pid::v3 as unbind,
};

use crate::{App, Error};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(async |_: App, _: Call<list::Request>| {
            Ok::<_, Error>(list::Response::new(vec![]))
        })
        .endpoint(async |_: App, _: Call<add::Request>| {
            let text = "Nothing has been validated in this session";
            let code = "M_THREEPID_AUTH_FAILED";
            Result::<add::Response, _>::Err(ApiError::new(StatusCode::BAD_REQUEST, code, text))
        })
        .endpoint(async |_: App, _: Call<bind::Request>| {
            let error = ApiError::server_not_trusted("No identity server is set up here");
            Result::<bind::Response, _>::Err(error)
        })
        .endpoint(async |_: App, _: Call<delete::Request>| {
            Ok::<_, Error>(delete::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
        })
        .endpoint(async |_: App, _: Call<unbind::Request>| {
            Ok::<_, Error>(unbind::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
        })
        .endpoint(async |_: App, _: Call<add_by_email::Request>| no_email())
        .endpoint(async |_: App, _: Call<password_by_email::Request>| no_email())
        .endpoint(async |_: App, _: Call<register_by_email::Request>| no_email())
        .endpoint(async |_: App, _: Call<add_by_phone::Request>| no_phone())
        .endpoint(async |_: App, _: Call<password_by_phone::Request>| no_phone())
        .endpoint(async |_: App, _: Call<register_by_phone::Request>| no_phone())
}

fn no_email<T>() -> Result<T, ApiError> {
    Err(ApiError::threepid_medium_not_supported("This server sends no e-mail"))
}

fn no_phone<T>() -> Result<T, ApiError> {
    Err(ApiError::threepid_medium_not_supported("This server sends no text messages"))
}
