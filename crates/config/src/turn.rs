//! Relays for calls.

use std::{fs, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{Problem, Secret};

/// Relays (TURN servers) that clients may use for calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Where they are; empty when there are none.
    pub uris: Vec<String>,
    shared_secret_file: Option<PathBuf>,
    user_lifetime_ms: u64,
}

impl Turn {
    /// How long a password for them is good.
    pub fn user_lifetime(&self) -> Duration {
        Duration::from_millis(self.user_lifetime_ms)
    }

    /// What the relays share with this server. Reads the file; `None` when there are no relays.
    pub fn shared_secret(&self) -> Result<Option<Secret>, Problem> {
        let Some(file) = &self.shared_secret_file else { return Ok(None) };
        let wrong =
            |why: String| Problem(format!("`turn.shared_secret_file`: {}: {why}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(wrong("it is empty".to_owned())),
            secret => Ok(Some(Secret::new(secret))),
        }
    }

    pub(crate) fn validate(&self, problems: &mut Vec<Problem>) {
        if self.uris.is_empty() == self.shared_secret_file.is_some() {
            problems.push(Problem(
                "`turn.uris` and `turn.shared_secret_file` go together: set both, or neither when \
                 there are no relays"
                    .into(),
            ));
        }
        for uri in &self.uris {
            if !["turn:", "turns:", "stun:"].iter().any(|scheme| uri.starts_with(scheme)) {
                problems.push(Problem(format!(
                    "`{uri}` in `turn.uris` is no relay: write it as `turn:host?transport=udp` or \
                     `turns:host`, without slashes"
                )));
            }
        }
        if let Err(problem) = self.shared_secret() {
            problems.push(problem);
        }
    }
}
