//! The web app on `/`, beside the API.

use std::convert::Infallible;

use axum::{extract::Request, response::Response};
use haechi_config::{Config, Registration};
use haechi_http::Stack;
use haechi_webapp::Welcome;
use tower::{Service, ServiceExt as _};

/// Answers what belongs to the web app by it, all else by `api`.
pub(crate) fn beside(
    config: &Config,
    api: Stack,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let web = config.web.enabled.then(|| haechi_webapp::routes(&welcome(config)));
    tower::service_fn(move |request: Request| {
        let web = web.clone().filter(|_| haechi_webapp::claims(request.uri().path()));
        let api = api.clone();
        async move {
            match web {
                Some(web) => web.oneshot(request).await,
                None => api.oneshot(request).await,
            }
        }
    })
}

fn welcome(config: &Config) -> Welcome {
    Welcome {
        server_name: config.server_name.clone(),
        name: config.web.name.clone(),
        welcome: config.web.welcome.clone(),
        base_urls: config.web.base_urls.clone(),
        registration: match config.registration {
            Registration::Open => "open",
            Registration::Token => "token",
            Registration::Closed => "closed",
        }
        .to_owned(),
    }
}
