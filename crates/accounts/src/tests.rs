use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicUsize, Ordering},
};

use haechi_base::{Millis, Positions, RoomNid};
use haechi_store::{
    Change, Tx,
    testing::{self, TestDb, store_test},
};
use ruma::{UserId, device_id, presence::PresenceState, server_name, user_id};
use serde_json::{json, value::to_raw_value};

use super::*;

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct World {
    accounts: Accounts,
    db: TestDb,
    clock: Clock,
    hooks: Arc<CountingHooks>,
}

#[derive(Default)]
struct CountingHooks {
    deleted: AtomicUsize,
    forgotten: AtomicUsize,
}

impl DeviceHooks for CountingHooks {
    fn deleted<'a>(
        &'a self,
        _: &'a mut Tx<'_>,
        _: UserNid,
        devices: &'a [String],
    ) -> HookFuture<'a> {
        self.deleted.fetch_add(devices.len(), Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    }

    fn renamed<'a>(&'a self, tx: &'a mut Tx<'_>, user: UserNid) -> HookFuture<'a> {
        Box::pin(async move { tx.announce(Change::DeviceList(user)).map(|_| ()) })
    }

    fn forget(&self, _: UserNid, devices: &[String]) {
        self.forgotten.fetch_add(devices.len(), Ordering::Relaxed);
    }
}

impl World {
    fn on(db: TestDb) -> Self {
        let clock = Clock::manual(Millis(1_000_000));
        let settings = AccountSettings::new(server_name!("haechi.example").to_owned());
        let hooks = Arc::new(CountingHooks::default());
        let dyn_hooks: Arc<dyn DeviceHooks> = hooks.clone();
        let accounts = Accounts::new(db.clone(), clock.clone(), settings, Some(dyn_hooks));
        Self { accounts, db, clock, hooks }
    }

    async fn mina(&self, wish: DeviceWish) -> Login {
        let wish = Registration {
            localpart: Some("mina".to_owned()),
            password: Some("correct horse".to_owned()),
            login: Some(wish),
            ..Registration::default()
        };
        self.accounts.register(wish).await.unwrap().1.unwrap()
    }

    async fn who(&self, token: &str) -> Result<Session> {
        self.accounts.authenticate(token, IP).await
    }
}

fn refusal<T>(result: Result<T>) -> Refusal {
    match result {
        Err(AccountError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[store_test(schemas(SCHEMA))]
async fn numbers_lead_to_users_and_back(db: TestDb) {
    let world = World::on(db);
    let users = world.accounts.users();
    let (mina, jun) = (user_id!("@mina:haechi.example"), user_id!("@jun:elsewhere.example"));
    assert_eq!(users.find(mina).await.unwrap(), None);
    let nids = users.nids_of(&[mina, jun, mina]).await.unwrap();
    assert!(nids[0] == nids[2] && nids[0] != nids[1]);

    // A second memory finds the same in the database.
    let cold = Users::new(world.db.clone());
    assert_eq!(cold.nids_of(&[jun, mina]).await.unwrap(), [nids[1], nids[0]]);
    let cold = Users::new(world.db.clone());
    let ids = cold.ids_of(&[nids[1], nids[0], nids[1]]).await.unwrap();
    let ids: Vec<&UserId> = ids.iter().map(|id| &***id).collect();
    assert_eq!(ids, [jun, mina, jun]);
    assert!(cold.id_of(UserNid(999)).await.is_err());
}

#[store_test(schemas(SCHEMA))]
async fn a_name_is_given_once(db: TestDb) {
    let world = World::on(db);
    let login = world.mina(DeviceWish::default()).await;
    assert_eq!(login.session.user_id, "@mina:haechi.example");
    assert_eq!(world.who(&login.tokens.access).await.unwrap(), login.session);
    let again = Registration { localpart: Some("MINA".to_owned()), ..Registration::default() };
    assert_eq!(refusal(world.accounts.register(again).await), Refusal::UserInUse);
    assert_eq!(refusal(world.accounts.check_available("mina").await), Refusal::UserInUse);
    assert!(world.accounts.check_available("jun").await.is_ok());
    let (made_up, login) = world.accounts.register(Registration::default()).await.unwrap();
    assert!(login.is_none() && world.accounts.is_ours(&made_up));
    assert_eq!(world.accounts.list(UserNid(0), 10).await.unwrap().len(), 2);
    assert_eq!(world.accounts.count_up_to(1).await.unwrap(), 1);
    assert_eq!(world.accounts.count_up_to(9).await.unwrap(), 2);
}

#[store_test(schemas(SCHEMA))]
async fn a_registration_token_is_used_up(db: TestDb) {
    let world = World::on(db);
    let token =
        RegistrationToken { token: "spring".to_owned(), uses_max: Some(1), uses: 0, expires: None };
    world.accounts.add_registration_token(token.clone()).await.unwrap();
    let again = world.accounts.add_registration_token(token).await;
    assert_eq!(refusal(again), Refusal::RegistrationTokenExists);
    let register = |name: &str, token: &str| {
        world.accounts.register(Registration {
            localpart: Some(name.to_owned()),
            registration_token: Some(token.to_owned()),
            ..Registration::default()
        })
    };
    assert_eq!(refusal(register("a", "autumn").await), Refusal::RegistrationToken);
    assert!(register("a", "spring").await.is_ok());
    assert_eq!(refusal(register("b", "spring").await), Refusal::RegistrationToken);
    assert!(!world.accounts.check_registration_token("spring").await.unwrap());
    assert!(world.accounts.check_available("b").await.is_ok(), "nothing of b was written");
}

#[store_test(schemas(SCHEMA))]
async fn passwords_open_the_account(db: TestDb) {
    let world = World::on(db);
    let login = world.mina(DeviceWish::default()).await;
    let accounts = &world.accounts;
    let user = login.session.user;
    for name in ["mina", "@mina:haechi.example"] {
        assert_eq!(accounts.check_password(name, "correct horse").await.unwrap().0, user);
    }
    for (name, password) in [("mina", "wrong"), ("nobody", "correct horse"), ("@x:y.z", "a")] {
        assert_eq!(refusal(accounts.check_password(name, password).await), Refusal::WrongPassword);
    }
    let short = accounts.set_password(user, "short", None).await;
    assert_eq!(refusal(short), Refusal::PasswordTooShort(8));

    let other = DeviceWish { device_id: Some("TABLET".into()), ..DeviceWish::default() };
    let id = login.session.user_id.clone();
    let tablet = accounts.log_in(user, id, &other).await.unwrap();
    assert!(world.who(&login.tokens.access).await.is_ok());
    accounts.set_password(user, "battery staple", Some(Some("TABLET".to_owned()))).await.unwrap();
    assert!(accounts.check_password("mina", "correct horse").await.is_err());
    assert!(accounts.check_password("mina", "battery staple").await.is_ok());
    assert!(world.who(&tablet.tokens.access).await.is_ok());
    assert_eq!(refusal(world.who(&login.tokens.access).await), Refusal::UnknownToken);
}

#[store_test(schemas(SCHEMA))]
async fn the_end_of_a_device_is_the_end_of_its_tokens(db: TestDb) {
    let mut world = World::on(db);
    let login = world.mina(DeviceWish::default()).await;
    let user = login.session.user;
    let device = login.session.device_id.clone();
    world.who(&login.tokens.access).await.unwrap();
    let seen = world.accounts.device(user, &device).await.unwrap().unwrap();
    assert_eq!((seen.seen, seen.seen_ip.as_deref()), (Some(Millis(1_000_000)), Some("127.0.0.1")));
    world.accounts.write_seen().await.unwrap();
    assert_eq!(world.accounts.devices(user).await.unwrap(), [seen]);

    world.accounts.rename_device(user, &device, Some("Phone".to_owned())).await.unwrap();
    let notes = loop {
        let notes = world.db.feed().recv().await.unwrap().notes;
        if !notes.is_empty() {
            break notes;
        }
    };
    assert_eq!(notes[0].change, Change::DeviceList(user));
    let nowhere = world.accounts.rename_device(user, device_id!("X"), None).await;
    assert_eq!(refusal(nowhere), Refusal::NoSuchDevice);

    let gone = vec![device.to_string(), "NONE".to_owned()];
    world.accounts.delete_devices(user, gone).await.unwrap();
    assert_eq!(refusal(world.who(&login.tokens.access).await), Refusal::UnknownToken);
    assert_eq!(world.accounts.devices(user).await.unwrap(), []);
    assert_eq!(world.hooks.deleted.load(Ordering::Relaxed), 1);
    assert_eq!(world.hooks.forgotten.load(Ordering::Relaxed), 1);
}

#[store_test(schemas(SCHEMA))]
async fn logging_in_again_on_a_device_ends_its_old_login(db: TestDb) {
    let world = World::on(db);
    let wish = DeviceWish { device_id: Some("PHONE".into()), ..DeviceWish::default() };
    let first = world.mina(wish.clone()).await;
    world.who(&first.tokens.access).await.unwrap();
    let id = first.session.user_id.clone();
    let second = world.accounts.log_in(first.session.user, id, &wish).await.unwrap();
    assert_eq!(refusal(world.who(&first.tokens.access).await), Refusal::UnknownToken);
    assert!(world.who(&second.tokens.access).await.is_ok());
    assert_eq!(world.accounts.devices(first.session.user).await.unwrap().len(), 1);
    world.accounts.log_out_everywhere(first.session.user).await.unwrap();
    assert_eq!(refusal(world.who(&second.tokens.access).await), Refusal::UnknownToken);
}

#[store_test(schemas(SCHEMA))]
async fn a_refresh_token_is_good_until_its_fruit_is_used(db: TestDb) {
    let world = World::on(db);
    let wish = DeviceWish { refreshable: true, ..DeviceWish::default() };
    let login = world.mina(wish).await;
    let first = login.tokens.refresh.unwrap();
    world.who(&login.tokens.access).await.unwrap();
    world.clock.advance(Duration::from_hours(2));
    assert_eq!(refusal(world.who(&login.tokens.access).await), Refusal::ExpiredToken);

    // The first answer is lost; the client asks again, and what it never got is no good.
    let lost = world.accounts.refresh(&first).await.unwrap();
    let second = world.accounts.refresh(&first).await.unwrap();
    assert_eq!(refusal(world.who(&lost.access).await), Refusal::UnknownToken);
    assert!(world.who(&second.access).await.is_ok());
    assert!(world.who(&second.access).await.is_ok(), "and from memory");
    assert_eq!(refusal(world.accounts.refresh(&first).await), Refusal::UnknownToken);

    let third = world.accounts.refresh(second.refresh.as_deref().unwrap()).await.unwrap();
    let fourth = world.accounts.refresh(third.refresh.as_deref().unwrap()).await.unwrap();
    assert_eq!(refusal(world.who(&second.access).await), Refusal::UnknownToken);
    assert!(world.who(&fourth.access).await.is_ok());
    assert_eq!(refusal(world.who(&third.access).await), Refusal::UnknownToken);
}

#[store_test(schemas(SCHEMA))]
async fn short_tokens_end(db: TestDb) {
    let world = World::on(db);
    let login = world.mina(DeviceWish::default()).await;
    let user = login.session.user;
    let accounts = &world.accounts;
    let token = accounts.login_token(user).await.unwrap();
    assert_eq!(accounts.openid_user(&token).await.unwrap(), None, "for one purpose only");
    assert_eq!(accounts.take_login_token(&token).await.unwrap().0, user);
    assert_eq!(refusal(accounts.take_login_token(&token).await), Refusal::UnknownToken);
    let late = accounts.login_token(user).await.unwrap();
    let openid = accounts.openid_token(user).await.unwrap();
    assert_eq!(accounts.openid_user(&openid).await.unwrap(), Some(login.session.user_id));
    world.clock.advance(limits::LOGIN_TOKEN_LIFE);
    assert_eq!(refusal(accounts.take_login_token(&late).await), Refusal::UnknownToken);
    world.clock.advance(limits::OPENID_TOKEN_LIFE);
    assert_eq!(accounts.openid_user(&openid).await.unwrap(), None);
}

#[store_test(schemas(SCHEMA))]
async fn deactivation_is_for_good(db: TestDb) {
    let world = World::on(db);
    let login = world.mina(DeviceWish::default()).await;
    let user = login.session.user;
    let id = login.session.user_id;
    world.accounts.set_profile_field(user, "displayname", Some(json!("Mina"))).await.unwrap();
    world.accounts.deactivate(user, true).await.unwrap();
    assert_eq!(refusal(world.who(&login.tokens.access).await), Refusal::UnknownToken);
    let password = world.accounts.check_password("mina", "correct horse").await;
    assert_eq!(refusal(password), Refusal::Deactivated);
    assert_eq!(refusal(world.accounts.check_available("mina").await), Refusal::UserInUse);
    assert_eq!(refusal(world.accounts.account(&id).await), Refusal::Deactivated);
    assert_eq!(world.accounts.profile(&id).await.unwrap(), Some(std::collections::BTreeMap::new()));
    assert_eq!(world.accounts.search("mina", 9, |_| true).await.unwrap().0, []);
    let wish = DeviceWish::default();
    assert_eq!(refusal(world.accounts.log_in(user, id, &wish).await), Refusal::Deactivated);
}

#[store_test(schemas(SCHEMA))]
async fn profiles_are_found_by_parts_of_names(db: TestDb) {
    let world = World::on(db);
    let user = world.mina(DeviceWish::default()).await.session.user;
    let accounts = &world.accounts;
    let set = async |name: &str, value| accounts.set_profile_field(user, name, value).await;
    assert!(set("displayname", Some(json!("김미나 of Seoul"))).await.unwrap());
    assert!(!set("displayname", Some(json!("김미나 of Seoul"))).await.unwrap(), "no change");
    set("m.tz", Some(json!("Asia/Seoul"))).await.unwrap();
    for term in ["미나", "min", "SEOUL 미", "@mina:haechi.example", "eoul"] {
        let (found, limited) = accounts.search(term, 5, |_| true).await.unwrap();
        assert_eq!(found[0].display_name.as_deref(), Some("김미나 of Seoul"), "{term}");
        assert!(!limited);
    }
    for term in ["busan", "seoul busan", " "] {
        assert_eq!(accounts.search(term, 5, |_| true).await.unwrap().0, [], "{term}");
    }
    assert_eq!(accounts.search("mina", 5, |_| false).await.unwrap().0, [], "not visible");
    assert!(accounts.search("mina", 0, |_| true).await.unwrap().1, "limited");

    set("m.tz", None).await.unwrap();
    let id = user_id!("@mina:haechi.example");
    assert_eq!(accounts.profile(id).await.unwrap().unwrap().len(), 1);
    assert_eq!(accounts.profile(user_id!("@no:haechi.example")).await.unwrap(), None);
    let large = set("x", Some(json!("y".repeat(70_000)))).await;
    assert_eq!(refusal(large), Refusal::ProfileTooLarge);
}

#[store_test(schemas(SCHEMA))]
async fn account_data_is_announced_and_found_by_position(db: TestDb) {
    let mut world = World::on(db);
    let user = world.mina(DeviceWish::default()).await.session.user;
    let accounts = &world.accounts;
    let start = world.db.horizon().borrow().clone();
    let content = || to_raw_value(&json!({ "a": 1 })).unwrap();
    let room = Some(RoomNid(5));
    accounts.set_account_data(user, None, "m.direct", content()).await.unwrap();
    let middle: Positions = world.db.horizon().borrow().clone();
    accounts.set_account_data(user, room, "m.tag", content()).await.unwrap();
    let add = |before: Option<serde_json::Value>| {
        let mut after = before?;
        after["b"] = json!(2);
        Some(after)
    };
    accounts.edit_account_data(user, room, "m.tag", add).await.unwrap().unwrap();
    assert_eq!(accounts.edit_account_data(user, None, "m.none", add).await.unwrap(), None);
    let end = world.db.horizon().borrow().clone();

    let kinds = |data: Vec<AccountDatum>| {
        data.into_iter().map(|datum| (datum.room, datum.kind)).collect::<Vec<_>>()
    };
    let since = |from: &Positions| from.ranges_to(&end);
    let all = accounts.account_data_since(user, &since(&start)).await.unwrap();
    assert_eq!(kinds(all), [(None, "m.direct".into()), (room, "m.tag".into())]);
    let later = accounts.account_data_since(user, &since(&middle)).await.unwrap();
    assert_eq!(later[0].content.get(), r#"{"a":1,"b":2}"#);
    assert_eq!(kinds(later), [(room, "m.tag".into())]);
    assert_eq!(accounts.account_data_all(user).await.unwrap().len(), 2);
    assert_eq!(accounts.account_data_of_room(user, RoomNid(5)).await.unwrap().len(), 1);
    assert!(accounts.account_data(user, None, "m.tag").await.unwrap().is_none());
    let list = to_raw_value(&json!([])).unwrap();
    assert!(accounts.set_account_data(user, None, "m.x", list).await.is_err());

    let mut changes = Vec::new();
    while let Ok(commit) = world.db.feed().try_recv() {
        changes.extend(commit.notes.into_iter().map(|note| note.change));
    }
    assert_eq!(changes[0], Change::AccountData(user));
    assert_eq!(changes[1], Change::RoomAccountData(RoomNid(5), user));
}

#[store_test(schemas(SCHEMA))]
async fn the_same_filter_has_the_same_id(db: TestDb) {
    let world = World::on(db);
    let user = world.mina(DeviceWish::default()).await.session.user;
    let filter = || to_raw_value(&json!({ "room": { "timeline": { "limit": 7 } } })).unwrap();
    let id = world.accounts.add_filter(user, filter()).await.unwrap();
    assert_eq!(world.accounts.add_filter(user, filter()).await.unwrap(), id);
    let stored = world.accounts.filter(user, &id).await.unwrap().unwrap();
    assert_eq!(stored.get(), filter().get());
    assert!(world.accounts.filter(UserNid(99), &id).await.unwrap().is_none());
}

#[store_test(schemas(SCHEMA))]
async fn presence_follows_the_sync(db: TestDb) {
    let world = World::on(db);
    let presence = Presence::new(world.db.clone(), world.clock.clone(), true);
    let user = UserNid(1);
    let state = || presence.get(user).unwrap().state;
    assert_eq!(state(), PresenceState::Offline);
    presence.synced(user, PresenceState::Online).await.unwrap();
    let online = presence.get(user).unwrap();
    assert!(online.is_active && online.pos.offset() > 0);
    presence.synced(user, PresenceState::Online).await.unwrap();
    assert_eq!(presence.get(user).unwrap().pos, online.pos, "nothing new to tell");
    presence.set(user, PresenceState::Unavailable, Some("lunch".to_owned())).await.unwrap();
    assert_eq!(presence.get(user).unwrap().status.as_deref(), Some("lunch"));
    world.clock.advance(Duration::from_mins(2));
    presence.expire().await.unwrap();
    assert_eq!(state(), PresenceState::Offline);

    let off = Presence::new(world.db.clone(), world.clock.clone(), false);
    off.set(user, PresenceState::Online, None).await.unwrap();
    assert_eq!(off.get(user), None);
}

#[store_test(schemas(SCHEMA))]
async fn statements_mean_the_same_on_both_engines_and_read_no_whole_table(db: TestDb) {
    testing::check_statements(&db).await;
    if !db.is_postgres() {
        let counting = ("haechi_accounts::store::accounts::COUNT", "it stops at a limit");
        let plans = testing::check_plans(&db, &[counting]);
        assert!(plans.contains("haechi_accounts::store::tokens::FIND_ACCESS"));
    }
}
