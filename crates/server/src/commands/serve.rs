//! `haechi serve`.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use haechi_config::{Config, LogFormat};
use haechi_http::StackSettings;
use haechi_telemetry::Recorder;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    admin::{self, Office},
    cli::ConfigFlags,
    compose::{Parts, compose},
    health,
    listen::Listeners,
    web,
};

/// Serves until a signal or a failure ends it.
pub(crate) fn run(flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    let format = match config.log.format {
        LogFormat::Text => haechi_telemetry::LogFormat::Text,
        LogFormat::Json => haechi_telemetry::LogFormat::Json,
    };
    haechi_telemetry::init_logs(&config.log.level, format)?;
    let recorder = Recorder::install(env!("CARGO_PKG_VERSION"))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(serve(&config, recorder))
}

async fn serve(config: &Config, recorder: Recorder) -> anyhow::Result<()> {
    let (close, closing) = watch::channel(false);
    // Before anything is open: a signal that comes early must not be lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let parts = Arc::new(compose(config, closing.clone()).await?);
    let tls = tls(config).await?;
    let settings = StackSettings {
        trusted_proxies: config.trusted_proxies.clone(),
        ..StackSettings::default()
    };
    let matrix = haechi_api_client::router(parts.app.clone());
    let services = haechi_api_services::router(parts.services.clone());
    let api = haechi_http::Stack::new(matrix.merge(services), &settings);
    let health = health::routes(
        parts.db.clone(),
        parts.bus.clone(),
        parts.accounts.clone(),
        closing.clone(),
    );

    let mut listeners = Listeners::new(config.limits.connections_max);
    for address in &config.listen {
        let router = health.clone().fallback_service(web::beside(config, api.clone()));
        listeners.serve(*address, router, tls.as_ref())?;
    }
    if let Some(address) = config.metrics_listen {
        let router = health.clone().merge(health::metrics(
            recorder,
            parts.db.clone(),
            parts.bus.clone(),
            parts.app.rooms.clone(),
        ));
        listeners.serve(address, router, None)?;
    }
    let admin = admin::Socket::open(&config.data_dir)?;
    let office = Office {
        accounts: parts.accounts.clone(),
        rooms: parts.app.rooms.clone(),
        media: parts.media.clone(),
        pay: parts.services.pay.clone(),
    };
    tokio::spawn(admin.serve(office));
    tokio::spawn(keep_house(Arc::clone(&parts)));
    tracing::info!(
        server_name = config.server_name,
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );

    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        failed = listeners.failed() => failed,
    };
    tracing::info!("shutting down");
    // Whoever waits in a long-poll is answered now.
    close.send_replace(true);
    listeners.shut_down(config.limits.shutdown_grace()).await;
    if let Err(error) = parts.accounts.write_seen().await {
        tracing::warn!(%error, "the last use of devices was not written down");
    }
    parts.db.close().await;
    tracing::info!("stopped");
    ended
}

async fn tls(config: &Config) -> anyhow::Result<Option<RustlsConfig>> {
    let Some((cert, key)) = config.tls.files() else { return Ok(None) };
    // Fails only if there is one already, which does as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let loaded = RustlsConfig::from_pem_file(cert, key).await;
    loaded.map(Some).context("cannot use the certificate and key of `tls`")
}

/// Ends what is pending past its time. Every node may: it is decided under the ledger's lock.
async fn settle(parts: &Parts) -> anyhow::Result<()> {
    parts.services.pay.sweep().await?;
    parts.ledger.expire().await?;
    Ok(())
}

/// What must be done from time to time. Trouble is logged and tried again the next time.
async fn keep_house(parts: Arc<Parts>) {
    let every = |seconds| {
        let mut interval = interval(Duration::from_secs(seconds));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    };
    let (mut presence, mut seen, mut purge) = (every(10), every(60), every(3_600));
    let (mut sweep, mut money) = (every(300), every(1));
    loop {
        let (what, done) = tokio::select! {
            _ = presence.tick() => ("presence", parts.presence.expire().await.map_err(anyhow::Error::from)),
            _ = seen.tick() => ("last use of devices", parts.accounts.write_seen().await.map_err(anyhow::Error::from)),
            _ = sweep.tick() => ("old media", parts.media.sweep().await.map(drop).map_err(anyhow::Error::from)),
            _ = money.tick() => ("money on its way", settle(&parts).await),
            _ = purge.tick() => ("old keys", parts.keys.purge().await.map_err(anyhow::Error::from)),
        };
        if let Err(error) = done {
            tracing::warn!(what, error = format!("{error:#}"), "housekeeping failed");
        }
    }
}
