//! What operators write.

use std::path::Path;

use haechi_config::Layers;
use haechi_store::PgUrl;

use crate::texts;

/// A configuration is taken or every fault in it named; a password is never shown.
pub(crate) fn layers(input: &[u8]) {
    let Some([toml, name, value]) = texts(input) else { return };
    // No other file is to be looked at.
    if [toml, name].iter().any(|text| text.to_lowercase().contains("file")) {
        return;
    }
    let mut layers = Layers::defaults();
    if layers.file(Path::new("fuzz.toml"), toml).is_err() {
        return;
    }
    layers.variables([(format!("HAECHI_{name}"), value.to_owned())]);
    layers.flag("server_name", "haechi.example");
    match layers.finish() {
        Ok(loaded) => drop(loaded.show()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The password in the address of a database is not shown.
pub(crate) fn database(input: &[u8]) {
    let Some([url]) = texts(input) else { return };
    PgUrl::from(url).hosts();
    let mut layers = Layers::defaults();
    layers.variables([("HAECHI_DATABASE_URL".to_owned(), url.to_owned())]);
    layers.flag("server_name", "haechi.example");
    let shown = match layers.finish() {
        Ok(loaded) => loaded.show(),
        Err(error) => error.to_string(),
    };
    let secret = "s3cr3t";
    let user = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let password = user.and_then(|(user, _)| user.split_once(':'));
    if password.is_some_and(|(name, password)| password.contains(secret) && !name.contains(secret))
    {
        let (_, hosts) = user.expect("looked at above");
        assert!(hosts.contains(secret) || !shown.contains(secret), "{shown}");
    }
}
