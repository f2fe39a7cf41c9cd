//! The section `database`.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Problem, Secret};

/// Where the truth is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    url: Secret,
    password_file: Option<PathBuf>,
    local_url: Option<Secret>,
    /// Most connections to PostgreSQL, or reading threads on SQLite.
    pub connections_max: usize,
    /// Groups of writes that are committed at the same time on PostgreSQL.
    pub lanes_per_node: u16,
}

/// The database to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseTarget {
    /// The database file of SQLite.
    Sqlite(PathBuf),
    /// The URL of PostgreSQL, with its password and possibly several hosts.
    Postgres {
        /// The cluster.
        url: Secret,
        /// The server of the own site.
        local: Option<Secret>,
    },
}

impl Database {
    /// Which database to open; `data_dir` is where SQLite's file lies by default.
    pub(crate) fn target(&self, data_dir: &Path) -> Result<DatabaseTarget, Problem> {
        let url = self.url.expose();
        match url.strip_prefix("sqlite:") {
            Some("") => return Ok(DatabaseTarget::Sqlite(data_dir.join("haechi.db"))),
            Some(file) => return Ok(DatabaseTarget::Sqlite(PathBuf::from(file))),
            None => {}
        }
        let Some(file) = &self.password_file else {
            return Ok(DatabaseTarget::Postgres {
                url: self.url.clone(),
                local: self.local_url.clone(),
            });
        };
        let password = fs::read_to_string(file).map_err(|error| {
            Problem(format!("`database.password_file`: cannot read {}: {error}", file.display()))
        })?;
        let password = password.trim_end_matches(['\r', '\n']);
        let with_password = |url: &str| Secret::new(with_password(url, password));
        let local = self.local_url.as_ref().map(|url| with_password(url.expose()));
        Ok(DatabaseTarget::Postgres { url: with_password(url), local })
    }

    pub(crate) fn validate(&self, problems: &mut Vec<Problem>) {
        let mut wrong = |text: &str| problems.push(Problem(text.to_owned()));
        let url = self.url.expose();
        if url.starts_with("sqlite:") {
            if self.local_url.is_some() {
                wrong("`database.local_url` is set, but SQLite is one file: remove it");
            }
            if self.password_file.is_some() {
                wrong("`database.password_file` is set, but SQLite has no passwords: remove it");
            }
            return;
        }
        self.check_postgres("database.url", url, problems);
        if let Some(local) = &self.local_url {
            self.check_postgres("database.local_url", local.expose(), problems);
        }
    }

    fn check_postgres(&self, key: &str, url: &str, problems: &mut Vec<Problem>) {
        let mut wrong = |text: String| problems.push(Problem(text));
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let Some(rest) = rest else {
            let or_file = if key == "database.url" { "`sqlite:` or " } else { "" };
            return wrong(format!(
                "`{key}` must start with {or_file}`postgres://`, for example \
                 `postgres://haechi@db1,db2/haechi`"
            ));
        };
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.is_empty() || hosts.is_empty() || name.split('?').next() == Some("") {
            wrong(format!(
                "`{key}` must name user, host and database: `postgres://haechi@db1,db2/haechi`"
            ));
        }
        if user.contains(':') && self.password_file.is_some() {
            wrong(format!("both `{key}` and `database.password_file` give a password: drop one"));
        }
    }
}

/// Hides the password of a URL. `None`: there is none to hide.
///
/// In doubt it hides too much: a password may hold a `/` or `@` that should have been escaped.
pub(crate) fn redact(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (user, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
    let shown_user = user.split_once(':').map(|(name, _)| format!("{name}:[secret]"));
    let shown_hosts = hosts
        .split_once('?')
        .filter(|(_, options)| options.contains("password"))
        .map(|(front, _)| format!("{front}?[secret]"));
    if shown_user.is_none() && shown_hosts.is_none() {
        return None;
    }
    let user = shown_user.as_deref().unwrap_or(user);
    let at = if user.is_empty() { "" } else { "@" };
    Some(format!("{scheme}://{user}{at}{}", shown_hosts.as_deref().unwrap_or(hosts)))
}

fn with_password(url: &str, password: &str) -> String {
    let Some((user, hosts)) = url.split_once('@') else { return url.to_owned() };
    let mut encoded = String::new();
    for byte in password.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("{user}:{encoded}@{hosts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        let shown = |url| redact(url).unwrap_or_else(|| "same".to_owned());
        assert_eq!(shown("postgres://a:b@h1,h2:5433/d"), "postgres://a:[secret]@h1,h2:5433/d");
        assert_eq!(shown("postgres://a:b@c@h/d"), "postgres://a:[secret]@h/d");
        assert_eq!(shown("postgres://a:b/c?d@h/d"), "postgres://a:[secret]@h/d");
        assert_eq!(shown("postgres://h/d?user=a&password=b"), "postgres://h/d?[secret]");
        assert_eq!(shown("postgres://a@h/d"), "same");
        assert_eq!(shown("sqlite:"), "same");
    }

    #[test]
    fn a_password_from_a_file_is_escaped() {
        assert_eq!(with_password("postgres://a@h/d", "p@ss/1"), "postgres://a:p%40ss%2F1@h/d");
    }
}
