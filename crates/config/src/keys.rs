//! The one list of keys.

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its name, with its section before a dot.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What stands there when nothing is said, as TOML; none means "not set".
    pub default: Option<&'static str>,
    /// A value to show in the example file where there is no default, as TOML.
    pub example: &'static str,
    /// May it be shown?
    pub secrecy: Secrecy,
    /// What it does, in sentences.
    pub about: &'static str,
}

/// What may stand in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number in these bounds, both included.
    Integer(i64, i64),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IP address with a port.
    Address,
    /// A list of IP addresses with ports.
    Addresses,
    /// A list of IP addresses.
    Hosts,
    /// A list of texts.
    Texts,
}

/// May a value be shown, and given as a flag?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Yes.
    Open,
    /// It is a URL, whose password may not.
    UrlPassword,
}

impl Key {
    /// The key of this path.
    pub fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("HAECHI_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// Its section; empty for the keys before the first section.
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// Its name inside its section.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { path, kind, default: Some(default), example: default, secrecy: Secrecy::Open, about }
}

const fn unset(path: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Key {
    Key { path, kind, default: None, example, secrecy: Secrecy::Open, about }
}

/// Every key there is, by section.
pub const KEYS: &[Key] = &[
    unset(
        "server_name",
        Kind::Text,
        "\"haechi.example\"",
        "Required. The part after the colon in the ids of users and rooms (@mina:haechi.example). \
         It can never be changed once somebody has registered.",
    ),
    unset(
        "public_base_url",
        Kind::Text,
        "\"https://haechi.example\"",
        "Where clients reach the server from outside; told by /.well-known/matrix/client. \
         When not set: https:// and the server name.",
    ),
    key(
        "listen",
        Kind::Addresses,
        "[\"127.0.0.1:8008\"]",
        "Where the server listens for clients. Plain HTTP, meant for a proxy in front, unless `tls` \
         is set.",
    ),
    unset(
        "metrics_listen",
        Kind::Address,
        "\"127.0.0.1:9008\"",
        "Where /metrics (Prometheus) is served. When not set it is served nowhere. Keep it away \
         from the public.",
    ),
    key(
        "data_dir",
        Kind::Text,
        "\"data\"",
        "The folder for everything that is kept: the SQLite database and uploaded media. \
         A relative path counts from where the server is started.",
    ),
    key(
        "registration",
        Kind::Choice(&["open", "token", "closed"]),
        "\"closed\"",
        "Who may register: anybody who reaches the server (open), whoever has a token made by \
         `haechi token create` (token), or nobody (closed; `haechi user create` always works).",
    ),
    key(
        "default_room_version",
        Kind::Choice(&["6", "7", "8", "9", "10", "11", "12"]),
        "\"12\"",
        "The version of a new room for which the client asks for none.",
    ),
    key(
        "trusted_proxies",
        Kind::Hosts,
        "[]",
        "Proxies whose X-Forwarded-For is believed. Without it, all clients behind a proxy count \
         as one address for the rate limits.",
    ),
    Key {
        path: "database.url",
        kind: Kind::Text,
        default: Some("\"sqlite:\""),
        example: "\"sqlite:\"",
        secrecy: Secrecy::UrlPassword,
        about: "Where the truth is kept. `sqlite:` is haechi.db in the data folder, \
                `sqlite:some/file.db` another file, `postgres://user:password@host1,host2/name` \
                PostgreSQL 15 or later: of several hosts the one that accepts writes is used. \
                As a flag it must hold no password.",
    },
    unset(
        "database.password_file",
        Kind::Text,
        "\"/run/secrets/haechi-database\"",
        "A file with the password for PostgreSQL, so that the URL needs none.",
    ),
    Key {
        path: "database.local_url",
        kind: Kind::Text,
        default: None,
        example: "\"postgres://haechi@db.a.haechi.example/haechi\"",
        secrecy: Secrecy::UrlPassword,
        about: "With several sites: the PostgreSQL server of this site, whether it is the primary or \
                follows it. Reads go there; what is written goes to the primary, by database.url.",
    },
    key(
        "database.connections_max",
        Kind::Integer(2, 1_000),
        "16",
        "Most connections to PostgreSQL, or reading threads on SQLite.",
    ),
    key(
        "database.lanes_per_node",
        Kind::Integer(1, 64),
        "4",
        "How many groups of writes one server commits at the same time on PostgreSQL. SQLite always \
         has one.",
    ),
    key(
        "bus.nats",
        Kind::Texts,
        "[]",
        "With several servers on one database: the NATS servers by which they tell one another what \
         is new, as nats://host:4222 or tls://host:4222, that of the own site first. Without it they \
         look into the database twice a second.",
    ),
    unset(
        "bus.token_file",
        Kind::Text,
        "\"/run/secrets/haechi-nats\"",
        "A file with the token that the NATS servers ask for.",
    ),
    key(
        "rate_limits.enabled",
        Kind::Switch,
        "true",
        "Off only for tests and benches: whoever reaches the server can then guess passwords at \
         full speed.",
    ),
    key(
        "rate_limits.messages_per_second",
        Kind::Integer(1, 1_000_000),
        "10",
        "How many events one user may send, in the long run.",
    ),
    key(
        "rate_limits.messages_burst",
        Kind::Integer(1, 1_000_000),
        "100",
        "How many events one user may send at once after a quiet time.",
    ),
    key(
        "rate_limits.logins_per_minute",
        Kind::Integer(1, 1_000_000),
        "10",
        "How many attempts to log in one address, and one account, may make in the long run.",
    ),
    key(
        "rate_limits.logins_burst",
        Kind::Integer(1, 1_000_000),
        "10",
        "How many attempts to log in are allowed at once after a quiet time.",
    ),
    key(
        "rate_limits.registrations_per_minute",
        Kind::Integer(1, 1_000_000),
        "5",
        "How many accounts one address may register in the long run.",
    ),
    key(
        "rate_limits.registrations_burst",
        Kind::Integer(1, 1_000_000),
        "10",
        "How many accounts one address may register at once after a quiet time.",
    ),
    key(
        "presence.mode",
        Kind::Choice(&["on", "off", "auto"]),
        "\"auto\"",
        "Tell users who of the others is online: always, never, or while there are few accounts. \
         It costs more with each user than anything else does.",
    ),
    key(
        "presence.auto_users_max",
        Kind::Integer(0, 1_000_000_000),
        "1000",
        "With presence on `auto`: it is on up to this many accounts.",
    ),
    key(
        "pay.currencies",
        Kind::Texts,
        "[]",
        "Currencies in which people can pay each other: of KRW, EUR, USD, JPY, GBP, CHF, or one of your \
         own as NAME:NUMBER:DIGITS, such as POINTS:9001:0. Without any, payments are off. One that \
         was used must stay in the list.",
    ),
    key(
        "pay.return_after_hours",
        Kind::Integer(1, 8_760),
        "72",
        "After how many hours a payment goes back that nobody has accepted.",
    ),
    key(
        "media.upload_bytes_max",
        Kind::Integer(1_024, 10_737_418_240),
        "104857600",
        "The largest file that may be uploaded, in bytes.",
    ),
    key(
        "media.user_bytes_max",
        Kind::Integer(0, 1_125_899_906_842_624),
        "0",
        "How much one user may have uploaded in all, in bytes; 0 for as much as the disk takes.",
    ),
    key(
        "media.user_day_bytes_max",
        Kind::Integer(0, 1_125_899_906_842_624),
        "10737418240",
        "How much one user may upload in a day, in bytes; 0 for as much as he likes.",
    ),
    key(
        "media.without_token",
        Kind::Switch,
        "false",
        "Serve media by the old paths, too, to whoever asks without an access token. For clients \
         from before Matrix 1.11: everybody who knows the address of a file can then read it.",
    ),
    key(
        "media.url_preview",
        Kind::Switch,
        "false",
        "Fetch pages that users link to, to show a preview of them. Addresses inside the own network \
         are never fetched.",
    ),
    key(
        "media.url_preview_allow",
        Kind::Texts,
        "[]",
        "Host names to preview, with those below them; empty for all.",
    ),
    key(
        "media.url_preview_deny",
        Kind::Texts,
        "[]",
        "Host names never to preview, with those below them. It wins over `url_preview_allow`.",
    ),
    unset(
        "tls.cert_file",
        Kind::Text,
        "\"/etc/haechi/fullchain.pem\"",
        "The certificate chain (PEM), to serve https without a proxy. Goes with `tls.key_file`.",
    ),
    unset(
        "tls.key_file",
        Kind::Text,
        "\"/etc/haechi/privkey.pem\"",
        "The certificate's private key (PEM).",
    ),
    key(
        "log.level",
        Kind::Text,
        "\"info\"",
        "What is logged: error, warn, info, debug or trace, also by part: \
         `info,haechi_store=debug`. Message bodies and secrets are logged at no level.",
    ),
    key(
        "log.format",
        Kind::Choice(&["text", "json"]),
        "\"text\"",
        "Lines for people (text) or for machines (json).",
    ),
    key(
        "push.allow_private_addresses",
        Kind::Switch,
        "false",
        "Let push gateways be at addresses inside the own network. For tests: otherwise any user \
         can make the server call into it.",
    ),
    key(
        "push.badge",
        Kind::Choice(&["messages", "rooms"]),
        "\"messages\"",
        "What the number on a device's badge counts: unread messages that notify, or rooms with \
         such messages.",
    ),
    key(
        "turn.uris",
        Kind::Texts,
        "[]",
        "Relays (TURN servers, such as coturn) that clients may use for calls, for example \
         `turn:turn.haechi.example?transport=udp`. Calls between networks seldom work without one.",
    ),
    unset(
        "turn.shared_secret_file",
        Kind::Text,
        "\"/run/secrets/haechi-turn\"",
        "A file with the secret that the relays share with this server (coturn: \
         `static-auth-secret`). From it each user gets a password for a while.",
    ),
    key(
        "turn.user_lifetime_ms",
        Kind::Integer(60_000, 2_592_000_000),
        "86400000",
        "How long such a password is good, in milliseconds.",
    ),
    key("web.enabled", Kind::Switch, "true", "Serve the web app on /, beside the API."),
    key("web.name", Kind::Text, "\"Haechi\"", "What the web app calls the service."),
    key(
        "web.welcome",
        Kind::Text,
        "\"\"",
        "A sentence on the web app's first page. Empty: the app's own words.",
    ),
    key(
        "web.base_urls",
        Kind::Texts,
        "[]",
        "Where the same service answers, such as one URL for each data centre. The web app moves to \
         the next by itself when one stops answering.",
    ),
    key(
        "limits.connections_max",
        Kind::Integer(16, 10_000_000),
        "65536",
        "Most client connections at the same time. Each one also needs a file descriptor \
         (`ulimit -n`).",
    ),
    key(
        "limits.cache_bytes_max",
        Kind::Integer(1_048_576, 1_099_511_627_776),
        "268435456",
        "About how much memory rooms may take, in bytes, that are kept at hand with their state and \
         newest events. Others are read from the database whenever they are used.",
    ),
    key(
        "limits.shutdown_grace_ms",
        Kind::Integer(0, 600_000),
        "10000",
        "How long requests under way may still take when the server is told to stop, in \
         milliseconds. Waiting syncs are answered at once.",
    ),
];
