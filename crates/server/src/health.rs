//! What watches the server.

use std::time::Duration;

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use haechi_accounts::Accounts;
use haechi_bus::Bus;
use haechi_rooms::Rooms;
use haechi_store::Db;
use haechi_telemetry::Recorder;
use metrics::gauge;
use tokio::{sync::watch, time::timeout};

/// How long the database may take to answer a server that calls itself ready.
const DATABASE: Duration = Duration::from_secs(2);

/// `/healthz`: the process lives. `/readyz`: it can serve; 503 while it shuts down, when the database
/// does not answer, and when what it shows may be out of date. Without the bus it can serve.
pub(crate) fn routes(
    db: Db,
    bus: Bus,
    accounts: Accounts,
    closing: watch::Receiver<bool>,
) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route(
        "/readyz",
        get(async move || {
            if *closing.borrow() {
                return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
            }
            match timeout(DATABASE, accounts.count_up_to(1)).await {
                Ok(Ok(_)) if db.is_stale() => {
                    let stale = "stale: no write can be confirmed\n";
                    (StatusCode::SERVICE_UNAVAILABLE, stale).into_response()
                }
                Ok(Ok(_)) if !bus.is_there() => {
                    "ready, without the bus: other servers are heard of by polling\n"
                        .into_response()
                }
                Ok(Ok(_)) => "ready\n".into_response(),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "no database\n").into_response(),
            }
        }),
    )
}

/// `/metrics`, as Prometheus reads it.
pub(crate) fn metrics(recorder: Recorder, db: Db, bus: Bus, rooms: Rooms) -> Router {
    Router::new().route(
        "/metrics",
        get(async move || {
            gauge!("haechi_bus_up").set(number(u64::from(bus.is_there())));
            gauge!("haechi_store_stale").set(number(u64::from(db.is_stale())));
            let (kept, bytes) = rooms.kept_in_memory();
            gauge!("haechi_rooms_kept").set(number(kept));
            gauge!("haechi_rooms_kept_bytes").set(number(bytes));
            ([("content-type", "text/plain; version=0.0.4")], recorder.render())
        }),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and these are below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}
