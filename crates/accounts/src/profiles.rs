//! Profiles.

use std::collections::BTreeMap;

use haechi_base::UserNid;
use ruma::UserId;
use serde_json::Value as Json;

use crate::{
    Accounts, Result, rules,
    store::profiles::{FindProfile, PutField},
};

impl Accounts {
    /// The user's profile by field, `None` for an unknown user.
    pub async fn profile(&self, user_id: &UserId) -> Result<Option<BTreeMap<String, Json>>> {
        Ok(self.0.db.read(FindProfile(user_id.to_owned())).await?)
    }

    /// Sets a field of the user's profile, or deletes it. Returns whether anything changed; then
    /// whoever calls this tells the rooms, if the field is one of those that they repeat.
    pub async fn set_profile_field(
        &self,
        user: UserNid,
        name: &str,
        value: Option<Json>,
    ) -> Result<bool> {
        rules::check_profile_field(name, value.as_ref())?;
        let name = name.to_owned();
        Ok(self.0.db.write(PutField { user, name, value }).await??)
    }
}
