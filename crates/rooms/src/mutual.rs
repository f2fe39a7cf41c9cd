//! The rooms that two users have in common.

use haechi_base::{RoomNid, UserNid};
use haechi_store::{Result as StoreResult, Tx, Work, sql};

use crate::{Result, Rooms};

sql!(
    MUTUAL,
    "SELECT a.room FROM member a JOIN member b ON b.room = a.room AND b.user_nid = ?2
     WHERE a.user_nid = ?1 AND a.membership = 'join' AND b.membership = 'join' AND a.room > ?3
     ORDER BY a.room LIMIT ?4"
);
sql!(
    MUTUAL_COUNT,
    "SELECT count(*) FROM member a JOIN member b ON b.room = a.room AND b.user_nid = ?2
     WHERE a.user_nid = ?1 AND a.membership = 'join' AND b.membership = 'join'"
);

/// Some rooms that two users have in common.
#[derive(Clone, Debug, Default)]
pub struct MutualRooms {
    /// By number.
    pub rooms: Vec<RoomNid>,
    /// How many there are altogether.
    pub total: i64,
}

impl Rooms {
    /// The rooms that both users have joined, behind number `after`.
    pub async fn mutual_rooms(
        &self,
        one: UserNid,
        other: UserNid,
        after: RoomNid,
        limit: usize,
    ) -> Result<MutualRooms> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.0.db.read(LoadMutual { one, other, after, limit }).await?)
    }
}

struct LoadMutual {
    one: UserNid,
    other: UserNid,
    after: RoomNid,
    limit: i64,
}

impl Work for LoadMutual {
    const NAME: &'static str = "rooms.load_mutual";
    type Out = MutualRooms;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<MutualRooms> {
        let (one, other) = (self.one.into(), self.other.into());
        let args = [one, other, self.after.into(), self.limit.into()];
        let rows = tx.all::<(RoomNid,)>(&MUTUAL, &args).await?;
        let (total,) = tx.one::<(i64,)>(&MUTUAL_COUNT, &[one, other]).await?;
        Ok(MutualRooms { rooms: rows.into_iter().map(|(room,)| room).collect(), total })
    }
}
