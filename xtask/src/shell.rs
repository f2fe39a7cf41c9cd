//! Running other programs.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Runs `command` with our own input and output; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", text(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", text(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", text(command));
    }
    Ok(())
}

/// Becomes `command`, so that it gets the terminal and all signals; returns only a failure.
pub(crate) fn become_it(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", text(command));
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", text(command)))
}

/// What `command` prints, without the line end; an exit code other than 0 is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", text(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}):\n{stderr}", text(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Does `command` start and end with exit code 0? Its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Where `program` is in `PATH`, if it is there.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// An environment variable.
#[expect(clippy::disallowed_methods, reason = "the ban is about the server's configuration")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// Does this process run as root?
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// A path as text for messages and environment variables.
pub(crate) fn display(path: &Path) -> String {
    path.display().to_string()
}

fn text(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut words = vec![name.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}
