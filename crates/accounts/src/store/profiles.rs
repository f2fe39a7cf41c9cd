//! Profiles and the directory of users.

use std::collections::BTreeMap;

use haechi_base::UserNid;
use haechi_store::{Locks, Result, Tx, Value, Work, sql};
use ruma::OwnedUserId;
use serde_json::Value as Json;

use super::{accounts, corrupt, user_lock, users};
use crate::{Refusal, limits, rules};

sql!(FIND, "SELECT value FROM profile_field WHERE nid = ?1 AND name = ?2");
sql!(ALL, "SELECT name, value FROM profile_field WHERE nid = ?1 ORDER BY name");
sql!(
    PUT,
    "INSERT INTO profile_field (nid, name, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (nid, name) DO UPDATE SET value = excluded.value"
);
sql!(DELETE, "DELETE FROM profile_field WHERE nid = ?1 AND name = ?2");
sql!(DELETE_ALL, "DELETE FROM profile_field WHERE nid = ?1");
sql!(UNINDEX, "DELETE FROM directory_word WHERE nid = ?1");
sql!(INDEX, "INSERT INTO directory_word (word, nid) VALUES (?1, ?2) ON CONFLICT DO NOTHING");
sql!(SEARCH, "SELECT DISTINCT nid FROM directory_word WHERE word >= ?1 AND word < ?2 LIMIT ?3");
sql!(
    HAS_WORD,
    "SELECT nid FROM directory_word
    WHERE nid = ?1 AND word >= ?2 AND word < ?3 LIMIT 1"
);

type Profile = BTreeMap<String, Json>;

async fn all(tx: &mut Tx<'_>, user: UserNid) -> Result<Profile> {
    let rows: Vec<(String, Vec<u8>)> = tx.all(&ALL, &[user.into()]).await?;
    rows.into_iter().map(|(name, value)| Ok((name, json(&value)?))).collect()
}

fn json(bytes: &[u8]) -> Result<Json> {
    serde_json::from_slice(bytes).map_err(|error| corrupt(ALL.name, &error))
}

pub(crate) async fn delete(tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
    tx.put(&DELETE_ALL, &[user.into()]).await?;
    Ok(())
}

/// Takes a user out of the directory.
pub(crate) async fn unindex(tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
    tx.put(&UNINDEX, &[user.into()]).await?;
    Ok(())
}

/// Makes a user findable by his names.
pub(crate) async fn index(
    tx: &mut Tx<'_>,
    user: UserNid,
    localpart: &str,
    display_name: Option<&str>,
) -> Result<()> {
    let words = rules::directory_words(localpart, display_name);
    let rows: Vec<[Value<'_>; 2]> = words.iter().map(|word| [word.into(), user.into()]).collect();
    let rows: Vec<&[Value<'_>]> = rows.iter().map(|row| &row[..]).collect();
    tx.exec_many(&INDEX, &rows).await?;
    Ok(())
}

/// The whole profile, or `None` where there is neither account nor profile.
pub(crate) struct FindProfile(pub(crate) OwnedUserId);

impl Work for FindProfile {
    const NAME: &'static str = "accounts.find_profile";
    type Out = Option<Profile>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let Some(user) = users::find(tx, &self.0).await? else { return Ok(None) };
        let profile = all(tx, user).await?;
        if profile.is_empty() && accounts::find(tx, user).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(profile))
    }
}

/// Writes a profile field, or deletes it.
pub(crate) struct PutField {
    pub(crate) user: UserNid,
    pub(crate) name: String,
    pub(crate) value: Option<Json>,
}

impl Work for PutField {
    const NAME: &'static str = "accounts.put_profile_field";
    type Out = Result<bool, Refusal>;

    fn locks(&self) -> Locks {
        user_lock(self.user)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let mut profile = all(tx, self.user).await?;
        let before = match &self.value {
            Some(value) => profile.insert(self.name.clone(), value.clone()),
            None => profile.remove(&self.name),
        };
        if before == self.value {
            return Ok(Ok(false));
        }
        let size: usize =
            profile.iter().map(|(name, value)| name.len() + value.to_string().len() + 4).sum();
        if self.value.is_some() && size > limits::PROFILE_BYTES_MAX {
            return Ok(Err(Refusal::ProfileTooLarge));
        }
        let name = Value::from(&self.name);
        if let Some(value) = &self.value {
            let value = value.to_string();
            tx.put(&PUT, &[self.user.into(), name, Value::Blob(value.as_bytes())]).await?;
        } else {
            tx.put(&DELETE, &[self.user.into(), name]).await?;
        }
        if self.name == "displayname" {
            let id = users::id_of(tx, self.user).await?;
            unindex(tx, self.user).await?;
            let display_name = self.value.as_ref().and_then(Json::as_str);
            index(tx, self.user, id.localpart(), display_name).await?;
        }
        Ok(Ok(true))
    }
}

/// Finds users by parts of their names.
pub(crate) struct SearchUsers {
    /// All must fit; the first leads. Never empty.
    pub(crate) words: Vec<String>,
}

impl Work for SearchUsers {
    const NAME: &'static str = "accounts.search_users";
    type Out = Vec<UserNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let Some((first, others)) = self.words.split_first() else { return Ok(Vec::new()) };
        let end = after_prefix(first);
        let args = [first.into(), (&end).into(), limits::DIRECTORY_CANDIDATES_MAX.into()];
        let rows: Vec<(UserNid,)> = tx.all(&SEARCH, &args).await?;
        let mut found = Vec::new();
        'users: for (user,) in rows {
            for word in others {
                let end = after_prefix(word);
                let args = [user.into(), Value::from(word), (&end).into()];
                if tx.opt::<(UserNid,)>(&HAS_WORD, &args).await?.is_none() {
                    continue 'users;
                }
            }
            found.push(user);
        }
        Ok(found)
    }
}

/// The end of the range of texts that begin with `prefix`, in the order of bytes.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

/// Profiles of several users, in their order.
pub(crate) struct FindProfiles(pub(crate) Vec<UserNid>);

impl Work for FindProfiles {
    const NAME: &'static str = "accounts.find_profiles";
    type Out = Vec<(UserNid, Profile)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let mut profiles = Vec::with_capacity(self.0.len());
        for user in &self.0 {
            profiles.push((*user, all(tx, *user).await?));
        }
        Ok(profiles)
    }
}
