//! A throw-away PostgreSQL cluster for tests and benches.
//!
//! It has its own folder under the temporary directory and a free port on 127.0.0.1. A small
//! watchdog process stops it and removes the folder as soon as our end of a pipe closes: when
//! [`Cluster`] is dropped, and also when we are killed.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::shell;

/// The oldest version we promise to work with.
const VERSION_MIN: u32 = 15;

/// How often we look, 50 ms apart, whether the server answers.
const START_TRIES_MAX: u32 = 600;

/// Waits for the end of standard input, then stops the server of data folder `$2` by `$1` and
/// removes the folder `$3`.
const WATCHDOG: &str = r#"cat >/dev/null
"$1" stop --silent --mode=immediate --pgdata="$2" >/dev/null 2>&1
rm -rf -- "$3""#;

/// A running server; stopped and removed when dropped.
pub(crate) struct Cluster {
    port: u16,
    watchdog: Child,
    server: Option<Child>,
}

impl Cluster {
    /// Creates and starts a cluster with locale C (so that both engines order text alike).
    ///
    /// PostgreSQL refuses to run as root, so as root it is run as the user `postgres`, which
    /// Debian's package creates, or else as `nobody`.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs().context("PostgreSQL is not installed")?;
        let home = Home::create(programs)?;
        let port = free_port()?;
        let watchdog = home
            .command(Path::new("/bin/sh"))
            .args(["-c", WATCHDOG, "watchdog"])
            .args([home.programs.join("pg_ctl"), home.data(), home.dir.clone()])
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start the watchdog of PostgreSQL")?;
        let mut cluster = Self { port, watchdog, server: None };
        home.initdb()?;
        let server = cluster.server.insert(home.serve(port)?);
        home.wait_until_ready(port, server)?;
        Ok(cluster)
    }

    /// Where it is. The user may create databases.
    pub(crate) fn url(&self) -> String {
        format!("postgres://haechi@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Nothing is left to do about a failure: the folder is temporary.
        let _ = self.watchdog.wait();
        if let Some(server) = &mut self.server {
            let _ = server.wait();
        }
    }
}

/// The cluster's folder and the user it runs as.
struct Home {
    programs: PathBuf,
    dir: PathBuf,
    /// uid and gid to switch to; none when we are not root.
    user: Option<(u32, u32)>,
}

impl Home {
    fn create(programs: PathBuf) -> Result<Self> {
        let dir = env::temp_dir().join(format!("haechi-pg-{}", process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let user = if shell::is_root() { Some(unprivileged_user()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid))?;
        }
        Ok(Self { programs, dir, user })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A command run as the cluster's user, in a process group of its own: Ctrl-C is for us, the
    /// watchdog sees to the rest.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir).process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn initdb(&self) -> Result<()> {
        let mut initdb = self.command(&self.programs.join("initdb"));
        initdb.args(["--username=haechi", "--auth=trust", "--locale=C", "--encoding=UTF8"]);
        initdb.args(["--no-sync", "--pgdata"]).arg(self.data());
        shell::output(&mut initdb).map(drop)
    }

    fn serve(&self, port: u16) -> Result<Child> {
        let log = fs::File::create(self.dir.join("log"))?;
        self.command(&self.programs.join("postgres"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", &shell::display(&self.dir)])
            .args(["-c", "max_connections=400", "-c", "shared_buffers=256MB", "-D"])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start postgres")
    }

    fn wait_until_ready(&self, port: u16, server: &mut Child) -> Result<()> {
        let mut ask = Command::new(self.programs.join("pg_isready"));
        ask.args(["--host=127.0.0.1", "--port", &port.to_string()]);
        for _ in 0..START_TRIES_MAX {
            if shell::succeeds(&mut ask) {
                return Ok(());
            }
            if server.try_wait()?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        bail!("PostgreSQL did not start; its log says:\n{log}")
    }
}

/// The folder of PostgreSQL's server programs: Debian's newest, or what `PATH` has.
pub(crate) fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(version, path): &(u32, PathBuf)| {
            *version >= VERSION_MIN && path.join("bin/initdb").is_file()
        })
        .max();
    if let Some((_, path)) = newest {
        return Some(path.join("bin"));
    }
    let initdb = fs::canonicalize(shell::which("initdb")?).ok()?;
    Some(initdb.parent()?.to_owned())
}

fn unprivileged_user() -> Result<(u32, u32)> {
    let id = |flag: &str, user: &str| shell::output(Command::new("id").args([flag, user]));
    for user in ["postgres", "nobody"] {
        if let (Ok(uid), Ok(gid)) = (id("-u", user), id("-g", user)) {
            return Ok((uid.parse()?, gid.parse()?));
        }
    }
    bail!("neither the user `postgres` nor `nobody` exists, and PostgreSQL refuses to run as root")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
