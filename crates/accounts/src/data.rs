//! Account data and filters.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use haechi_base::{RoomNid, StreamPos, UserNid};
use serde_json::{Value as Json, value::RawValue};

use crate::{
    AccountDatum, Accounts, Refusal, Result,
    store::{
        data::{
            AccountDataOf, EditAccountData, FindAccountData, ListAccountData, PutAccountData, Which,
        },
        filters::{AddFilter, FindFilter},
    },
};

impl Accounts {
    /// Sets one entry of account data, of the account or of one room in it.
    pub async fn set_account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        kind: &str,
        content: Box<RawValue>,
    ) -> Result<StreamPos> {
        check_kind(kind)?;
        if !content.get().trim_start().starts_with('{') {
            return Err(Refusal::InvalidValue("account data is a JSON object").into());
        }
        let work = PutAccountData { user, room, kind: kind.to_owned(), content };
        let pos = self.0.db.write(work).await??;
        self.0.ignored.written(user, kind);
        Ok(pos)
    }

    /// Sets an entry to what `edit` makes of it as it is now; nobody comes between. `edit` may run
    /// more than once; with `None` nothing is written.
    pub async fn edit_account_data<F>(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        kind: &str,
        edit: F,
    ) -> Result<Option<StreamPos>>
    where
        F: Fn(Option<Json>) -> Option<Json> + Send + Sync + 'static,
    {
        check_kind(kind)?;
        let work = EditAccountData { user, room, kind: kind.to_owned(), edit };
        let pos = self.0.db.write(work).await??;
        self.0.ignored.written(user, kind);
        Ok(pos)
    }

    /// One entry of account data.
    pub async fn account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        kind: &str,
    ) -> Result<Option<Box<RawValue>>> {
        let kind = kind.to_owned();
        Ok(self.0.db.read(FindAccountData { user, room, kind }).await?)
    }

    /// Entries of these types, of whole accounts, of several users, in no order.
    pub async fn account_data_of(
        &self,
        users: Vec<UserNid>,
        kinds: &'static [&'static str],
    ) -> Result<Vec<(UserNid, String, Box<RawValue>)>> {
        Ok(self.0.db.read(AccountDataOf { users, kinds }).await?)
    }

    /// All account data of a user, of the account first, then by room.
    pub async fn account_data_all(&self, user: UserNid) -> Result<Vec<AccountDatum>> {
        Ok(self.0.db.read(ListAccountData { user, which: Which::All }).await?)
    }

    /// The account data of a user for one room.
    pub async fn account_data_of_room(
        &self,
        user: UserNid,
        room: RoomNid,
    ) -> Result<Vec<AccountDatum>> {
        Ok(self.0.db.read(ListAccountData { user, which: Which::OfRoom(room) }).await?)
    }

    /// The account data of a user that was written in these ranges, first excluded, last included.
    pub async fn account_data_since(
        &self,
        user: UserNid,
        ranges: &[(StreamPos, StreamPos)],
    ) -> Result<Vec<AccountDatum>> {
        let which = Which::In(ranges.to_vec());
        Ok(self.0.db.read(ListAccountData { user, which }).await?)
    }

    /// Stores a filter and returns its id; the same filter has the same id.
    pub async fn add_filter(&self, user: UserNid, definition: Box<RawValue>) -> Result<String> {
        let hash = blake3::hash(definition.get().as_bytes());
        let filter_id = BASE64_URL_SAFE_NO_PAD.encode(&hash.as_bytes()[..12]);
        if self.filter(user, &filter_id).await?.is_none() {
            let filter_id = filter_id.clone();
            self.0.db.write(AddFilter { user, filter_id, definition }).await??;
        }
        Ok(filter_id)
    }

    /// A filter that the user stored.
    pub async fn filter(&self, user: UserNid, filter_id: &str) -> Result<Option<Box<RawValue>>> {
        let filter_id = filter_id.to_owned();
        Ok(self.0.db.read(FindFilter { user, filter_id }).await?)
    }
}

fn check_kind(kind: &str) -> Result<()> {
    let bytes_max = haechi_base::limits::IDENTIFIER_BYTES_MAX;
    if (1..=bytes_max).contains(&kind.len()) {
        Ok(())
    } else {
        Err(Refusal::InvalidValue("the type of account data has 1 to 255 bytes").into())
    }
}
