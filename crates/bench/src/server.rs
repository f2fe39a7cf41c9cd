//! Starts a fresh server, with a fresh database beside it where asked, and stops both.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    api::Api,
    error::{Error, Result},
    http::Target,
    meter::Meter,
};

/// Longest a server may take to become ready, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often we look whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How much of a log is shown when a start fails.
const LOG_TAIL_BYTES: u64 = 2_000;

/// Where Debian keeps the programs of `PostgreSQL`, by version.
const POSTGRES_PROGRAMS: &str = "/usr/lib/postgresql";

/// The database of the server under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// `SQLite` in the server's own data folder.
    Sqlite,
    /// A fresh `PostgreSQL` which this tool starts on the server's processors.
    OwnPostgres,
    /// A `PostgreSQL` that runs already; it must be empty.
    Url(String),
}

impl Database {
    /// Reads `sqlite`, `postgres` or a `postgres://` URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::OwnPostgres),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Url(url.to_owned()))
            }
            _ => Err("neither sqlite, postgres nor a postgres:// URL".to_owned()),
        }
    }
}

/// How to start the server under test.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The program, started as `PROGRAM serve`.
    pub(crate) program: PathBuf,
    /// Its database.
    pub(crate) database: Database,
    /// The processors it and its database may use, as `taskset -c` takes them.
    pub(crate) cpus: Option<String>,
    /// Further environment variables, as (name, value).
    pub(crate) variables: Vec<(String, String)>,
}

/// A running server. Dropping it stops it and removes what it stored.
#[derive(Debug)]
pub(crate) struct Server {
    plan: Plan,
    port: u16,
    child: Child,
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Server {
    /// Starts it in a new folder and waits until it is ready.
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let folder = TempDir::with_prefix("haechi-bench-").map_err(Error::io("make a folder"))?;
        let postgres = match plan.database {
            Database::OwnPostgres => Some(Postgres::start(plan.cpus.as_deref())?),
            Database::Sqlite | Database::Url(_) => None,
        };
        let port = free_port()?;
        let child = spawn(plan, port, folder.path(), postgres.as_ref())?;
        let mut server = Self { plan: plan.clone(), port, child, folder, postgres };
        server.wait_ready()?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its processes, to be measured.
    pub(crate) fn meter(&self) -> Meter {
        let database = self.postgres.iter().map(|p| p.child.id()).collect();
        Meter { server: vec![self.child.id()], database }
    }

    /// Asks it to stop, starts it again on the same data and port, and waits until it is ready.
    /// Gives the time from the start to being ready.
    pub(crate) fn restart(&mut self) -> Result<Duration> {
        stop(&mut self.child, Signal::TERM);
        let begun = Instant::now();
        self.child = spawn(&self.plan, self.port, self.folder.path(), self.postgres.as_ref())?;
        self.wait_ready()?;
        Ok(begun.elapsed())
    }

    fn wait_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        let target = Target::parse(&self.url())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start a runtime"))?;
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(&format!("the server ended at once: {status}")));
            }
            if runtime.block_on(ready(&target)) {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        Err(self.failed("the server did not become ready"))
    }

    fn failed(&self, what: &str) -> Error {
        let log = tail(&self.folder.path().join("server.log"));
        Error::Start(format!("{what}\n{log}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::TERM);
    }
}

/// Does it answer as a Matrix server that is ready?
async fn ready(target: &Target) -> bool {
    let mut api = Api::anonymous(target);
    match api.call("GET", "/readyz", None).await {
        Ok(_) => true,
        // only our own server has /readyz, and answers 503 while it starts
        Err(Error::Status { status: 503, .. }) => false,
        Err(_) => api.call("GET", "/_matrix/client/versions", None).await.is_ok(),
    }
}

fn spawn(plan: &Plan, port: u16, folder: &Path, postgres: Option<&Postgres>) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))
        .map_err(Error::io("open the server's log"))?;
    let database = match (&plan.database, postgres) {
        (Database::Url(url), _) => url.clone(),
        (_, Some(postgres)) => postgres.url(),
        (_, None) => "sqlite:".to_owned(),
    };
    let mut command = pinned(plan.cpus.as_deref(), &plan.program);
    command
        .arg("serve")
        .current_dir(folder)
        .env("HAECHI_SERVER_NAME", "localhost")
        .env("HAECHI_LISTEN", format!("127.0.0.1:{port}"))
        .env("HAECHI_DATA_DIR", folder.join("data"))
        .env("HAECHI_DATABASE_URL", database)
        .env("HAECHI_REGISTRATION", "open")
        .env("HAECHI_RATE_LIMITS_ENABLED", "false")
        .env("HAECHI_PRESENCE_MODE", "off")
        .env("HAECHI_LOG_LEVEL", "warn")
        .envs(plan.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stderr(log.try_clone().map_err(Error::io("open the server's log"))?)
        .stdout(log);
    command.spawn().map_err(Error::io("start the server"))
}

/// `program` held to `cpus`.
fn pinned(cpus: Option<&str>, program: &Path) -> Command {
    let Some(cpus) = cpus else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", cpus]).arg(program);
    command
}

/// Asks a process to end and waits; kills it when it takes too long.
fn stop(child: &mut Child, signal: Signal) {
    if let Ok(Some(_)) = child.try_wait() {
        return;
    }
    let asked = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| kill_process(pid, signal).is_ok());
    let begun = Instant::now();
    while asked && begun.elapsed() < PATIENCE {
        if let Ok(Some(_)) = child.try_wait() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
    // it may have ended in between, which is as good
    let _ = child.kill();
    let _ = child.wait();
}

/// A port that was free just now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("find a free port"))?;
    Ok(listener.local_addr().map_err(Error::io("find a free port"))?.port())
}

/// The end of a log file.
fn tail(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| {
        let bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(bytes.saturating_sub(LOG_TAIL_BYTES)))?;
        file.read_to_string(&mut text)
    });
    read.map_or_else(|e| format!("(no log: {e})"), |_| text)
}

/// A `PostgreSQL` of our own: 1 GB of shared buffers, the rest as it comes, so every commit is synced.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Postgres {
    /// Starts it on these processors, in a new folder, with a database.
    pub(crate) fn start(cpus: Option<&str>) -> Result<Self> {
        let programs = newest_postgres()?;
        let folder =
            TempDir::with_prefix("haechi-bench-pg-").map_err(Error::io("make a folder"))?;
        // it refuses to run as root, so the folder goes to the user that Debian made for it
        let as_root = rustix::process::getuid().is_root();
        if as_root {
            succeed(Command::new("chown").arg("postgres:").arg(folder.path()))?;
        }
        let data = folder.path().join("data");
        let program = |name: &str| unprivileged(as_root, &programs.join(name));
        succeed(
            program("initdb")
                .arg("-D")
                .arg(&data)
                .args(["-U", "postgres", "-A", "trust"])
                .args(["--locale=C", "--encoding=UTF8"]),
        )?;
        let port = free_port()?;
        let log = folder.path().join("postgres.log");
        let mut command = pinned(cpus, Path::new("setpriv"));
        if as_root {
            command.args(PRIVILEGES).arg(programs.join("postgres"));
        } else {
            command = pinned(cpus, &programs.join("postgres"));
        }
        let log_file = File::create(&log).map_err(Error::io("make the database's log"))?;
        let child = command
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-p", &port.to_string(), "-c", "shared_buffers=1GB"])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .map_err(Error::io("start PostgreSQL"))?;
        let postgres = Self { port, child, _folder: folder };
        postgres.make_database(&programs, &log)?;
        Ok(postgres)
    }

    fn make_database(&self, programs: &Path, log: &Path) -> Result<()> {
        let begun = Instant::now();
        loop {
            let port = self.port.to_string();
            let mut command = Command::new(programs.join("createdb"));
            command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "haechi"]);
            match succeed(&mut command) {
                Err(_) if begun.elapsed() < PATIENCE => thread::sleep(LOOK_EVERY),
                Err(e) => return Err(Error::Start(format!("{e}\n{}", tail(log)))),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/haechi", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // INT is its "fast" shutdown: it does not wait for clients
        stop(&mut self.child, Signal::INT);
    }
}

/// What makes `setpriv` run a program as the user `postgres`.
const PRIVILEGES: [&str; 3] = ["--reuid=postgres", "--regid=postgres", "--init-groups"];

fn unprivileged(as_root: bool, program: &Path) -> Command {
    if !as_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(PRIVILEGES).arg(program);
    command
}

fn newest_postgres() -> Result<PathBuf> {
    let versions = fs::read_dir(POSTGRES_PROGRAMS).into_iter().flatten().flatten();
    versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path.join("bin"))
        .ok_or_else(|| Error::Start(format!("no PostgreSQL below {POSTGRES_PROGRAMS}")))
}

/// Runs a command to its end; what it printed is in the error if it fails.
fn succeed(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(Error::io("run a command"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Start(format!("{}: {said}", command.get_program().display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_named() {
        assert_eq!(Database::parse("sqlite"), Ok(Database::Sqlite));
        assert_eq!(Database::parse("postgres"), Ok(Database::OwnPostgres));
        assert_eq!(
            Database::parse("postgres://a/b"),
            Ok(Database::Url("postgres://a/b".to_owned()))
        );
        assert!(Database::parse("mysql://").is_err());
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_log() {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("server");
        fs::write(&program, "#!/bin/sh\necho no disk >&2\nexit 3\n").unwrap();
        succeed(Command::new("chmod").arg("+x").arg(&program)).unwrap();
        let plan = Plan { program, database: Database::Sqlite, cpus: None, variables: vec![] };
        let error = Server::start(&plan).unwrap_err().to_string();
        assert!(error.contains("no disk"), "{error}");
    }
}
