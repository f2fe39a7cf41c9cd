//! Who may use whom. All of it stands in the tables here.

use cargo_metadata::{DependencyKind, Metadata, Package};

use super::Report;

/// The crates of the product by layer: each may use those of the layers before its own.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["config", "telemetry", "store-macros", "matrix", "fetch"],
    &["store", "blob", "bus"],
    &["accounts", "ledger"],
    &["keys", "rooms", "media"],
    &["push", "pay"],
    &["sync"],
    &["http"],
    &["api-client", "api-services", "webapp"],
    &["server"],
];

/// Crates that may use fewer of ours than their layer allows: exactly these.
const NARROWER: &[(&str, &[&str])] = &[
    ("matrix", &["base"]),
    ("store", &["base", "store-macros"]),
    ("blob", &["base"]),
    ("bus", &[]),
    ("fetch", &["base"]),
    ("ledger", &["base", "store"]),
    ("pay", &["base", "store", "ledger"]),
    ("webapp", &[]),
];

/// Crates of one layer that may use one another all the same.
const WITHIN_LAYER: &[(&str, &str)] = &[];

/// Third-party packages that only these crates may name. `api-*` is every API crate.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["store"], "the rest knows only `Work` and `Db`"),
    ("tokio-postgres", &["store"], "the rest knows only `Work` and `Db`"),
    ("deadpool-postgres", &["store"], "the rest knows only `Work` and `Db`"),
    ("axum", &["http", "api-*", "webapp", "server"], "domain crates know no HTTP"),
    ("axum-server", &["http", "server"], "domain crates know no HTTP"),
    ("tower-http", &["http", "api-*", "server"], "domain crates know no HTTP"),
    ("object_store", &["blob"], "the rest knows only `Blob`"),
    ("async-nats", &["bus"], "the rest knows only the bus"),
    ("anyhow", &["server"], "a library names its errors: an enum with thiserror"),
];

/// Crates beside the product, which it must not use and which these rules leave free.
const TOOLS: &[&str] = &["bench", "fuzz", "testkit"];

/// Checks the packages below `crates/`. Dev-dependencies are free.
pub(super) fn check(metadata: &Metadata, report: &mut Report) {
    let root = metadata.workspace_root.join("crates");
    for package in metadata.workspace_packages() {
        let Ok(dir) = package.manifest_path.strip_prefix(&root) else { continue };
        let name = dir.components().next().map_or_else(String::new, |part| part.to_string());
        let at = format!("crates/{name}/Cargo.toml");
        if package.name.as_str() != format!("haechi-{name}") {
            report.fail(&at, format!("the package must be called `haechi-{name}`"));
        }
        if TOOLS.contains(&name.as_str()) {
            continue;
        }
        if layer(&name).is_none() {
            report.fail(&at, "the crate is in no layer: add it to LAYERS in xtask's direction.rs");
            continue;
        }
        for dependency in product_dependencies(package) {
            if let Some(why) = refusal(&name, dependency) {
                report.fail(&at, format!("`{name}` must not use `{dependency}`: {why}"));
            }
        }
    }
}

fn product_dependencies(package: &Package) -> impl Iterator<Item = &str> {
    let used = package.dependencies.iter();
    used.filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Why `name` must not use `dependency`; none when it may.
fn refusal(name: &str, dependency: &str) -> Option<String> {
    let Some(ours) = dependency.strip_prefix("haechi-") else {
        let (_, allowed, why) = ONLY_IN.iter().find(|(package, ..)| *package == dependency)?;
        let fits = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(front) => name.starts_with(front),
            None => *pattern == name,
        };
        return (!allowed.iter().any(fits)).then(|| (*why).to_owned());
    };
    if let Some((_, allowed)) = NARROWER.iter().find(|(narrow, _)| *narrow == name) {
        let refused = !allowed.contains(&ours);
        return refused.then(|| format!("of ours it may use only {}", allowed.join(", ")));
    }
    if WITHIN_LAYER.contains(&(name, ours)) {
        return None;
    }
    match (layer(name), layer(ours)) {
        (Some(user), Some(used)) if used < user => None,
        (_, None) => Some("that is no crate of the product".to_owned()),
        _ => Some("it does not lie in a layer below".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_kept() {
        for (name, dependency) in [
            ("rooms", "haechi-store"),
            ("rooms", "haechi-accounts"),
            ("store", "rusqlite"),
            ("api-client", "axum"),
            ("rooms", "serde"),
            ("server", "haechi-config"),
        ] {
            assert_eq!(refusal(name, dependency), None, "{name} uses {dependency}");
        }
        for (name, dependency) in [
            ("store", "haechi-rooms"),
            ("rooms", "rusqlite"),
            ("rooms", "axum"),
            ("rooms", "haechi-keys"),
            ("matrix", "haechi-config"),
            ("sync", "haechi-bench"),
            ("rooms", "anyhow"),
        ] {
            assert!(refusal(name, dependency).is_some(), "{name} uses {dependency}");
        }
    }

    #[test]
    fn tables_name_crates_of_the_layers() {
        let narrow = NARROWER.iter().flat_map(|(name, used)| used.iter().chain([name]));
        let within = WITHIN_LAYER.iter().flat_map(|(user, used)| [user, used]);
        for name in narrow.chain(within) {
            assert!(layer(name).is_some(), "{name}");
        }
    }
}
