//! Aliases: names for rooms that people can type.

use haechi_base::{RoomNid, UserNid};
use haechi_store::{LockKey, Locks, Result as StoreResult, Tx, Work, sql};
use ruma::RoomAliasId;

use crate::{Result, RoomError, Rooms};

sql!(ALIAS_ROOM, "SELECT room, creator FROM room_alias WHERE alias = ?1");
sql!(
    ALIAS_ADD,
    "INSERT INTO room_alias (alias, room, creator) VALUES (?1, ?2, ?3) ON CONFLICT (alias) DO NOTHING"
);
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

    /// Gives a room an alias that is not taken.
    pub async fn add_alias(
        &self,
        alias: &RoomAliasId,
        room: RoomNid,
        creator: UserNid,
    ) -> Result<()> {
        let added = self.0.db.write(AddAlias { alias: alias.to_string(), room, creator }).await?;
        if added { Ok(()) } else { Err(RoomError::AliasInUse) }
    }

    /// Takes an alias away; `false` when there was none.
    pub async fn delete_alias(&self, alias: &RoomAliasId) -> Result<bool> {
        Ok(self.0.db.write(DeleteAlias(alias.to_string())).await?)
    }
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

impl Work for AddAlias {
    const NAME: &'static str = "rooms.add_alias";
    type Out = bool;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Room(self.room))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        let args = [(&self.alias).into(), self.room.into(), self.creator.into()];
        Ok(tx.exec(&ALIAS_ADD, &args).await? == 1)
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
