//! Obeys commands, one JSON object a line: `{"do": "say", "room": "!…", "body": "hi"}`. Each is
//! answered by one line, `{"ok": …}` or `{"error": "…"}`.

use std::collections::HashMap;

use anyhow::{Context, Result};
use matrix_sdk::{
    RoomState,
    ruma::{OwnedRoomId, UInt},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};

use crate::person::{Chat, Person};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    Register { name: String },
    Join { room: OwnedRoomId },
    Ready { room: OwnedRoomId, members: UInt, encrypted: bool },
    Say { room: OwnedRoomId, body: String },
    Hear { room: OwnedRoomId, body: String },
    Texts { room: OwnedRoomId },
}

#[derive(Default)]
struct Talker {
    person: Option<Person>,
    chats: HashMap<OwnedRoomId, Chat>,
}

/// Reads commands until there are no more.
pub(crate) async fn run() -> Result<()> {
    let mut talker = Talker::default();
    let mut lines = BufReader::new(stdin()).lines();
    let mut out = stdout();
    while let Some(line) = lines.next_line().await? {
        let answer = match talker.obey(serde_json::from_str(&line)?).await {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        out.write_all(format!("{answer}\n").as_bytes()).await?;
        out.flush().await?;
    }
    Ok(())
}

impl Talker {
    fn person(&self) -> Result<&Person> {
        self.person.as_ref().context("register first")
    }

    async fn chat(&mut self, room: &OwnedRoomId) -> Result<&Chat> {
        if !self.chats.contains_key(room) {
            let chat = self.person()?.timeline(room).await?;
            self.chats.insert(room.clone(), chat);
        }
        self.chats.get(room).context("the chat was just opened")
    }

    async fn obey(&mut self, command: Command) -> Result<Value> {
        match command {
            Command::Register { name } => {
                let person = Person::register(&name).await?;
                let id = person.id();
                self.person = Some(person);
                Ok(json!(id))
            }
            Command::Join { room } => {
                self.person()?.room(&room, RoomState::Invited).await?.join().await?;
                Ok(Value::Null)
            }
            Command::Ready { room, members, encrypted } => {
                let joined = self.person()?.open(&room, members.into()).await?;
                let state = joined.latest_encryption_state().await?;
                anyhow::ensure!(
                    state.is_encrypted() == encrypted,
                    "the room's encryption: {state:?}"
                );
                self.chat(&room).await?;
                Ok(Value::Null)
            }
            Command::Say { room, body } => Ok(json!(self.chat(&room).await?.say(&body).await?)),
            Command::Hear { room, body } => {
                self.chat(&room).await?.hear(&body).await?;
                Ok(Value::Null)
            }
            Command::Texts { room } => Ok(json!(self.chat(&room).await?.texts().await)),
        }
    }
}
