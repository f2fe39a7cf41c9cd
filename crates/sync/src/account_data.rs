//! A user's account data as it is to be seen: push rules are always among it.

use haechi_accounts::AccountDatum;
use haechi_base::StreamPos;
use haechi_push::{PUSH_RULES, push_rules_content};

use crate::{Inner, Result, Viewer};

impl Inner {
    /// All account data of the user. Whoever never changed the push rules has the default ones.
    pub(crate) async fn account_data_all(&self, viewer: &Viewer) -> Result<Vec<AccountDatum>> {
        let mut data = self.accounts.account_data_all(viewer.user).await?;
        show_defaults(viewer, &mut data);
        if !data.iter().any(is_push_rules) {
            data.push(AccountDatum {
                room: None,
                kind: PUSH_RULES.to_owned(),
                content: push_rules_content(&viewer.user_id, None),
                pos: StreamPos::default(),
            });
        }
        Ok(data)
    }

    /// The account data of the user that was written in these ranges.
    pub(crate) async fn account_data_since(
        &self,
        viewer: &Viewer,
        ranges: &[(StreamPos, StreamPos)],
    ) -> Result<Vec<AccountDatum>> {
        let mut data = self.accounts.account_data_since(viewer.user, ranges).await?;
        show_defaults(viewer, &mut data);
        Ok(data)
    }
}

/// Shows the server's default rules as they are now, not as they were when the user changed a rule.
fn show_defaults(viewer: &Viewer, data: &mut [AccountDatum]) {
    for datum in data.iter_mut().filter(|datum| is_push_rules(datum)) {
        datum.content = push_rules_content(&viewer.user_id, Some(&datum.content));
    }
}

fn is_push_rules(datum: &AccountDatum) -> bool {
    datum.room.is_none() && datum.kind == PUSH_RULES
}
