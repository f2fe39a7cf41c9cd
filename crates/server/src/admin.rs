//! What an operator asks for, and how a command reaches the server that runs.
//!
//! Only one process can have the SQLite database open, and only the server knows whom it still
//! takes for logged in. So a command asks the running server by a socket in the data folder, which
//! only the server's own user may open; without a running server it opens the database itself.
//! One request and one answer, each a line of JSON.

mod office;

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use haechi_config::Config;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::compose::office;
pub(crate) use office::Office;
use office::perform;

/// The socket's name in the data folder.
const SOCKET: &str = "admin.sock";

/// Longest request and answer.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

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
    /// List open reports with numbers above this one.
    ListReports { after: i64 },
    /// Close a report.
    CloseReport { number: i64 },
    /// List what a user has uploaded, with numbers above this one.
    ListMedia { name: String, after: i64 },
    /// Delete an upload, or every one with the same bytes.
    DeleteMedia { uri: String, everywhere: bool },
    /// Put money into a wallet.
    IssueMoney { name: String, currency: String, amount: i64, key: String, who: String },
    /// Freeze wallets, let them go, or release a PIN.
    Intervene { name: String, what: Wallets, reason: String, who: String },
    /// List what operators did with money, after this line.
    ListAudit { after: i64 },
}

/// What is done to a user's wallets.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Wallets {
    /// Nothing goes in or out.
    Freeze,
    /// They are let go.
    Unfreeze,
    /// The PIN can be tried again.
    UnlockPin,
}

/// What the operator gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done; the text names what it was done to.
    Done(String),
    /// Some accounts.
    Users(Vec<User>),
    /// Some reports.
    Reports(Vec<Report>),
    /// Some uploads.
    Media(Vec<Upload>),
    /// Some lines of the audit log: number, and what it says.
    Audit(Vec<(i64, String)>),
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

/// A report in a list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its number.
    pub(crate) number: i64,
    /// When it was made, in milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// By whom.
    pub(crate) by: String,
    /// What was reported.
    pub(crate) what: String,
    /// Why, in the user's words.
    pub(crate) reason: String,
    /// Addresses of media in the reported event.
    pub(crate) media: Vec<String>,
}

/// An upload in a list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// Its number, to ask for those behind it.
    pub(crate) number: i64,
    /// Its address.
    pub(crate) uri: String,
    /// When it was uploaded or promised, in milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// How many bytes; none when it was promised only.
    pub(crate) bytes: Option<i64>,
    /// The content type that the uploader claimed.
    pub(crate) content_type: Option<String>,
    /// The file name that the uploader gave.
    pub(crate) name: Option<String>,
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

#[cfg(test)]
mod tests {
    use haechi_accounts::Registration;
    use haechi_matrix::RoomVersion;
    use haechi_media::About;
    use haechi_rooms::{Actor, MemberProfile, NewEvent, NewRoom};
    use ruma::{api::client::room::create_room::v3::RoomPreset, events::TimelineEventType};
    use serde_json::Map;

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

    #[tokio::test]
    async fn what_was_reported_is_looked_at_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_str().unwrap().to_owned();
        let flags = [("server_name", "haechi.example".to_owned()), ("data_dir", data_dir)];
        let config = haechi_config::load(None, Vec::new(), &flags).unwrap().config;
        let office = office(&config).await.unwrap();
        let user = async |name: &str| {
            let wish = Registration { localpart: Some(name.to_owned()), ..Registration::default() };
            let (user_id, _) = office.accounts.register(wish).await.unwrap();
            let nid = office.accounts.users().nid_of(&user_id).await.unwrap();
            Actor { nid, user_id, device: None }
        };
        let (mina, jun) = (user("mina").await, user("jun").await);
        let bytes = || futures_util::stream::iter([Ok::<_, io::Error>("bad".into())]);
        let media = &office.media;
        let upload = async |user: &Actor| {
            let id = media.upload(user.nid, About::default(), None, bytes()).await.unwrap();
            media.uri(&id)
        };
        let (first, second) = (upload(&jun).await, upload(&jun).await);
        let room = office.rooms.create(&jun, new_room()).await.unwrap();
        let content = format!(r#"{{"msgtype":"m.image","body":"cat","url":"{first}"}}"#);
        let event = NewEvent::message(TimelineEventType::RoomMessage, content);
        let event_id = office.rooms.append(&room, &jun, event, None).await.unwrap();
        office.rooms.report_event(&room, &jun, &event_id, "bad").await.unwrap();
        office.rooms.report_user(jun.nid, &mina, "").await.unwrap();

        let operator = Operator::Here(Box::new(office.clone()));
        let reports = async || match operator.ask(&Request::ListReports { after: 0 }).await {
            Ok(Answer::Reports(reports)) => reports,
            other => panic!("{other:?}"),
        };
        let open = reports().await;
        let what: Vec<&str> = open.iter().map(|report| &*report.what).collect();
        let event = format!("the event {event_id} by @jun:haechi.example in {}", room.room_id);
        assert_eq!(what, [&event, "the user @jun:haechi.example"]);
        assert_eq!((&*open[0].by, &*open[0].reason), ("@jun:haechi.example", "bad"));
        assert_eq!(open[0].media, std::slice::from_ref(&first));
        operator.ask(&Request::CloseReport { number: open[0].number }).await.unwrap();
        assert!(operator.ask(&Request::CloseReport { number: open[0].number }).await.is_err());
        assert_eq!(reports().await.len(), 1);

        let list = Request::ListMedia { name: "jun".to_owned(), after: 0 };
        let uploads = async || match operator.ask(&list).await {
            Ok(Answer::Media(uploads)) => uploads.into_iter().map(|it| it.uri).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(uploads().await, [first.clone(), second.clone()]);
        let delete = |uri: &str, everywhere| {
            let request = Request::DeleteMedia { uri: uri.to_owned(), everywhere };
            async { operator.ask(&{ request }).await }
        };
        for wrong in ["mxc://elsewhere.example/a", "mxc://haechi.example/none", "nonsense"] {
            assert!(delete(wrong, false).await.is_err(), "{wrong}");
        }
        delete(&first, false).await.unwrap();
        assert_eq!(uploads().await, std::slice::from_ref(&second));
        delete(&second, true).await.unwrap();
        assert!(uploads().await.is_empty());
        let again = media.upload(jun.nid, About::default(), None, bytes()).await;
        assert!(again.is_err(), "it stays gone");
    }

    fn new_room() -> NewRoom {
        NewRoom {
            version: RoomVersion::V12,
            preset: RoomPreset::PrivateChat,
            published: false,
            alias: None,
            creation_content: Map::new(),
            power_levels: Map::new(),
            initial_state: Vec::new(),
            name: None,
            topic: None,
            invite: Vec::new(),
            is_direct: false,
            profile: MemberProfile::default(),
        }
    }
}
