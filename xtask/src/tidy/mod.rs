//! `tidy`: our own rules, checked on the sources and on cargo's view of the workspace.
//!
//! STYLE.md says why each rule is there.

mod direction;
mod rust;
mod text;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{cargo, shell};

/// What the rules have found.
#[derive(Default)]
pub(crate) struct Report {
    failures: Vec<String>,
    warnings: Vec<String>,
}

impl Report {
    fn fail(&mut self, at: &str, what: impl AsRef<str>) {
        self.failures.push(format!("{at}: {}", what.as_ref()));
    }

    fn warn(&mut self, at: &str, what: impl AsRef<str>) {
        self.warnings.push(format!("{at}: {}", what.as_ref()));
    }
}

/// Checks all rules; fails when one is broken.
pub(crate) fn tidy() -> Result<()> {
    let mut report = Report::default();
    direction::check(&cargo::metadata()?, &mut report);
    let mut split = rust::SqlCount::default();
    for path in sources()? {
        // Pictures and other binary files are not text; they have no rules.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        text::check(&path, &text, &mut report);
        if has_extension(&path, "rs") {
            rust::check(&path, &text, &mut split, &mut report);
        }
    }
    split.check(&mut report);

    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    for failure in &report.failures {
        eprintln!("error: {failure}");
    }
    eprintln!("tidy: {}", split.text());
    if !report.failures.is_empty() {
        bail!("{} rules of STYLE.md are broken", report.failures.len());
    }
    Ok(())
}

fn has_extension(path: &str, wanted: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == wanted)
}

/// The files that are, or are about to be, in the repository.
fn sources() -> Result<Vec<String>> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let list = shell::output(&mut list).context("tidy asks git which files are ours")?;
    Ok(list.lines().map(str::to_owned).collect())
}
