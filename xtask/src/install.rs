//! What a bare machine lacks, and how to get it.
//!
//! Each need is looked for first, so that nothing is touched (and no time is spent) where all is
//! there. Debian and its kin are installed on by themselves; elsewhere we say what is missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{postgres, shell};

/// Something that must be on the machine.
pub(crate) struct Need {
    name: &'static str,
    why: &'static str,
    /// Debian's packages that bring it.
    packages: &'static [&'static str],
    present: fn() -> bool,
}

/// A C compiler; SQLite and the cryptography are built from their C sources.
pub(crate) const C_COMPILER: Need = Need {
    name: "a C compiler",
    why: "SQLite and the TLS library are built from C",
    packages: &["build-essential"],
    present: || shell::which("cc").is_some() && shell::which("make").is_some(),
};

/// PostgreSQL's server programs; the tests start a cluster of their own with them.
pub(crate) const POSTGRES: Need = Need {
    name: "PostgreSQL 15 or later",
    why: "storage tests run on SQLite and on PostgreSQL",
    packages: &["postgresql"],
    present: || postgres::programs().is_some(),
};

/// Python with virtual environments, for the matrix-nio client.
pub(crate) const PYTHON: Need = Need {
    name: "Python 3 with venv",
    why: "the matrix-nio client talks to the server in the tests",
    packages: &["python3", "python3-venv"],
    present: || shell::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
};

/// npm, for the web app and for the matrix-js-sdk client of the tests.
pub(crate) const NPM: Need = Need {
    name: "Node.js with npm",
    why: "the web app is built by it, and the matrix-js-sdk client of the tests runs on it",
    packages: &["nodejs", "npm"],
    present: || shell::which("node").is_some() && shell::which("npm").is_some(),
};

/// A browser, for the journeys through the web app.
pub(crate) const CHROMIUM: Need = Need {
    name: "Chromium",
    why: "the tests use the web app in it as people do",
    packages: &["chromium"],
    present: || shell::which("chromium").is_some(),
};

/// Makes sure that all of `needs` are there; installs what is not.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    for need in &missing {
        eprintln!("missing: {}: {}", need.name, need.why);
    }
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if shell::variable("HAECHI_XTASK_INSTALL").is_some_and(|value| value == "no") {
        bail!("something is missing; install it by `{by_hand}`");
    }
    if shell::which("apt-get").is_none() {
        bail!("this system has no apt-get; install what its own packages call {packages:?}");
    }
    eprintln!("installing Debian's packages: {}", packages.join(" "));
    // An old list names files that are gone from the archive, so it is renewed first.
    shell::run(&mut as_root(&["apt-get", "update", "--quiet"])?)?;
    let mut install = vec!["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(&packages);
    shell::run(as_root(&install)?.env("DEBIAN_FRONTEND", "noninteractive"))?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => bail!("{} is still not found after `{by_hand}`", need.name),
    }
}

fn as_root(words: &[&str]) -> Result<Command> {
    if shell::is_root() {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        return Ok(command);
    }
    if shell::which("sudo").is_none() {
        bail!("this needs root, and there is no sudo; as root, run `{}`", words.join(" "));
    }
    let mut command = Command::new("sudo");
    command.args(words);
    Ok(command)
}
