//! Telling one gateway after the other what its pusher is to know, again and again until it is taken.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use haechi_base::{Millis, Positions, UserNid};
use haechi_rooms::{Event, Membership, Room};
use ruma::push::Tweak;
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::{
    Push, Result, closed,
    desks::{Item, Staffed, Task},
    gateway::Answer,
    model::{PusherNid, StoredPusher},
    notice::{bare, notification},
    rules::{gateway, pause},
    store::pushers::{DeleteRejected, FindPusher},
};

/// Events told after catching up: of more only the newest.
const CATCH_UP_MAX: usize = 10;
/// Events looked at in each room while catching up.
const CATCH_UP_PER_ROOM_MAX: usize = 20;
/// After failing for so long, what was not told is given up.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24 * 7);

/// How a worker goes on.
enum Next {
    GoOn,
    /// Later, after so many failures.
    Wait(u32),
    Stop,
}

impl Push {
    /// Sees to it that somebody works at the desk.
    pub(crate) fn staff(&self, id: PusherNid, user: UserNid, staffed: Staffed) {
        if staffed == Staffed::No {
            let push = self.clone();
            tokio::spawn(async move { push.work(id, user).await });
        }
    }

    async fn work(&self, id: PusherNid, user: UserNid) {
        let mut closing = self.0.closing.clone();
        loop {
            let next = tokio::select! {
                next = self.work_once(id, user) => next,
                () = closed(&mut closing) => return,
            };
            match next {
                Ok(Next::GoOn) => {}
                Ok(Next::Stop) => return,
                Ok(Next::Wait(failures)) => self.wait(id, failures).await,
                Err(error) => {
                    tracing::warn!(pusher = id.0, %error, "cannot work on notifications");
                    let (failures, _) = self.0.desks.failed(id, self.0.clock.now());
                    self.wait(id, failures).await;
                }
            }
        }
    }

    /// Waits a while, longer after every failure and never as long as others, or until something has
    /// changed.
    async fn wait(&self, id: PusherNid, failures: u32) {
        let chance = rand::random_range(0.5..1.5);
        let pause = pause(self.0.settings.retry_after, failures).mul_f64(chance);
        let waker = self.0.desks.waker(id);
        let mut closing = self.0.closing.clone();
        tokio::select! {
            () = sleep(pause) => {}
            () = waker.notified() => {}
            () = closed(&mut closing) => {}
        }
    }

    async fn work_once(&self, id: PusherNid, user: UserNid) -> Result<Next> {
        let task = self.0.desks.next(id);
        if let Task::Nothing = task {
            return Ok(Next::Stop);
        }
        let Some(pusher) = self.0.db.read(FindPusher(id)).await?.filter(|it| it.user == user)
        else {
            self.0.registry.remove(user, id);
            self.0.desks.remove(id);
            return Ok(Next::Stop);
        };
        match task {
            Task::Tell(item) => self.tell(id, &pusher, &item).await,
            Task::CatchUp(from) => self.catch_up(id, user, &from).await,
            Task::Badge => self.tell_badge(id, &pusher).await,
            Task::Nothing => Ok(Next::Stop),
        }
    }

    async fn tell(&self, id: PusherNid, pusher: &StoredPusher, item: &Item) -> Result<Next> {
        let pos = item.event.pos;
        if !self.is_news(item, pusher.user).await? {
            self.0.desks.told(id, pos);
            return Ok(Next::GoOn);
        }
        let user_id = self.0.book.users().id_of(pusher.user).await?;
        let badge = self.badge(pusher.user).await?;
        let body = json!(notification(item, &user_id, pusher, badge));
        match self.call(pusher, &body).await? {
            Answer::Taken { rejected } => {
                self.0.badges.insert(id, badge);
                if rejected.contains(&pusher.ids.pushkey) {
                    return self.forget(id, pusher).await;
                }
                self.0.desks.told(id, pos);
                Ok(Next::GoOn)
            }
            Answer::Never(status) => {
                tracing::warn!(pusher = id.0, status, "a push gateway refused a notification");
                self.0.desks.told(id, pos);
                Ok(Next::GoOn)
            }
            Answer::Later(reason) => Ok(self.put_off(id, &reason)),
        }
    }

    fn put_off(&self, id: PusherNid, reason: &str) -> Next {
        let now = self.0.clock.now();
        let (failures, since) = self.0.desks.failed(id, now);
        tracing::debug!(pusher = id.0, failures, reason, "a push gateway did not answer");
        if now.since(since) < GIVE_UP_AFTER {
            return Next::Wait(failures);
        }
        tracing::warn!(pusher = id.0, failures, "notifications given up after days");
        self.0.desks.give_up(id);
        Next::GoOn
    }

    /// The gateway says that there is no such device any more.
    async fn forget(&self, id: PusherNid, pusher: &StoredPusher) -> Result<Next> {
        self.0.db.write(DeleteRejected(pusher.ids.clone())).await?;
        self.0.registry.remove(pusher.user, id);
        self.0.desks.remove(id);
        Ok(Next::Stop)
    }

    /// Tells the number on the badge, if it is not the one last told. Trying once is enough.
    async fn tell_badge(&self, id: PusherNid, pusher: &StoredPusher) -> Result<Next> {
        let badge = self.badge(pusher.user).await?;
        if self.0.badges.get(&id) == Some(badge) {
            return Ok(Next::GoOn);
        }
        let mut body = json!(bare(pusher, badge));
        // Left out, as zero is elsewhere, it would leave the badge as it is.
        body["counts"] = json!({ "unread": badge });
        if let Answer::Taken { rejected } = self.call(pusher, &body).await? {
            self.0.badges.insert(id, badge);
            if rejected.contains(&pusher.ids.pushkey) {
                return self.forget(id, pusher).await;
            }
        }
        Ok(Next::GoOn)
    }

    async fn call(&self, pusher: &StoredPusher, body: &Json) -> Result<Answer> {
        let url = gateway(&pusher.data.url, self.0.schemes())?;
        // The semaphore is never closed.
        let _permit = self.0.calls.acquire().await;
        Ok(self.0.gateways.call(&url, body).await)
    }

    /// Looks up what the pusher has missed.
    async fn catch_up(&self, id: PusherNid, user: UserNid, from: &Arc<Positions>) -> Result<Next> {
        let to = self.0.db.horizon().borrow().clone();
        self.0.desks.begin_catching_up(id, to.clone());
        let created = self.0.registry.of(user).iter().find(|it| it.id == id).map(|it| it.created);
        let found = self.missed(user, from, &to, created.unwrap_or_default()).await?;
        self.0.desks.caught_up(id, found);
        Ok(Next::GoOn)
    }

    /// The newest events between two points in time that notify the user and are unread, in order.
    async fn missed(
        &self,
        user: UserNid,
        from: &Arc<Positions>,
        to: &Positions,
        created: Millis,
    ) -> Result<Vec<Item>> {
        let rooms = &self.0.rooms;
        let unread = rooms.unread_rooms(user).await?;
        let mut found = Vec::new();
        for moved in rooms.moves(user, &[]).await? {
            let events = match moved.membership {
                Membership::Join
                    if !from.covers(moved.head_pos)
                        && unread.iter().any(|unread| unread.room == moved.room) =>
                {
                    let room = rooms.room(moved.room).await?;
                    let limit = CATCH_UP_PER_ROOM_MAX;
                    let events = rooms.timeline(&room, from, to, limit).await?.events;
                    events.into_iter().map(|event| (Arc::clone(&room), event)).collect()
                }
                Membership::Invite if !from.covers(moved.pos) => {
                    let room = rooms.room(moved.room).await?;
                    let event = rooms.event_at(&room, moved.pos).await?;
                    event.into_iter().map(|event| (Arc::clone(&room), event)).collect()
                }
                _ => Vec::new(),
            };
            for (room, event) in events {
                if event.pdu.origin_server_ts() >= created.0 {
                    found.extend(self.item(&room, &event, user, from).await?);
                }
            }
        }
        found.sort_by_key(|item| Reverse((item.event.pdu.origin_server_ts(), item.event.pos)));
        found.truncate(CATCH_UP_MAX);
        found.reverse();
        Ok(found)
    }

    async fn item(
        &self,
        room: &Arc<Room>,
        event: &Arc<Event>,
        user: UserNid,
        after: &Arc<Positions>,
    ) -> Result<Option<Item>> {
        let users = [user];
        let tweaks = self.outcomes(room, event, &users, |_, outcome| -> Arc<[Tweak]> {
            outcome.tweaks().cloned().collect()
        });
        let item = tweaks.await?.pop().map(|tweaks| Item {
            room: Arc::clone(room),
            event: Arc::clone(event),
            tweaks,
            after: Arc::clone(after),
        });
        match item {
            Some(item) if self.is_news(&item, user).await? => Ok(Some(item)),
            _ => Ok(None),
        }
    }
}
