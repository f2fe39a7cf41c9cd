//! The web app in `web/`: built by npm, held inside the binary, tested in a browser.

use std::{fs, path::Path, process::Command, time::SystemTime};

use anyhow::{Context, Result};

use crate::{cargo, shell};

/// What says that the packages of the lock file are there.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// What the build leaves; the server embeds the folder.
const BUILT: &str = "apps/chat/dist/index.html.br";

/// Builds the app, unless it is newer than all it is made of.
pub(crate) fn build() -> Result<()> {
    let web = cargo::workspace_root().join("web");
    let lock = modified(&web.join("package-lock.json")).context("web/package-lock.json is gone")?;
    if modified(&web.join(INSTALLED)).is_none_or(|installed| installed < lock) {
        eprintln!("missing: the web app's npm packages, as web/package-lock.json names them");
        // Not `npm ci`: it refuses a lock file without the variants of a package for other platforms,
        // and some mirrors of the registry have only those for their own.
        shell::run(npm().args(["install", "--no-save", "--no-audit", "--no-fund"]))?;
    }
    let newest = newest_below(&web.join("apps"))?.max(newest_below(&web.join("packages"))?);
    if modified(&web.join(BUILT)).is_some_and(|built| built > newest.max(lock)) {
        return Ok(());
    }
    shell::run(npm().args(["run", "build"]))
}

/// Types, lints, unit tests, and the size of what is loaded first.
pub(crate) fn check() -> Result<()> {
    for script in ["check", "test", "size"] {
        shell::run(npm().args(["run", script]))?;
    }
    Ok(())
}

/// What people do, in real browsers against this server.
pub(crate) fn journeys(haechi: &Path) -> Result<()> {
    let chromium = shell::which("chromium").context("chromium is not in PATH")?;
    shell::run(npm().args(["run", "e2e"]).env("HAECHI_BIN", haechi).env("CHROMIUM", chromium))
}

fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(cargo::workspace_root().join("web"));
    npm
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn newest_below(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let list = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in list {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name == "dist" || name == "node_modules" {
            continue;
        }
        let time = if path.is_dir() { Some(newest_below(&path)?) } else { modified(&path) };
        newest = newest.max(time.unwrap_or(newest));
    }
    Ok(newest)
}
