//! Aliases: names for rooms that people can type.

use std::sync::Arc;

use haechi_base::{RoomNid, UserNid};
use haechi_store::{LockKey, Locks, Result as StoreResult, Tx, Work, sql};
use ruma::{RoomAliasId, UserId};
use serde_json::{Map, Value as Json};

use crate::{
    Result, Room, RoomError, Rooms, append::NewEvent, directory::may_rename, model::Actor,
};

sql!(ALIAS_ROOM, "SELECT room, creator FROM room_alias WHERE alias = ?1");
sql!(
    ALIAS_ADD,
    "INSERT INTO room_alias (alias, room, creator) VALUES (?1, ?2, ?3) ON CONFLICT (alias) DO NOTHING"
);
sql!(ALIAS_COUNT, "SELECT count(*) FROM room_alias WHERE room = ?1");
sql!(ALIAS_DELETE, "DELETE FROM room_alias WHERE alias = ?1");
sql!(ROOM_ALIASES, "SELECT alias FROM room_alias WHERE room = ?1 ORDER BY alias");

impl Rooms {
    /// The room that an alias of this server names, and who made the alias.
    pub async fn alias(&self, alias: &RoomAliasId) -> Result<Option<(RoomNid, UserNid)>> {
        Ok(self.0.db.read(FindAlias(alias.to_string())).await?)
    }

    /// The room that an alias names.
    pub async fn resolve_alias(&self, alias: &RoomAliasId) -> Result<Option<RoomNid>> {
        Ok(self.alias(alias).await?.map(|(room, _)| room))
    }

    /// All aliases of a room.
    pub async fn aliases(&self, room: RoomNid) -> Result<Vec<String>> {
        Ok(self.0.db.read(ListAliases(room)).await?)
    }

    /// Gives a room, in which the user must be, an alias of this server that is not taken.
    pub async fn add_alias(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        alias: &RoomAliasId,
    ) -> Result<()> {
        if alias.server_name() != &*self.0.server_name {
            return Err(RoomError::Invalid("this server can only make aliases of its own".into()));
        }
        Self::ensure_joined(room, actor.nid)?;
        let work = AddAlias { alias: alias.to_string(), room: room.nid, creator: actor.nid };
        match self.0.db.write(work).await? {
            Added::Done => Ok(()),
            Added::Taken => Err(RoomError::AliasInUse),
            Added::TooMany => Err(RoomError::Forbidden("the room has too many aliases".into())),
        }
    }

    /// Takes an alias away. Whoever made it may do so, and whoever may set the room's main alias.
    ///
    /// If the room's state names the alias and the user may change that, it is taken out there.
    pub async fn remove_alias(&self, actor: &Actor, alias: &RoomAliasId) -> Result<()> {
        const NO_ALIAS: RoomError = RoomError::NotFound("there is no such alias");
        let (nid, creator) = self.alias(alias).await?.ok_or(NO_ALIAS)?;
        let room = self.room(nid).await?;
        let in_power = room.joined().contains(&actor.nid) && may_rename(&room, actor);
        if creator != actor.nid && !in_power {
            return Err(RoomError::Forbidden("you may not take that alias away".into()));
        }
        if !self.0.db.write(DeleteAlias(alias.to_string())).await? {
            return Err(NO_ALIAS);
        }
        if in_power && let Some(event) = without(&room, alias) {
            match self.append(&room, actor, event, None).await {
                // The alias is gone; that the state still names it does no harm.
                Ok(_) | Err(RoomError::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All aliases of a room, for those who may look at it.
    pub async fn visible_aliases(&self, room: &Arc<Room>, user: &UserId) -> Result<Vec<String>> {
        self.ensure_may_look(room, user).await?;
        self.aliases(room.nid).await
    }

    /// Checks the content of a new `m.room.canonical_alias`: aliases that it names and the one in
    /// force does not must lead to the room.
    pub async fn check_aliases(&self, room: &Room, content: &str) -> Result<()> {
        let wanted = Named::read(content)
            .map_err(|_| RoomError::Invalid("`alias` and `alt_aliases` hold aliases".into()))?;
        let state = room.state();
        let known = state
            .get("m.room.canonical_alias", "")
            .and_then(|pdu| Named::read(pdu.content()).ok())
            .unwrap_or_default();
        let new: Vec<&String> =
            wanted.all().filter(|one| !known.all().any(|k| k == *one)).collect();
        if new.len() > ALIASES_MAX {
            return Err(RoomError::Invalid("too many aliases".into()));
        }
        for text in new {
            let alias = RoomAliasId::parse(text)
                .map_err(|_| RoomError::Invalid(format!("{text:?} is not an alias")))?;
            if self.resolve_alias(&alias).await? != Some(room.nid) {
                return Err(RoomError::BadAlias(text.clone()));
            }
        }
        Ok(())
    }
}

/// Aliases of one room.
const ALIASES_MAX: usize = 1_000;

/// What `m.room.canonical_alias` says.
#[derive(Default, serde::Deserialize)]
struct Named {
    alias: Option<String>,
    alt_aliases: Option<Vec<String>>,
}

impl Named {
    fn read(content: &str) -> serde_json::Result<Self> {
        serde_json::from_str(content)
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        let main = self.alias.iter().filter(|alias| !alias.is_empty());
        main.chain(self.alt_aliases.iter().flatten())
    }
}

/// The room's `m.room.canonical_alias` without an alias, if it names it.
fn without(room: &Room, alias: &RoomAliasId) -> Option<NewEvent> {
    let state = room.state();
    let mut content: Map<String, Json> =
        state.get("m.room.canonical_alias", "")?.content_as().ok()?;
    let is_main = content.get("alias").is_some_and(|main| main == alias.as_str());
    if is_main {
        content.remove("alias");
    }
    let mut changed = is_main;
    if let Some(Json::Array(others)) = content.get_mut("alt_aliases") {
        let before = others.len();
        others.retain(|other| other != alias.as_str());
        changed |= others.len() != before;
    }
    changed.then(|| NewEvent::state("m.room.canonical_alias", "", &content))
}

struct FindAlias(String);

impl Work for FindAlias {
    const NAME: &'static str = "rooms.find_alias";
    type Out = Option<(RoomNid, UserNid)>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        tx.opt(&ALIAS_ROOM, &[(&self.0).into()]).await
    }
}

struct ListAliases(RoomNid);

impl Work for ListAliases {
    const NAME: &'static str = "rooms.list_aliases";
    type Out = Vec<String>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<String>> {
        let rows = tx.all::<(String,)>(&ROOM_ALIASES, &[self.0.into()]).await?;
        Ok(rows.into_iter().map(|(alias,)| alias).collect())
    }
}

struct AddAlias {
    alias: String,
    room: RoomNid,
    creator: UserNid,
}

enum Added {
    Done,
    Taken,
    TooMany,
}

impl Work for AddAlias {
    const NAME: &'static str = "rooms.add_alias";
    type Out = Added;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Room(self.room))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Added> {
        let (count,) = tx.one::<(i64,)>(&ALIAS_COUNT, &[self.room.into()]).await?;
        if usize::try_from(count).unwrap_or(0) >= ALIASES_MAX {
            return Ok(Added::TooMany);
        }
        let args = [(&self.alias).into(), self.room.into(), self.creator.into()];
        let added = tx.exec(&ALIAS_ADD, &args).await? == 1;
        Ok(if added { Added::Done } else { Added::Taken })
    }
}

struct DeleteAlias(String);

impl Work for DeleteAlias {
    const NAME: &'static str = "rooms.delete_alias";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        Ok(tx.exec(&ALIAS_DELETE, &[(&self.0).into()]).await? == 1)
    }
}
