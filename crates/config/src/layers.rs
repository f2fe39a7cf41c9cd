//! Defaults, file, environment and flags, laid over one another.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use crate::{
    Config, ConfigError, KEYS, Key, Kind, Problem, Secrecy, database,
    render::{self, render_effective},
};

/// Where the file is looked for when nobody names one, first found first used.
const FILES: [&str; 2] = ["haechi.toml", "/etc/haechi/haechi.toml"];

/// The variable that names the file.
const FILE_VARIABLE: &str = "HAECHI_CONFIG";

/// Variables that start like ours but are no keys: the names of our own tests, tools and benches,
/// and those that Kubernetes sets for a service called `haechi`.
const FOREIGN_VARIABLES: [&str; 6] = [
    "HAECHI_TEST_",
    "HAECHI_BENCH_",
    "HAECHI_XTASK_",
    "HAECHI_BIN",
    "HAECHI_SERVICE_",
    "HAECHI_PORT",
];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file.
    File(PathBuf),
    /// This environment variable.
    Variable(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A configuration with the story of its values.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, checked.
    pub config: Config,
    values: Values,
}

impl Loaded {
    /// Every key with its value and where that comes from, as TOML, without passwords.
    pub fn show(&self) -> String {
        render_effective(|key| self.values.get(key))
    }
}

/// One value and its origin for each of [`KEYS`], in their order.
#[derive(Debug)]
struct Values(Vec<Option<(Value, Origin)>>);

impl Values {
    fn get(&self, key: &Key) -> Option<(&Value, &Origin)> {
        let index = KEYS.iter().position(|other| other.path == key.path)?;
        self.0[index].as_ref().map(|(value, origin)| (value, origin))
    }

    fn set(&mut self, key: &Key, value: Value, origin: Origin) {
        if let Some(index) = KEYS.iter().position(|other| other.path == key.path) {
            self.0[index] = Some((value, origin));
        }
    }
}

/// The layers, as they are gathered. Later calls win over earlier ones.
#[derive(Debug)]
pub struct Layers {
    values: Values,
    problems: Vec<Problem>,
}

impl Layers {
    /// The defaults alone.
    pub fn defaults() -> Self {
        let values = KEYS.iter().map(|key| {
            let value = key.default.map(render::parse_value)?;
            Some((value, Origin::Default))
        });
        Self { values: Values(values.collect()), problems: Vec::new() }
    }

    /// Lays the text of a TOML file over what is there.
    pub fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(error),
        })?;
        let origin = Origin::File(path.to_owned());
        for (name, value) in table {
            let is_section = KEYS.iter().any(|key| key.section() == name);
            match value {
                Value::Table(section) if is_section => {
                    for (key, value) in section {
                        self.put(&format!("{name}.{key}"), value, &origin);
                    }
                }
                _ if is_section => self.problems.push(Problem(format!(
                    "`{name}` in {origin} is a section: write `[{name}]` on a line of its own and \
                     its keys below"
                ))),
                value => self.put(&name, value, &origin),
            }
        }
        Ok(())
    }

    /// Lays environment variables over what is there; those of other programs are passed over.
    ///
    /// An empty variable counts as not set. Lists are separated by commas.
    pub fn variables(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in variables {
            if !name.starts_with("HAECHI_") || name == FILE_VARIABLE {
                continue;
            }
            if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
                if !text.is_empty() {
                    self.put_text(key, &text, &Origin::Variable(name));
                }
            } else if !FOREIGN_VARIABLES.iter().any(|foreign| name.starts_with(foreign)) {
                let names: Vec<String> = KEYS.iter().map(Key::variable).collect();
                let hint = did_you_mean(&name, names.iter().map(String::as_str));
                self.problems
                    .push(Problem(format!("the environment variable {name} sets no key{hint}")));
            }
        }
    }

    /// Lays the value of a flag, such as `--listen`, over what is there. Lists as in variables.
    pub fn flag(&mut self, path: &str, text: &str) {
        let flag = format!("--{}", path.replace(['.', '_'], "-"));
        let Some(key) = Key::find(path) else {
            self.problems.push(Problem(format!("{flag} sets no key")));
            return;
        };
        if key.secrecy == Secrecy::UrlPassword && database::redact(text).is_some() {
            self.problems.push(Problem(format!(
                "{flag} holds a password, which every user of this machine could read: set it by \
                 the variable {} or in the file",
                key.variable()
            )));
            return;
        }
        self.put_text(key, text, &Origin::Flag(flag));
    }

    /// Checks everything.
    pub fn finish(mut self) -> Result<Loaded, ConfigError> {
        self.derive();
        let config = if self.problems.is_empty() { self.build() } else { None };
        match config {
            Some(config) if self.problems.is_empty() => Ok(Loaded { config, values: self.values }),
            _ => Err(ConfigError::Wrong(self.problems)),
        }
    }

    /// Sets what depends on other keys.
    fn derive(&mut self) {
        let Some(name_key) = Key::find("server_name") else { return };
        let url_key = Key::find("public_base_url");
        let Some((Value::String(name), _)) = self.values.get(name_key) else {
            self.problems.push(Problem(
                "`server_name` is not set. It is the part after the colon in user ids and can \
                 never be changed, so there is no default: write `server_name = \
                 \"haechi.example\"` in haechi.toml, set HAECHI_SERVER_NAME or give --server-name"
                    .into(),
            ));
            return;
        };
        if let Some(key) = url_key.filter(|key| self.values.get(key).is_none()) {
            let url = Value::String(format!("https://{name}"));
            self.values.set(key, url, Origin::Default);
        }
    }

    fn build(&mut self) -> Option<Config> {
        let mut table = Table::new();
        for key in KEYS {
            if !key.section().is_empty() {
                table.entry(key.section()).or_insert_with(|| Value::Table(Table::new()));
            }
            let Some((value, _)) = self.values.get(key) else { continue };
            let section = match table.get_mut(key.section()) {
                Some(Value::Table(section)) => section,
                _ => &mut table,
            };
            section.insert(key.name().to_owned(), value.clone());
        }
        match table.try_into::<Config>() {
            Ok(config) => {
                config.validate(&mut self.problems);
                self.problems.extend(config.database_target().err());
                Some(config)
            }
            Err(error) => {
                self.problems.push(Problem(error.message().to_owned()));
                None
            }
        }
    }

    fn put(&mut self, path: &str, value: Value, origin: &Origin) {
        let Some(key) = Key::find(path) else {
            let hint = did_you_mean(path, KEYS.iter().map(|key| key.path));
            self.problems.push(Problem(format!("there is no key `{path}` ({origin}){hint}")));
            return;
        };
        if !fits(key.kind, &value) {
            let wanted = wanted(key.kind);
            self.problems.push(Problem(format!(
                "`{path}` ({origin}) must be {wanted}, for example `{} = {}`",
                key.name(),
                key.example
            )));
            return;
        }
        self.values.set(key, value, origin.clone());
    }

    fn put_text(&mut self, key: &Key, text: &str, origin: &Origin) {
        let value = match key.kind {
            Kind::Integer(..) => text.trim().parse().ok().map(Value::Integer),
            Kind::Switch => text.trim().parse().ok().map(Value::Boolean),
            Kind::Addresses | Kind::Hosts | Kind::Texts => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(|part| Value::String(part.to_owned())).collect::<Vec<_>>().into())
            }
            Kind::Text | Kind::Choice(_) | Kind::Address => Some(Value::String(text.to_owned())),
        };
        match value {
            Some(value) => self.put(key.path, value, origin),
            None => self.problems.push(Problem(format!(
                "{origin} must be {}, for example {}",
                wanted(key.kind),
                key.example
            ))),
        }
    }
}

/// Loads the configuration: defaults, then `file` if there is one, then `environment`, then `flags`
/// (pairs of key and text).
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[(&str, String)],
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::defaults();
    if let Some(path) = file {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        layers.file(path, &text)?;
    }
    layers.variables(environment);
    for (path, text) in flags {
        layers.flag(path, text);
    }
    layers.finish()
}

/// The file to load: the one named by the flag `explicit`, else by `HAECHI_CONFIG`, else
/// `haechi.toml` here or in /etc/haechi if there is one.
pub fn find_file(explicit: Option<PathBuf>, environment: &[(String, String)]) -> Option<PathBuf> {
    let variable = || {
        let (_, path) = environment.iter().find(|(name, _)| name == FILE_VARIABLE)?;
        Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
    };
    let usual = || FILES.iter().map(PathBuf::from).find(|path| path.is_file());
    explicit.or_else(variable).or_else(usual)
}

/// This process's environment variables that start with `HAECHI_`.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("HAECHI_"))
        .collect()
}

fn fits(kind: Kind, value: &Value) -> bool {
    let all = |fits: fn(&Value) -> bool| value.as_array().is_some_and(|list| list.iter().all(fits));
    match kind {
        Kind::Text => value.is_str(),
        Kind::Integer(min, max) => value.as_integer().is_some_and(|n| (min..=max).contains(&n)),
        Kind::Switch => value.is_bool(),
        Kind::Choice(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        Kind::Address => is_address(value),
        Kind::Addresses => all(is_address),
        Kind::Hosts => {
            all(|value| value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()))
        }
        Kind::Texts => all(Value::is_str),
    }
}

fn is_address(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<std::net::SocketAddr>().is_ok())
}

pub(crate) fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text".into(),
        Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Switch => "true or false".into(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::Address => "an IP address with a port".into(),
        Kind::Addresses => "a list of IP addresses with ports".into(),
        Kind::Hosts => "a list of IP addresses".into(),
        Kind::Texts => "a list of texts".into(),
    }
}

/// The most similar of `names`, as the end of a sentence.
fn did_you_mean<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let distance = |name: &&str| strsim::damerau_levenshtein(wrong, name);
    match names.min_by_key(distance).filter(|name| distance(name) <= 3 + name.len() / 4) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; docs/configuration.md lists all keys".into(),
    }
}
