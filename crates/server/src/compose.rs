//! Puts all parts together.

use std::{fs, num::NonZeroU32, num::NonZeroUsize, sync::Arc};

use anyhow::{Context as _, anyhow};
use haechi_accounts::{AccountSettings, Accounts, DeviceHooks, Presence};
use haechi_api_client::{App, FilterCache, Handles, RegistrationMode, Relays, Settings};
use haechi_api_services::Services;
use haechi_base::Clock;
use haechi_blob::Blob;
use haechi_bus::Bus;
use haechi_config::{Config, DatabaseTarget, PushBadge, RateLimits, Registration};
use haechi_http::{Rate, RateLimiter};
use haechi_keys::Keys;
use haechi_ledger::Ledger;
use haechi_media::{FetchConfig, Media, MediaConfig, PreviewConfig, UserLimits};
use haechi_push::{BadgeCounts, Push, PushSettings, PusherHooks};
use haechi_rooms::Rooms;
use haechi_store::{Commit, Db, DbConfig, Schema};
use haechi_sync::Sync;
use ruma::ServerName;
use tokio::sync::{
    mpsc::{self, Receiver},
    watch,
};

use crate::{admin::Office, others, pay};

/// The tables of all crates, each after those it needs.
const SCHEMAS: &[&Schema] = &[
    &haechi_accounts::SCHEMA,
    &haechi_keys::SCHEMA,
    &haechi_rooms::SCHEMA,
    &haechi_media::SCHEMA,
    &haechi_push::SCHEMA,
    &haechi_ledger::SCHEMA,
    &haechi_pay::SCHEMA,
];

/// The parts that `haechi serve` looks after.
pub(crate) struct Parts {
    pub(crate) db: Db,
    pub(crate) accounts: Accounts,
    pub(crate) keys: Keys,
    pub(crate) presence: Presence,
    pub(crate) media: Media,
    pub(crate) bus: Bus,
    pub(crate) app: App,
    pub(crate) ledger: Ledger,
    pub(crate) services: Services,
}

/// Opens the database and builds everything on it. Long-polls end when `closing` turns true.
pub(crate) async fn compose(
    config: &Config,
    closing: watch::Receiver<bool>,
) -> anyhow::Result<Parts> {
    let clock = Clock::System;
    let (db, feed) = open(config, Purpose::Serve).await?;
    let keys = Keys::new(db.clone(), clock.clone());
    let accounts = accounts(config, &db, &keys)?;
    let media = media(config, &db, &clock)?;
    let count = accounts.count_up_to(config.presence.auto_users_max.saturating_add(1)).await?;
    let presence = Presence::new(db.clone(), clock.clone(), config.presence.is_on(count));
    let rooms = rooms(config, &db, &accounts).await?;
    let push = Push::start(
        db.clone(),
        clock.clone(),
        accounts.clone(),
        rooms.clone(),
        PushSettings {
            allow_private_addresses: config.push.allow_private_addresses,
            badge: match config.push.badge {
                PushBadge::Messages => BadgeCounts::Messages,
                PushBadge::Rooms => BadgeCounts::Rooms,
            },
            ..PushSettings::STANDARD
        },
        closing.clone(),
    )
    .await
    .context("cannot set up push")?;
    let bus = others::join(config, &db, &rooms)?;
    tokio::spawn(rooms.clone().keep_search_index(closing.clone()));
    let sync = Sync::start(
        &db,
        heard_by(push.clone(), feed),
        rooms.clone(),
        accounts.clone(),
        presence.clone(),
        keys.clone(),
        clock.clone(),
        closing,
    );
    let limiter = limiter(&config.rate_limits);
    let ledger = Ledger::new(db.clone(), clock.clone());
    let services = Services {
        pay: pay::payments(config, &db, &ledger, &clock, &rooms, &accounts)?,
        accounts: accounts.clone(),
        rooms: rooms.clone(),
        limiter: limiter.clone(),
    };
    let app = App::new(Handles {
        settings: settings(config, &clock)?,
        limiter,
        accounts: accounts.clone(),
        presence: presence.clone(),
        rooms,
        keys: keys.clone(),
        push,
        sync,
        media: media.clone(),
        filters: FilterCache::default(),
    });
    Ok(Parts { db, accounts, keys, presence, media, bus, app, ledger, services })
}

/// Commits that wait between push and sync.
const COMMITS_MAX: usize = 64;

/// The same feed, which push hears first.
fn heard_by(push: Push, mut feed: Receiver<Commit>) -> Receiver<Commit> {
    let (sender, receiver) = mpsc::channel(COMMITS_MAX);
    tokio::spawn(async move {
        while let Some(commit) = feed.recv().await {
            push.on_commit(&commit);
            if sender.send(commit).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Opens the database for a command that works on accounts.
pub(crate) async fn office(config: &Config) -> anyhow::Result<Office> {
    let (db, mut feed) = open(config, Purpose::Command).await?;
    tokio::spawn(async move { while feed.recv().await.is_some() {} });
    let keys = Keys::new(db.clone(), Clock::System);
    let accounts = accounts(config, &db, &keys)?;
    let rooms = rooms(config, &db, &accounts).await?;
    let media = media(config, &db, &Clock::System)?;
    let ledger = Ledger::new(db.clone(), Clock::System);
    let pay = pay::payments(config, &db, &ledger, &Clock::System, &rooms, &accounts)?;
    Ok(Office { accounts, rooms, media, pay })
}

async fn rooms(config: &Config, db: &Db, accounts: &Accounts) -> anyhow::Result<Rooms> {
    let key = haechi_rooms::signing_key(db).await.context("the signing key")?;
    let (users, server_name) = (accounts.users().clone(), accounts.server_name().to_owned());
    let cache_bytes_max = config.limits.cache_bytes_max;
    Ok(Rooms::new(db.clone(), users, Clock::System, server_name, key, cache_bytes_max))
}

/// What a database is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Serve,
    Command,
}

/// Opens the database for a command that only reads.
pub(crate) async fn reading(config: &Config) -> anyhow::Result<Db> {
    let (database, shown) = database(config, Purpose::Command)?;
    let opened = Db::open_reading(&database, SCHEMAS).await;
    opened.with_context(|| format!("cannot open the database {shown}"))
}

async fn open(config: &Config, purpose: Purpose) -> anyhow::Result<(Db, Receiver<Commit>)> {
    fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the folder {}", config.data_dir.display()))?;
    let (database, shown) = database(config, purpose)?;
    Db::open(&database, SCHEMAS).await.with_context(|| format!("cannot open the database {shown}"))
}

/// Which database, and how it is called in messages.
fn database(config: &Config, purpose: Purpose) -> anyhow::Result<(DbConfig, String)> {
    let at_least_one = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
    let connections = at_least_one(config.database.connections_max);
    let target = config.database_target().map_err(|problem| anyhow!("{problem}"))?;
    Ok(match target {
        DatabaseTarget::Sqlite(path) => {
            let shown = path.display().to_string();
            (DbConfig::Sqlite { path, readers: connections }, shown)
        }
        DatabaseTarget::Postgres { url, local } => {
            let lanes = usize::from(config.database.lanes_per_node);
            let committers = if purpose == Purpose::Serve { lanes } else { 1 };
            let database = DbConfig::Postgres {
                url: url.expose().into(),
                local: local.as_ref().map(|url| url.expose().into()),
                pool: connections,
                committers: at_least_one(committers),
                node: node_name(config, purpose),
            };
            (database, "on PostgreSQL".to_owned())
        }
    })
}

/// A name that this node has after a restart and that no other node has.
fn node_name(config: &Config, purpose: Purpose) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let address = config.listen.first().map(ToString::to_string).unwrap_or_default();
    let node = format!("{}/{address}", host.trim());
    match purpose {
        Purpose::Serve => node,
        // Beside the server, whose lanes it must not take.
        Purpose::Command => format!("{node}/command-{}", std::process::id()),
    }
}

fn accounts(config: &Config, db: &Db, keys: &Keys) -> anyhow::Result<Accounts> {
    let server_name = ServerName::parse(&config.server_name).context("`server_name`")?;
    let hooks: Arc<dyn DeviceHooks> = Arc::new(PusherHooks::beside(Arc::new(keys.clone())));
    let settings = AccountSettings::new(server_name);
    Ok(Accounts::new(db.clone(), Clock::System, settings, Some(hooks)))
}

fn media(config: &Config, db: &Db, clock: &Clock) -> anyhow::Result<Media> {
    let limit = |bytes: u64| (bytes > 0).then_some(bytes);
    let preview = config.media.url_preview.then(|| {
        let hosts = config.media.clone();
        let fetch = FetchConfig::public(format!("haechi/{}", env!("CARGO_PKG_VERSION")));
        PreviewConfig {
            may_preview: Arc::new(move |host| hosts.may_preview(host)),
            ..PreviewConfig::new(fetch)
        }
    });
    let settings = MediaConfig {
        upload_bytes_max: config.media.upload_bytes_max,
        user: UserLimits {
            bytes_max: limit(config.media.user_bytes_max),
            day_bytes_max: limit(config.media.user_day_bytes_max),
            ..UserLimits::STANDARD
        },
        preview,
        ..MediaConfig::new(&config.server_name)
    };
    let folder = config.media_dir();
    let blob = Blob::folder(&folder)
        .with_context(|| format!("cannot use the folder {}", folder.display()))?;
    Media::new(settings, db.clone(), blob, clock.clone()).context("cannot set up URL previews")
}

fn settings(config: &Config, clock: &Clock) -> anyhow::Result<Settings> {
    let secret = config.turn.shared_secret().map_err(|problem| anyhow!("{problem}"))?;
    let relays = secret.map(|secret| {
        let lifetime = config.turn.user_lifetime();
        Relays::new(config.turn.uris.clone(), secret.expose(), lifetime, clock.clone())
    });
    Ok(Settings {
        relays,
        public_base_url: config.public_base_url.clone(),
        registration: match config.registration {
            Registration::Open => RegistrationMode::Open,
            Registration::Token => RegistrationMode::Token,
            Registration::Closed => RegistrationMode::Closed,
        },
        default_room_version: config
            .default_room_version
            .parse()
            .map_err(|_| anyhow!("`default_room_version` is no version that is known here"))?,
        media_without_token: config.media.without_token,
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
