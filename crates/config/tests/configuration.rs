//! The configuration as an operator meets it.

use std::{collections::HashSet, fmt::Write, fs, path::Path};

use haechi_config::{
    ConfigError, DatabaseTarget, KEYS, Key, Layers, Loaded, Registration, Secret, find_file, load,
    render_example, render_reference,
};

fn with_file(text: &str) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::defaults();
    layers.file(Path::new("haechi.toml"), text)?;
    layers.finish()
}

fn problem(result: Result<Loaded, ConfigError>) -> String {
    result.expect_err("this configuration is wrong").to_string()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_server_name_is_enough() {
    let config = with_file("server_name = 'haechi.example'").unwrap().config;
    assert_eq!(config.public_base_url, "https://haechi.example");
    assert_eq!(config.registration, Registration::Closed);
    assert!(config.rate_limits.enabled);
    assert_eq!(config.database_target().unwrap(), DatabaseTarget::Sqlite("data/haechi.db".into()));
}

#[test]
fn later_layers_win() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("haechi.toml");
    fs::write(&file, "server_name = 'a.example'\n[log]\nlevel = 'warn'\nformat = 'json'").unwrap();
    let environment = variables(&[
        ("HAECHI_LOG_LEVEL", "debug"),
        ("HAECHI_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("HAECHI_DATA_DIR", ""),
        ("HAECHI_SERVICE_HOST", "10.0.0.1"),
    ]);
    let loaded = load(Some(&file), environment, &[("server_name", "b.example".into())]).unwrap();
    assert_eq!(loaded.config.server_name, "b.example");
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.config.listen.len(), 2);
    let shown = loaded.show();
    for line in [
        "server_name = \"b.example\"  # --server-name",
        "level = \"debug\"  # HAECHI_LOG_LEVEL",
        &format!("format = \"json\"  # {}", file.display()),
        "data_dir = \"data\"  # default",
        "# metrics_listen is not set",
    ] {
        assert!(shown.contains(line), "no `{line}` in\n{shown}");
    }
    // What is shown can be used as a file again.
    with_file(&shown).unwrap();
}

#[test]
fn problems_are_told_together_and_teach() {
    let text = problem(with_file(
        "server_nam = 'x'\nregistration = 'opne'\nlisten = '127.0.0.1:8008'\ntls = true\n\
         [database]\nconnections_max = 0\n[media]\nupload_bytes = 3",
    ));
    for part in [
        "`server_nam` (haechi.toml); did you mean `server_name`?",
        "`registration` (haechi.toml) must be one of open, token, closed",
        "must be a list of IP addresses with ports, for example `listen = [\"127.0.0.1:8008\"]`",
        "write `[tls]` on a line of its own",
        "must be a whole number from 2 to 1000",
        "`server_name` is not set",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let mut layers = Layers::defaults();
    layers.variables(variables(&[("HAECHI_SERVER_NAM", "x"), ("HAECHI_TEST_POSTGRES", "y")]));
    let text = problem(layers.finish());
    assert!(text.contains("did you mean `HAECHI_SERVER_NAME`?"), "{text}");
    assert!(!text.contains("POSTGRES"), "{text}");
}

#[test]
fn rules_across_keys_are_checked() {
    for (extra, part) in [
        ("public_base_url = 'haechi.example'", "must start with https://"),
        ("listen = []", "`listen` is empty"),
        ("[tls]\ncert_file = 'x'", "go together"),
        ("[database]\nurl = 'mysql://h/d'", "must start with `sqlite:` or `postgres://`"),
        ("[database]\nurl = 'postgres://h/d'", "must name user, host and database"),
        ("[database]\npassword_file = 'x'", "SQLite has no passwords"),
        ("[database]\nurl = 'postgres://a@h/d'\npassword_file = 'missing'", "cannot read missing"),
        ("[media]\nurl_preview_deny = ['*.example.org']", "is no host name"),
        ("[turn]\nuris = ['turn:relay.example']", "go together"),
        ("[turn]\nshared_secret_file = 'missing'", "go together"),
        ("[turn]\nuris = ['relay']\nshared_secret_file = 'missing'", "`relay` in `turn.uris`"),
        ("[turn]\nuris = ['turn:relay']\nshared_secret_file = 'missing'", "missing: No such"),
    ] {
        let text = problem(with_file(&format!("server_name = 'a.example'\n{extra}")));
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let text = problem(with_file("server_name = 'https://a.example'"));
    assert!(text.contains("without https://"), "{text}");
}

#[test]
fn passwords_are_never_shown_nor_given_as_flags() {
    let url = "postgres://haechi:hunter2@db1,db2/haechi";
    let loaded =
        with_file(&format!("server_name = 'a.example'\n[database]\nurl = '{url}'")).unwrap();
    assert!(loaded.show().contains("postgres://haechi:[secret]@db1,db2/haechi"));
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
    assert_eq!(
        loaded.config.database_target().unwrap(),
        DatabaseTarget::Postgres { url: Secret::new(url), local: None }
    );
    let flags = [("server_name", "a.example".into()), ("database.url", url.into())];
    let text = problem(load(None, [], &flags));
    assert!(text.contains("HAECHI_DATABASE_URL") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_named_file_must_exist() {
    let missing = find_file(None, &variables(&[("HAECHI_CONFIG", "/nowhere/haechi.toml")]));
    let error = load(missing.as_deref(), [], &[]).unwrap_err().to_string();
    assert!(error.contains("/nowhere/haechi.toml"), "{error}");
}

#[test]
fn list_of_keys_and_structs_agree() {
    // Every key set to its example reaches a field of its own, or loading fails.
    let mut layers = Layers::defaults();
    let mut names = HashSet::new();
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there");
    fs::write(&there, "x").unwrap();
    let mut text = String::new();
    for key in KEYS {
        assert!(names.insert(key.variable()), "{} is ambiguous", key.variable());
        assert!(Key::find(key.path).is_some());
        let example = match key.path {
            // these name files, which have to be there
            "tls.cert_file"
            | "tls.key_file"
            | "database.password_file"
            | "turn.shared_secret_file" => format!("'{}'", there.display()),
            "turn.uris" => "['turn:relay.example']".into(),
            "database.url" => "'postgres://haechi@db/haechi'".into(),
            _ => key.example.to_owned(),
        };
        writeln!(text, "{} = {example}", key.path).unwrap();
    }
    layers.file(Path::new("all.toml"), &text).unwrap();
    let loaded = layers.finish().unwrap();
    assert!(!loaded.show().contains("# default"), "{}", loaded.show());
}

#[test]
fn the_example_file_loads_as_it_is() {
    with_file(&render_example()).unwrap();
}

#[test]
fn written_pages_are_in_step() {
    let root = Path::new("../..");
    for (file, wanted) in
        [("haechi.example.toml", render_example()), ("docs/configuration.md", render_reference())]
    {
        let path = root.join(file);
        if fs::read_to_string(&path).ok().as_ref() != Some(&wanted) {
            fs::write(&path, wanted).unwrap();
            panic!("{file} was out of date; it has just been rewritten: look at it and commit it");
        }
    }
}
