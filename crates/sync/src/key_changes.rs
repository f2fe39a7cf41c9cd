//! `/keys/changes`: what `device_lists` would have said between two tokens.

use haechi_rooms::Membership;

use crate::{
    Inner, Result, Sync, SyncError, SyncToken, Viewer, device_lists::DeviceWatch,
    v3::response::DeviceLists,
};

impl Sync {
    /// Whose devices the viewer must look at again because of what happened between two tokens, and
    /// whose no longer. Names rather too many than too few.
    pub async fn key_changes(
        &self,
        viewer: &Viewer,
        from: &SyncToken,
        to: &SyncToken,
    ) -> Result<DeviceLists> {
        if !self.0.hub.horizon().await.reaches(&to.positions) {
            return Err(SyncError::Behind);
        }
        self.0.key_changes(viewer, from, to).await
    }
}

impl Inner {
    async fn key_changes(
        &self,
        viewer: &Viewer,
        from: &SyncToken,
        to: &SyncToken,
    ) -> Result<DeviceLists> {
        let (from, to) = (&from.positions, &to.positions);
        let known = self.rooms.acquaintances(viewer.user).await?;
        let changed = self.keys.device_lists_changed(viewer.user, from, to, &known).await?;
        let mut watch = DeviceWatch::new(changed.into_iter().collect());
        for place in self.rooms.moves(viewer.user, &from.ranges_to(to)).await? {
            let moved = !from.covers(place.pos);
            let grown = !from.covers(place.head_pos);
            match place.membership {
                Membership::Join if moved || grown => {
                    let room = self.rooms.room(place.room).await?;
                    if moved {
                        watch.joined_room(&room);
                    }
                    let after = self.rooms.seq_at(place.room, from).await?;
                    let last = self.rooms.seq_at(place.room, to).await?;
                    for pdu in self.rooms.state_changes(&room, after, last + 1).await?.iter() {
                        watch.member(&viewer.user_id, pdu);
                    }
                }
                Membership::Leave | Membership::Ban if moved => {
                    watch.left_room(&*self.rooms.room(place.room).await?);
                }
                _ => {}
            }
        }
        self.device_lists(viewer, watch).await
    }
}
