//! Filters.

use haechi_base::UserNid;
use haechi_store::{Locks, Result, Tx, Value, Work, sql};
use serde_json::value::RawValue;

use super::{raw_json, user_lock};
use crate::{Refusal, limits};

sql!(FIND, "SELECT definition FROM filter WHERE nid = ?1 AND filter_id = ?2");
sql!(COUNT, "SELECT count(*) FROM filter WHERE nid = ?1");
sql!(
    ADD,
    "INSERT INTO filter (nid, filter_id, definition) VALUES (?1, ?2, ?3)
    ON CONFLICT (nid, filter_id) DO NOTHING"
);

pub(crate) struct AddFilter {
    pub(crate) user: UserNid,
    pub(crate) filter_id: String,
    pub(crate) definition: Box<RawValue>,
}

impl Work for AddFilter {
    const NAME: &'static str = "accounts.add_filter";
    type Out = Result<(), Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let (count,): (i64,) = tx.one(&COUNT, &[self.user.into()]).await?;
        if count >= limits::FILTERS_MAX {
            return Ok(Err(Refusal::TooMany("filters")));
        }
        let definition = Value::Blob(self.definition.get().as_bytes());
        tx.put(&ADD, &[self.user.into(), (&self.filter_id).into(), definition]).await?;
        Ok(Ok(()))
    }
}

pub(crate) struct FindFilter {
    pub(crate) user: UserNid,
    pub(crate) filter_id: String,
}

impl Work for FindFilter {
    const NAME: &'static str = "accounts.find_filter";
    type Out = Option<Box<RawValue>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.user.into(), Value::from(&self.filter_id)];
        let row: Option<(Vec<u8>,)> = tx.opt(&FIND, &args).await?;
        row.map(|(definition,)| raw_json(FIND.name, definition)).transpose()
    }
}
