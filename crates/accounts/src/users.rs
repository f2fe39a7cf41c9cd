//! Numbers of users, remembered in both directions.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_store::{Db, StoreError};
use moka::sync::Cache;
use ruma::{OwnedUserId, UserId};

use crate::{
    limits,
    store::users::{AddUsers, FindIds, FindUsers},
};

/// Gives every Matrix user a number and back. A number never changes, so it is remembered as long
/// as there is room. Clones share the memory.
#[derive(Clone)]
pub struct Users {
    db: Db,
    nids: Cache<OwnedUserId, UserNid>,
    ids: Cache<UserNid, Arc<OwnedUserId>>,
}

impl Users {
    pub(crate) fn new(db: Db) -> Self {
        let nids = Cache::new(limits::USERS_CACHED_MAX);
        let ids = Cache::new(limits::USERS_CACHED_MAX);
        Self { db, nids, ids }
    }

    fn remember(&self, nid: UserNid, id: &OwnedUserId) {
        self.nids.insert(id.clone(), nid);
        self.ids.insert(nid, Arc::new(id.clone()));
    }

    /// The number of a user whom this server has heard of.
    pub async fn find(&self, id: &UserId) -> Result<Option<UserNid>, StoreError> {
        Ok(self.find_many(&[id]).await?[0])
    }

    /// The numbers of users, in their order; `None` where this server has not heard of one.
    pub async fn find_many<I: AsRef<UserId>>(
        &self,
        ids: &[I],
    ) -> Result<Vec<Option<UserNid>>, StoreError> {
        let mut nids: Vec<Option<UserNid>> =
            ids.iter().map(|id| self.nids.get(id.as_ref())).collect();
        let missing: Vec<OwnedUserId> = ids
            .iter()
            .zip(&nids)
            .filter(|(_, nid)| nid.is_none())
            .map(|(id, _)| id.as_ref().to_owned())
            .collect();
        if missing.is_empty() {
            return Ok(nids);
        }
        for (nid, id) in self.db.read(FindUsers(missing)).await? {
            self.remember(nid, &id);
            for (slot, wanted) in nids.iter_mut().zip(ids) {
                if wanted.as_ref() == id {
                    *slot = Some(nid);
                }
            }
        }
        Ok(nids)
    }

    /// The number of a user, made if there is none.
    pub async fn nid_of(&self, id: &UserId) -> Result<UserNid, StoreError> {
        Ok(self.nids_of(&[id]).await?[0])
    }

    /// The numbers of users, in their order, made where there are none.
    pub async fn nids_of<I: AsRef<UserId>>(&self, ids: &[I]) -> Result<Vec<UserNid>, StoreError> {
        let found = self.find_many(ids).await?;
        let missing: Vec<OwnedUserId> = ids
            .iter()
            .zip(&found)
            .filter(|(_, nid)| nid.is_none())
            .map(|(id, _)| id.as_ref().to_owned())
            .collect();
        let mut added = Vec::new();
        if !missing.is_empty() {
            // In missing's order, so that each hole below takes its own.
            added = self.db.write(AddUsers(missing)).await?;
            for (nid, id) in &added {
                self.remember(*nid, id);
            }
        }
        let mut added = added.into_iter().map(|(nid, _)| nid);
        let nids: Option<Vec<UserNid>> =
            found.into_iter().map(|nid| nid.or_else(|| added.next())).collect();
        nids.ok_or_else(|| unknown("a user has no number"))
    }

    /// The id of a user.
    pub async fn id_of(&self, nid: UserNid) -> Result<Arc<OwnedUserId>, StoreError> {
        Ok(self.ids_of(&[nid]).await?.swap_remove(0))
    }

    /// The ids of users, in the order of their numbers.
    pub async fn ids_of(&self, nids: &[UserNid]) -> Result<Vec<Arc<OwnedUserId>>, StoreError> {
        let mut ids: Vec<Option<Arc<OwnedUserId>>> =
            nids.iter().map(|nid| self.ids.get(nid)).collect();
        let missing: Vec<UserNid> =
            nids.iter().zip(&ids).filter(|(_, id)| id.is_none()).map(|(nid, _)| *nid).collect();
        if !missing.is_empty() {
            let found = self.db.read(FindIds(missing)).await?;
            for (nid, id) in &found {
                self.remember(*nid, id);
            }
            let found: std::collections::HashMap<_, _> = found.into_iter().collect();
            for (slot, nid) in ids.iter_mut().zip(nids) {
                if slot.is_none() {
                    *slot = found.get(nid).map(|id| Arc::new(id.clone()));
                }
            }
        }
        let ids: Option<Vec<_>> = ids.into_iter().collect();
        ids.ok_or_else(|| unknown("a number belongs to no user"))
    }
}

/// A number that no row explains: the database was tampered with, or a caller made it up.
fn unknown(reason: &str) -> StoreError {
    StoreError::Corrupt { statement: "matrix_user", column: 0, reason: reason.to_owned() }
}
