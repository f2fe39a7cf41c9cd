//! What an operator does with accounts, and how a command reaches the server that runs.
//!
//! Only one process can have the SQLite database open, and only the server knows whom it still
//! takes for logged in. So a command asks the running server by a socket in the data folder, which
//! only the server's own user may open; without a running server it opens the database itself.
//! One request and one answer, each a line of JSON.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use haechi_accounts::{AccountError, Accounts, Registration, RegistrationToken};
use haechi_base::{Clock, UserNid};
use haechi_config::Config;
use haechi_rooms::{Actor, Rooms};
use ruma::UserId;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::compose::office;

/// The socket's name in the data folder.
const SOCKET: &str = "admin.sock";

/// Longest request and answer.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Accounts in one page of a list.
const PAGE: u32 = 1_000;

/// What an operator can ask for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make an account.
    CreateUser { name: String, password: String, is_admin: bool },
    /// List accounts with numbers above this one.
    ListUsers { after: i64 },
    /// Set a password and log the user out.
    SetPassword { name: String, password: String },
    /// Close an account.
    Deactivate { name: String, erase: bool },
    /// Make a registration token.
    CreateToken { token: String, uses: Option<u32>, hours: Option<u32> },
}

/// What the operator gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done; the text names what it was done to.
    Done(String),
    /// Some accounts.
    Users(Vec<User>),
    /// It was not done.
    Failed(String),
}

/// An account in a list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    /// Its number, to ask for those behind it.
    pub(crate) number: i64,
    /// Its Matrix id.
    pub(crate) id: String,
    /// May it use the operator's endpoints?
    pub(crate) is_admin: bool,
    /// Was it closed?
    pub(crate) is_deactivated: bool,
}

/// What an operator's requests work with.
#[derive(Clone)]
pub(crate) struct Office {
    pub(crate) accounts: Accounts,
    pub(crate) rooms: Rooms,
}

/// Asks the running server, or does it here.
pub(crate) enum Operator {
    /// The server that runs.
    Running(PathBuf),
    /// This process, which has opened the database.
    Here(Box<Office>),
}

impl Operator {
    /// Finds the running server, or opens the database.
    pub(crate) async fn reach(config: &Config) -> anyhow::Result<Self> {
        let path = config.data_dir.join(SOCKET);
        if UnixStream::connect(&path).await.is_ok() {
            return Ok(Self::Running(path));
        }
        Ok(Self::Here(Box::new(office(config).await?)))
    }

    /// Asks; a failure is an error.
    pub(crate) async fn ask(&self, request: &Request) -> anyhow::Result<Answer> {
        let answer = match self {
            Self::Running(path) => timeout(PATIENCE, ask_at(path, request))
                .await
                .context("the server did not answer")?
                .context("cannot ask the running server")?,
            Self::Here(office) => perform(office, request).await,
        };
        match answer {
            Answer::Failed(reason) => bail!(reason),
            answer => Ok(answer),
        }
    }
}

async fn ask_at(path: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    stream.take(LINE_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The server's end.
pub(crate) struct Socket(UnixListener);

impl Socket {
    /// Listens in the data folder.
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(SOCKET);
        // Left behind by a server that was killed; the database's lock says that none runs now.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path);
        let listener = listener.with_context(|| format!("cannot make {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// Answers, one at a time, until the process ends.
    pub(crate) async fn serve(self, office: Office) {
        loop {
            let served = match self.0.accept().await {
                Ok((stream, _)) => timeout(PATIENCE, answer(stream, &office)).await,
                Err(error) => Ok(Err(error)),
            };
            if let Ok(Err(error)) = served {
                tracing::warn!(%error, "an operator's request failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(mut stream: UnixStream, office: &Office) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    BufReader::new(read.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(()); // somebody looked whether we are here
    }
    let answer = match serde_json::from_slice(&line) {
        Ok(request) => perform(office, &request).await,
        Err(error) => Answer::Failed(format!("this server does not understand: {error}")),
    };
    write.write_all(&serde_json::to_vec(&answer)?).await
}

async fn perform(office: &Office, request: &Request) -> Answer {
    match try_perform(office, request).await {
        Ok(answer) => answer,
        Err(error) => Answer::Failed(format!("{error:#}")),
    }
}

async fn try_perform(office: &Office, request: &Request) -> anyhow::Result<Answer> {
    let accounts = &office.accounts;
    let find = async |name: &str| {
        let localpart = name.strip_prefix('@').and_then(|id| id.split(':').next()).unwrap_or(name);
        let id = format!("@{}:{}", localpart.to_lowercase(), accounts.server_name());
        let id = UserId::parse(id).map_err(|_| haechi_accounts::Refusal::NoSuchUser)?;
        Ok::<_, AccountError>((accounts.account(&id).await?, id))
    };
    let done = match request {
        Request::CreateUser { name, password, is_admin } => {
            let wish = Registration {
                localpart: Some(name.clone()),
                password: Some(password.clone()),
                is_admin: *is_admin,
                ..Registration::default()
            };
            accounts.register(wish).await?.0.to_string()
        }
        Request::SetPassword { name, password } => {
            let (user, id) = find(name).await?;
            accounts.set_password(user, password, Some(None)).await?;
            id.to_string()
        }
        Request::Deactivate { name, erase } => {
            let (user, id) = find(name).await?;
            accounts.deactivate(user, *erase).await?;
            let actor = Actor { nid: user, user_id: id.clone(), device: None };
            office.rooms.leave_all(&actor).await?;
            id.to_string()
        }
        Request::CreateToken { token, uses, hours } => {
            let hours = hours.map(|hours| Duration::from_secs(u64::from(hours) * 3_600));
            let token = RegistrationToken {
                token: token.clone(),
                uses_max: uses.map(i64::from),
                uses: 0,
                expires: hours.map(|hours| Clock::System.now().plus(hours)),
            };
            let text = token.token.clone();
            accounts.add_registration_token(token).await?;
            text
        }
        Request::ListUsers { after } => {
            let users = accounts.list(UserNid(*after), PAGE).await?;
            let user = |info: haechi_accounts::AccountInfo| User {
                number: info.user.0,
                id: info.user_id.to_string(),
                is_admin: info.is_admin,
                is_deactivated: info.deactivated.is_some(),
            };
            return Ok(Answer::Users(users.into_iter().map(user).collect()));
        }
    };
    Ok(Answer::Done(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_reaches_the_running_server() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_str().unwrap().to_owned();
        let flags = [("server_name", "haechi.example".to_owned()), ("data_dir", data_dir)];
        let config = haechi_config::load(None, Vec::new(), &flags).unwrap().config;
        // What a killed server leaves behind.
        fs::write(folder.path().join(SOCKET), "").unwrap();
        let socket = Socket::open(&config.data_dir).unwrap();
        let mode = fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let office = office(&config).await.unwrap();
        let accounts = office.accounts.clone();
        tokio::spawn(socket.serve(office));

        let operator = Operator::reach(&config).await.unwrap();
        assert!(matches!(operator, Operator::Running(_)));
        let create = |name: &str| Request::CreateUser {
            name: name.to_owned(),
            password: "correct horse".to_owned(),
            is_admin: true,
        };
        let Answer::Done(id) = operator.ask(&create("mina")).await.unwrap() else { panic!() };
        assert_eq!(id, "@mina:haechi.example");
        let error = operator.ask(&create("mina")).await.unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");

        let (name, password) = ("@mina:haechi.example".to_owned(), "battery staple".to_owned());
        operator.ask(&Request::SetPassword { name: name.clone(), password }).await.unwrap();
        assert!(accounts.check_password("mina", "battery staple").await.is_ok());
        let token = Request::CreateToken { token: "spring".to_owned(), uses: Some(1), hours: None };
        operator.ask(&token).await.unwrap();
        assert!(accounts.check_registration_token("spring").await.unwrap());
        operator.ask(&Request::Deactivate { name, erase: false }).await.unwrap();
        let Answer::Users(users) = operator.ask(&Request::ListUsers { after: 0 }).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(users.len(), 1);
        assert!(users[0].is_admin && users[0].is_deactivated);
        let nobody = Request::Deactivate { name: "nobody".to_owned(), erase: false };
        assert!(operator.ask(&nobody).await.is_err());
    }
}
