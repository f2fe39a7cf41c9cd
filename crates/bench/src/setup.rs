//! Makes the users and rooms that a scenario needs.

use crate::{
    api::{Api, User},
    error::Result,
    load::{Env, pool},
};

/// Requests under way at a time while users and rooms are made.
pub(crate) const AT_ONCE: usize = 16;

/// A room and who is in it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// The Matrix id.
    pub(crate) id: String,
    /// Its members, as indices of users; the first has created it.
    pub(crate) members: Vec<usize>,
}

/// Registers `count` users.
pub(crate) fn users(env: &Env, count: usize) -> Result<Vec<User>> {
    pool(env, AT_ONCE, count, async |index| {
        Api::anonymous(env.target(index)).register(&format!("{}{index}", env.prefix)).await
    })
}

/// Puts each of `groups` of users into a room of its own.
pub(crate) fn rooms(env: &Env, users: &[User], groups: &[Vec<usize>]) -> Result<Vec<Room>> {
    pool(env, AT_ONCE, groups.len(), async |index| {
        let members = groups[index].clone();
        let mut id = String::new();
        for (place, member) in members.iter().enumerate() {
            let mut api = Api::new(env.target(*member), &users[*member]);
            if place == 0 {
                id = api.create_room(&format!("Room {index}")).await?;
            } else {
                api.join(&id).await?;
            }
        }
        Ok(Room { id, members })
    })
}

/// All users in rooms of `members` each.
pub(crate) fn users_in_rooms(
    env: &Env,
    rooms_count: usize,
    members: usize,
) -> Result<(Vec<User>, Vec<Room>)> {
    let users = users(env, rooms_count * members)?;
    let everybody: Vec<usize> = (0..users.len()).collect();
    let groups: Vec<Vec<usize>> = everybody.chunks(members.max(1)).map(<[_]>::to_vec).collect();
    let rooms = rooms(env, &users, &groups)?;
    Ok((users, rooms))
}
