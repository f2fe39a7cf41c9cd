//! Puts all parts together.

use std::{fs, num::NonZeroU32, num::NonZeroUsize, sync::Arc};

use anyhow::{Context as _, bail};
use haechi_accounts::{AccountSettings, Accounts, DeviceHooks, HookFuture, Presence};
use haechi_api_client::{App, Handles, RegistrationMode, Settings};
use haechi_base::{Clock, UserNid};
use haechi_config::{Config, DatabaseTarget, RateLimits, Registration};
use haechi_http::{Rate, RateLimiter};
use haechi_keys::Keys;
use haechi_store::{Commit, Db, DbConfig, Schema, Tx};
use ruma::{RoomVersionId, ServerName};
use tokio::sync::mpsc::Receiver;

/// The tables of all crates, each after those it needs.
const SCHEMAS: &[&Schema] = &[&haechi_accounts::SCHEMA, &haechi_keys::SCHEMA];

/// The parts that the commands work with.
pub(crate) struct Parts {
    pub(crate) accounts: Accounts,
    pub(crate) keys: Keys,
    pub(crate) presence: Presence,
    pub(crate) app: App,
}

/// Opens the database and builds everything on it.
///
/// The receiver tells what becomes visible, in order; it must be read.
pub(crate) async fn compose(config: &Config) -> anyhow::Result<(Parts, Receiver<Commit>)> {
    let clock = Clock::System;
    let (db, feed) = open(config).await?;
    let keys = Keys::new(db.clone(), clock.clone());
    let accounts = accounts(config, &db, &clock, &keys)?;
    let presence = {
        let users = accounts.count_up_to(config.presence.auto_users_max + 1).await?;
        Presence::new(db, clock, config.presence.is_on(users))
    };
    let app = App::new(Handles {
        settings: settings(config)?,
        limiter: limiter(&config.rate_limits),
        accounts: accounts.clone(),
        presence: presence.clone(),
    });
    Ok((Parts { accounts, keys, presence, app }, feed))
}

async fn open(config: &Config) -> anyhow::Result<(Db, Receiver<Commit>)> {
    fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the folder {}", config.data_dir.display()))?;
    let DatabaseTarget::Sqlite(path) = config.database_target().map_err(anyhow::Error::msg)? else {
        bail!("this build knows no PostgreSQL");
    };
    let readers = NonZeroUsize::new(config.database.connections_max).unwrap_or(NonZeroUsize::MIN);
    let shown = path.display().to_string();
    Db::open(&DbConfig::Sqlite { path, readers }, SCHEMAS)
        .await
        .with_context(|| format!("cannot open the database {shown}"))
}

fn accounts(config: &Config, db: &Db, clock: &Clock, keys: &Keys) -> anyhow::Result<Accounts> {
    let server_name = ServerName::parse(&config.server_name).context("`server_name`")?;
    let hooks: Arc<dyn DeviceHooks> = Arc::new(KeyHooks(keys.clone()));
    let settings = AccountSettings::new(server_name);
    Ok(Accounts::new(db.clone(), clock.clone(), settings, Some(hooks)))
}

fn settings(config: &Config) -> anyhow::Result<Settings> {
    Ok(Settings {
        public_base_url: config.public_base_url.clone(),
        registration: match config.registration {
            Registration::Open => RegistrationMode::Open,
            Registration::Token => RegistrationMode::Token,
            Registration::Closed => RegistrationMode::Closed,
        },
        default_room_version: RoomVersionId::try_from(config.default_room_version.as_str())
            .context("`default_room_version`")?,
    })
}

/// What the endpoints that the specification marks as limited allow each user: more than a client
/// that loads a page of avatars needs.
const GENERAL: Rate = rate(6_000, 1_000);

const fn rate(per_minute: u32, burst: u32) -> Rate {
    Rate { per_minute: at_least(per_minute), burst: at_least(burst) }
}

const fn at_least(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

fn limiter(limits: &RateLimits) -> RateLimiter {
    if !limits.enabled {
        return RateLimiter::off();
    }
    RateLimiter::new(haechi_http::RateLimits {
        general: GENERAL,
        messages: rate(limits.messages_per_second.saturating_mul(60), limits.messages_burst),
        logins: rate(limits.logins_per_minute, limits.logins_burst),
        registrations: rate(limits.registrations_per_minute, limits.registrations_burst),
    })
}

/// Keeps the keys of devices in step with the devices.
struct KeyHooks(Keys);

impl DeviceHooks for KeyHooks {
    fn deleted<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        user: UserNid,
        devices: &'a [String],
    ) -> HookFuture<'a> {
        Box::pin(async move {
            let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
            haechi_keys::forget_devices(tx, user, &devices).await
        })
    }

    fn renamed<'a>(&'a self, tx: &'a mut Tx<'_>, user: UserNid) -> HookFuture<'a> {
        Box::pin(haechi_keys::announce_device_list(tx, user))
    }

    fn forget(&self, user: UserNid, devices: &[String]) {
        let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
        self.0.forgotten(user, &devices);
    }
}
