//! Finding users by name.

use haechi_base::UserNid;
use serde_json::Value as Json;

use crate::{
    Accounts, FoundUser, Result, rules,
    store::profiles::{FindProfiles, SearchUsers},
};

impl Accounts {
    /// Users whose names hold all words of `term`, at most `limit` of those who are `visible` to
    /// whoever asks. The second value says that there may be more.
    pub async fn search(
        &self,
        term: &str,
        limit: usize,
        visible: impl Fn(UserNid) -> bool,
    ) -> Result<(Vec<FoundUser>, bool)> {
        let words = rules::search_words(term);
        if words.is_empty() {
            return Ok((Vec::new(), false));
        }
        let mut found = self.0.db.read(SearchUsers { words }).await?;
        found.retain(|user| visible(*user));
        let limited = found.len() > limit;
        found.truncate(limit);

        let ids = self.0.users.ids_of(&found).await?;
        let profiles = self.0.db.read(FindProfiles(found)).await?;
        let users = ids.into_iter().zip(profiles).map(|(id, (_, mut profile))| {
            let mut text = |name: &str| match profile.remove(name) {
                Some(Json::String(text)) => Some(text),
                _ => None,
            };
            FoundUser {
                user_id: id.as_ref().clone(),
                display_name: text("displayname"),
                avatar_url: text("avatar_url"),
            }
        });
        Ok((users.collect(), limited))
    }
}
