//! What may happen.

use proptest::prelude::*;

/// Users of a history.
pub(crate) const USERS: usize = 3;

/// Rooms of a history at most.
pub(crate) const ROOMS: usize = 4;

/// Clients of each user that speak `/sync`.
pub(crate) const CLASSICS: usize = 3;

/// Somebody in some room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) user: usize,
    pub(crate) room: usize,
}

/// One thing that happens. What the rules refuse is refused, and changes nothing.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Makes a room of this kind.
    Create(usize, Kind),
    Say(At, Words),
    /// Says so many things.
    Chatter(At, usize),
    State(At, Of, usize),
    Member(At, Move, usize),
    Redact(At, usize),
    Read(At, usize, Mark),
    Typing(At, bool),
    /// Account data of the room, by key and value.
    RoomData(At, usize, usize),
    Tag(At, bool),
    Data(usize, usize, usize),
    Direct(At),
    Mute(At, bool),
    Ignore(usize, Option<usize>),
    Name(usize, usize),
    ToDevice(usize, usize),
    /// New keys on the user's first device.
    Keys(usize),
    Presence(usize, usize),
    /// The server forgets all that is not in the tables.
    Restart,
    Sync(usize, usize, Fate),
    Slide(usize, Option<Wish>, Fate),
}

/// How rooms are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Everybody may join and see all.
    Open,
    /// Everybody may knock; only members see what is said.
    Closed,
    /// By invitation, and seen from the invitation on.
    Encrypted,
    /// In the oldest version there is.
    Old,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Words {
    Plain,
    Mention(usize),
    /// In the thread of an event.
    Thread(usize),
    Edit(usize),
    Reaction(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Name,
    Topic,
    Avatar,
    Custom,
    Visibility,
    JoinRule,
    Encryption,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    Join,
    Leave,
    Knock,
    Forget,
    Invite,
    Kick,
    Ban,
    Unban,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Public,
    Private,
    /// Of the thread that the event is in, or of the main timeline.
    Threaded,
    FullyRead,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Heard,
    /// It gets lost: the client asks again.
    Lost,
    /// The client asked for all state again.
    Full,
}

/// What a sliding client wants to see from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    /// The first so many rooms.
    Window(usize),
    /// So many events of each.
    Limit(usize),
    Subscribe(usize, usize),
    Unsubscribe(usize),
    /// All state or only some.
    AllState(bool),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => happening(),
        14 => own(),
        5 => (0..USERS, 0..CLASSICS, fate()).prop_map(|(user, client, fate)| {
            Step::Sync(user, client, fate)
        }),
        5 => (0..USERS, prop::option::of(wish()), fate()).prop_map(|(user, wish, fate)| {
            Step::Slide(user, wish, fate)
        }),
        1 => Just(Step::Restart),
    ]
}

fn at() -> impl Strategy<Value = At> {
    (0..USERS, 0..ROOMS).prop_map(|(user, room)| At { user, room })
}

/// Events of rooms.
fn happening() -> impl Strategy<Value = Step> {
    let some_event = 0..12_usize;
    let words = prop_oneof![
        3 => Just(Words::Plain),
        1 => (0..USERS).prop_map(Words::Mention),
        2 => some_event.clone().prop_map(Words::Thread),
        1 => some_event.clone().prop_map(Words::Edit),
        1 => some_event.clone().prop_map(Words::Reaction),
    ];
    let of = prop_oneof![
        3 => Just(Of::Name),
        2 => Just(Of::Topic),
        2 => Just(Of::Avatar),
        2 => Just(Of::Custom),
        2 => Just(Of::Visibility),
        1 => Just(Of::JoinRule),
        1 => Just(Of::Encryption),
    ];
    let moves = prop_oneof![
        5 => Just(Move::Join),
        3 => Just(Move::Leave),
        1 => Just(Move::Knock),
        1 => Just(Move::Forget),
        3 => Just(Move::Invite),
        2 => Just(Move::Kick),
        1 => Just(Move::Ban),
        1 => Just(Move::Unban),
    ];
    let kind =
        prop_oneof![Just(Kind::Open), Just(Kind::Closed), Just(Kind::Encrypted), Just(Kind::Old)];
    prop_oneof![
        1 => (0..USERS, kind).prop_map(|(user, kind)| Step::Create(user, kind)),
        8 => (at(), words).prop_map(|(at, words)| Step::Say(at, words)),
        2 => (at(), 2..16_usize).prop_map(|(at, count)| Step::Chatter(at, count)),
        5 => (at(), of, 0..3_usize).prop_map(|(at, of, value)| Step::State(at, of, value)),
        8 => (at(), moves, 0..USERS).prop_map(|(at, to, other)| Step::Member(at, to, other)),
        2 => (at(), some_event).prop_map(|(at, event)| Step::Redact(at, event)),
    ]
}

/// What is not in rooms, or not an event.
fn own() -> impl Strategy<Value = Step> {
    let user = 0..USERS;
    let mark = prop_oneof![
        Just(Mark::Public),
        Just(Mark::Private),
        Just(Mark::Threaded),
        Just(Mark::FullyRead)
    ];
    prop_oneof![
        5 => (at(), 0..12_usize, mark).prop_map(|(at, event, mark)| Step::Read(at, event, mark)),
        2 => (at(), any::<bool>()).prop_map(|(at, on)| Step::Typing(at, on)),
        2 => (at(), 0..2_usize, 0..9_usize).prop_map(|(at, key, value)| {
            Step::RoomData(at, key, value)
        }),
        1 => (at(), any::<bool>()).prop_map(|(at, on)| Step::Tag(at, on)),
        2 => (user.clone(), 0..2_usize, 0..9_usize).prop_map(|(user, key, value)| {
            Step::Data(user, key, value)
        }),
        1 => at().prop_map(Step::Direct),
        1 => (at(), any::<bool>()).prop_map(|(at, on)| Step::Mute(at, on)),
        1 => (user.clone(), prop::option::of(0..USERS)).prop_map(|(user, other)| {
            Step::Ignore(user, other)
        }),
        1 => (user.clone(), 0..3_usize).prop_map(|(user, value)| Step::Name(user, value)),
        2 => (user.clone(), user.clone()).prop_map(|(user, other)| Step::ToDevice(user, other)),
        1 => user.clone().prop_map(Step::Keys),
        1 => (user, 0..3_usize).prop_map(|(user, state)| Step::Presence(user, state)),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Heard), 2 => Just(Fate::Lost), 1 => Just(Fate::Full)]
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        3 => (0..=ROOMS).prop_map(Wish::Window),
        2 => (1..=12_usize).prop_map(Wish::Limit),
        2 => (0..ROOMS, 1..=15_usize).prop_map(|(room, limit)| Wish::Subscribe(room, limit)),
        1 => (0..ROOMS).prop_map(Wish::Unsubscribe),
        1 => any::<bool>().prop_map(Wish::AllState),
    ]
}
