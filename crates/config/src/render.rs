//! The list of keys as text: the effective values, an example file, the reference.

use std::fmt::Write;

use toml::Value;

use crate::{KEYS, Key, Secrecy, database, layers::Origin, layers::wanted};

/// Every key with its value and its origin, as TOML, without passwords.
pub(crate) fn render_effective<'a>(
    value_of: impl Fn(&Key) -> Option<(&'a Value, &'a Origin)>,
) -> String {
    let mut text = String::new();
    for_each_key(&mut text, |text, key| {
        let line = match value_of(key) {
            Some((value, origin)) => {
                format!("{} = {}  # {origin}", key.name(), shown(key, value))
            }
            None => format!("# {} is not set", key.name()),
        };
        text.push_str(&line);
        text.push('\n');
    });
    text
}

/// An annotated example of the file, with every key at its default.
pub fn render_example() -> String {
    let mut text = String::from(
        "# The configuration of Haechi. Only `server_name` is required; every other key stands here\n\
         # with its default (or, where there is none, with an example), commented out.\n\
         # Each can also be set by an environment variable: see docs/configuration.md.\n\
         # `haechi config check` tells what is wrong, `haechi config show` what is in force.\n\n",
    );
    for_each_key(&mut text, |text, key| {
        for line in wrap(key.about, 96) {
            let _ = writeln!(text, "# {line}");
        }
        let comment = if key.path == "server_name" { "" } else { "#" };
        let _ = writeln!(text, "{comment}{} = {}\n", key.name(), key.example);
    });
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

/// The reference of all keys, as Markdown.
pub fn render_reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Four layers, later ones winning: the defaults below, one TOML file, environment variables, \
         flags.\n\n\
         - The file is the one named by `--config`, else by `HAECHI_CONFIG`, else `haechi.toml` in the \
         current folder, else `/etc/haechi/haechi.toml`. `haechi.example.toml` is one to start from.\n\
         - A variable is `HAECHI_` and the key in capitals, its dot written `_`. Lists are separated by \
         commas. An empty variable counts as not set.\n\
         - `haechi serve --help` lists the flags. No flag takes a password: everybody on the machine \
         can read them.\n\
         - What is not listed here is an error, in the file as well as in the environment, so that a \
         slip of the pen is never passed over. `haechi config check` tells all that is wrong at \
         once, `haechi config show` prints what is in force and where each value comes from, without \
         passwords.\n\n\
         This page is made from the code (`crates/config/src/keys.rs`); a test keeps it in step.\n",
    );
    let mut section = None;
    for key in KEYS {
        if section != Some(key.section()) {
            section = Some(key.section());
            let title =
                if key.section().is_empty() { "Before the first section" } else { key.section() };
            let _ = writeln!(text, "\n## {title}");
        }
        let default = key.default.map_or("not set".to_owned(), |value| format!("`{value}`"));
        let _ = writeln!(
            text,
            "\n### `{}`\n{}\n\n{} · default {default} · `{}`",
            key.path,
            key.about,
            capitalised(&wanted(key.kind)),
            key.variable()
        );
    }
    text
}

/// Reads a value as it stands in the list of keys, which a test checks.
pub(crate) fn parse_value(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn for_each_key(text: &mut String, mut each: impl FnMut(&mut String, &Key)) {
    let mut section = "";
    for key in KEYS {
        if key.section() != section {
            section = key.section();
            let gap = if text.ends_with("\n\n") { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{section}]");
        }
        each(text, key);
    }
}

fn shown(key: &Key, value: &Value) -> String {
    let redacted = match key.secrecy {
        Secrecy::Open => None,
        Secrecy::UrlPassword => value.as_str().and_then(database::redact),
    };
    redacted.map_or_else(|| value.to_string(), |text| Value::String(text).to_string())
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("starts with one line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
