//! Rooms: events, state, membership, timelines, receipts.
//!
//! Everything that happens in a room is an event appended to its end by [`Rooms::append`]: the rules
//! are checked against the state in memory, the event is signed to stand behind the last one, and a
//! [`haechi_store::Work`] writes it if the room is still as it was; if not, it is checked again.
//! There is no owner of a room: any node may append to any room.

mod aliases;
mod append;
mod create;
mod directory;
mod enclose;
mod error;
mod everywhere;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod hierarchy;
mod key;
mod load;
mod membership;
mod model;
mod mutual;
mod notified;
mod push;
mod read;
mod receipts;
mod relations;
mod reports;
mod room;
mod search;
mod settle;
mod store;
mod summary;
mod sync;
mod typing;
mod unread;
mod upgrade;
mod visibility;

use std::sync::{Arc, OnceLock, atomic::AtomicI64};

use haechi_accounts::Users;
use haechi_base::{Clock, RoomNid};
use haechi_matrix::SigningKey;
use haechi_store::{Db, Schema, schema};
use ruma::OwnedServerName;

pub use append::NewEvent;
pub use create::NewRoom;
pub use directory::{DirectoryPage, DirectoryQuery, DirectoryToken};
pub use enclose::Enclosed;
pub use error::{Result, RoomError};
pub use haechi_matrix::auth::Membership;
pub use hierarchy::{HierarchyPage, HierarchyQuery, HierarchyRoom, HierarchyToken};
pub use key::signing_key;
pub use membership::{MemberChange, MemberProfile};
pub use model::{Actor, Counts, Event, Standing, State, Txn, membership_of};
pub use mutual::MutualRooms;
pub use notified::{Notified, NotifiedQuery, UnreadRoom};
pub use push::{Appending, Loading, PushAction, PushRules, Verdict};
pub use read::{Direction, Page, PageToken};
pub use receipts::{Receipt, ReceiptKind};
pub use relations::{Reader, Related, ThreadPage, ThreadToken};
pub use reports::Report;
pub use room::{Recent, Room, Snapshot};
pub use search::{Hit, SearchOrder, SearchPage, SearchQuery, SearchToken};
pub use typing::{Said, Typing};
pub use unread::Unread;
pub use visibility::Stay;

/// The tables of this crate.
pub static SCHEMA: Schema = schema!("rooms": "0001_rooms", "0002_threads", "0003_search", "0004_reports", "0005_annotations", "0006_closed_reports");

/// The rooms of this installation; clones share them.
#[derive(Clone)]
pub struct Rooms(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) users: Users,
    pub(crate) clock: Clock,
    pub(crate) server_name: OwnedServerName,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) cache: load::RoomCache,
    pub(crate) push: OnceLock<Arc<dyn PushRules>>,
    pub(crate) typing: Typing,
    /// When the last room was made, by this node's clock.
    pub(crate) last_created: AtomicI64,
    pub(crate) search: search::Progress,
}

impl Rooms {
    /// Rooms in `db`, with events signed by `key` for `server_name`; up to about `cache_bytes_max`
    /// of them are kept in memory, with their state and newest events.
    pub fn new(
        db: Db,
        users: Users,
        clock: Clock,
        server_name: OwnedServerName,
        key: Arc<SigningKey>,
        cache_bytes_max: u64,
    ) -> Self {
        Self(Arc::new(Inner {
            db,
            users,
            clock,
            server_name,
            key,
            cache: load::RoomCache::new(cache_bytes_max),
            push: OnceLock::new(),
            typing: Typing::default(),
            last_created: AtomicI64::new(0),
            search: search::Progress::default(),
        }))
    }

    /// Lets `rules` decide whom each event notifies otherwise than by default. Once, at the start.
    pub fn set_push_rules(&self, rules: Arc<dyn PushRules>) {
        // A second call would be a mistake in the composition root; the first one stays.
        let _ = self.0.push.set(rules);
    }

    /// Who is typing where.
    pub fn typing(&self) -> &Typing {
        &self.0.typing
    }

    /// The server's own name.
    pub fn server_name(&self) -> &OwnedServerName {
        &self.0.server_name
    }

    /// Who has joined the room.
    pub async fn audience(&self, room: RoomNid) -> Result<imbl::OrdSet<haechi_base::UserNid>> {
        Ok(self.room(room).await?.joined())
    }
}
