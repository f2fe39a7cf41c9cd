//! Whose devices changed between two points in time.

use haechi_base::{Positions, StreamPos, UserNid};

use crate::{Keys, Result, store::device_list::DeviceListsChanged};

impl Keys {
    /// Which of `among` have changed their devices or identity keys after `since`, sorted. Also
    /// those whose keys `viewer` has signed since then, if they are among them.
    ///
    /// `to` names the lanes to look at. A change after `to` is reported too, since only a user's
    /// latest change is kept: he is then reported once more by the next question, never missed.
    ///
    /// Costs as much as the shorter of two lists: the changes since, or `among`.
    pub async fn device_lists_changed(
        &self,
        viewer: UserNid,
        since: &Positions,
        to: &Positions,
        among: &[UserNid],
    ) -> Result<Vec<UserNid>> {
        let ranges: Vec<(StreamPos, StreamPos)> = since
            .ranges_to(to)
            .into_iter()
            .map(|(from, to)| (from, StreamPos::new(to.lane(), StreamPos::OFFSET_MAX)))
            .collect();
        if ranges.is_empty() || among.is_empty() {
            return Ok(Vec::new());
        }
        let mut among: Vec<i64> = among.iter().map(|user| user.0).collect();
        among.sort_unstable();
        among.dedup();
        Ok(self.db.read(DeviceListsChanged { viewer, ranges, among }).await?)
    }
}
