//! Somebody with Element X: a client, its sync service, and short words for what the tests do.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use eyeball_im::VectorDiff;
use matrix_sdk::{
    Client, Room, RoomState, ThreadingSupport,
    deserialized_responses::TimelineEvent,
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    event_cache::{RoomEventCacheSubscriber, RoomEventCacheUpdate},
    ruma::{
        OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
        api::client::{
            account::register::v3::Request as RegisterRequest,
            room::create_room::v3::{Request as CreateRoomRequest, RoomPreset},
            uiaa::{AuthData, Dummy},
        },
        events::{
            AnyInitialStateEvent, InitialStateEvent,
            room::{encryption::RoomEncryptionEventContent, message::RoomMessageEventContent},
        },
    },
};
use matrix_sdk_ui::{
    sync_service::SyncService,
    timeline::{EventTimelineItem, RoomExt, Timeline},
};
use tempfile::TempDir;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

/// What every account here uses.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const LIMIT: Duration = Duration::from_secs(30);
const CREATE: &str = "m.room.create";

/// One user on one device, syncing as Element X does.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) sync: Arc<SyncService>,
    store: Arc<TempDir>,
    /// Rooms that are being looked at: the client keeps their events in memory.
    shown: Mutex<Vec<RoomEventCacheSubscriber>>,
}

impl Person {
    /// A new account. `prefix` is how its name begins.
    pub(crate) async fn register(prefix: &str) -> Result<Self> {
        let store = Arc::new(TempDir::new()?);
        let client = client(&store).await?;
        let name = unique(prefix);
        let mut request = RegisterRequest::new();
        request.username = Some(name.clone());
        request.password = Some(PASSWORD.to_owned());
        request.auth = Some(AuthData::Dummy(Dummy::new()));
        client.matrix_auth().register(request).await.context("registration")?;
        Self::start(client, name, store).await
    }

    /// The same account on a further device.
    pub(crate) async fn again(&self) -> Result<Self> {
        let store = Arc::new(TempDir::new()?);
        let client = client(&store).await?;
        client.matrix_auth().login_username(&self.name, PASSWORD).await.context("login")?;
        Self::start(client, self.name.clone(), store).await
    }

    /// Stops, and starts again from what is stored, as an app that was closed and opened.
    pub(crate) async fn restart(self) -> Result<Self> {
        self.sync.stop().await;
        let session = self.client.matrix_auth().session().context("no session to restore")?;
        let (name, store) = (self.name.clone(), Arc::clone(&self.store));
        drop(self);
        let client = client(&store).await?;
        client.restore_session(session).await?;
        Self::start(client, name, store).await
    }

    async fn start(client: Client, name: String, store: Arc<TempDir>) -> Result<Self> {
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        client.event_cache().subscribe()?;
        let sync = SyncService::builder(client.clone()).build().await?;
        sync.start().await;
        Ok(Self { client, name, sync: Arc::new(sync), store, shown: Mutex::default() })
    }

    /// The user id.
    pub(crate) fn id(&self) -> OwnedUserId {
        self.client.user_id().expect("a started person is logged in").to_owned()
    }

    /// The room, as soon as this client has it in this state.
    pub(crate) async fn room(&self, room_id: &RoomId, state: RoomState) -> Result<Room> {
        until(&format!("{}: {room_id} as {state:?}", self.name), || async {
            self.client.get_room(room_id).filter(|room| room.state() == state)
        })
        .await
    }

    /// A room which these others have joined, known to everyone's client.
    pub(crate) async fn create_room(
        &self,
        others: &[&Self],
        settings: Settings,
    ) -> Result<OwnedRoomId> {
        let mut request = CreateRoomRequest::new();
        request.preset = Some(RoomPreset::PrivateChat);
        request.name = settings.name.map(ToOwned::to_owned);
        request.invite = others.iter().map(|other| other.id()).collect();
        request.initial_state = settings.initial_state;
        if settings.encrypted {
            let content = RoomEncryptionEventContent::with_recommended_defaults();
            request
                .initial_state
                .push(InitialStateEvent::with_empty_state_key(content).to_raw_any());
        }
        let room_id = self.client.create_room(request).await?.room_id().to_owned();
        for other in others {
            other.room(&room_id, RoomState::Invited).await?.join().await?;
        }
        for person in others.iter().copied().chain([self]) {
            person.open(&room_id, others.len() as u64 + 1).await?;
        }
        Ok(room_id)
    }

    /// Looks at a new room as an app that shows it, until the client has all of it.
    ///
    /// The room is quiet then. matrix-sdk 0.18 applies a change twice that comes while a timeline is
    /// being made, and later ones at wrong places.
    pub(crate) async fn open(&self, room_id: &RoomId, members: u64) -> Result<Room> {
        let room = self.room(room_id, RoomState::Joined).await?;
        let (cache, _guard) = room.event_cache().await?;
        let (_, mut changes) = cache.subscribe().await?;
        self.sync.room_list_service().subscribe_to_rooms(&[room_id]).await;
        let beginning = async {
            while !has_create(&changes.recv().await?) {}
            anyhow::Ok(())
        };
        timeout(LIMIT, beginning).await.context("waited in vain for the room's beginning")??;
        self.shown.lock().await.push(changes);
        until(&format!("{}: {members} members", self.name), || async {
            (room.joined_members_count() == members).then_some(())
        })
        .await?;
        Ok(room)
    }

    /// The live timeline of a joined room.
    pub(crate) async fn timeline(&self, room_id: &RoomId) -> Result<Chat> {
        let room = self.room(room_id, RoomState::Joined).await?;
        Ok(Chat { name: self.name.clone(), timeline: room.timeline().await? })
    }
}

/// What a new room shall be.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<&'static str>,
    pub(crate) encrypted: bool,
    pub(crate) initial_state: Vec<matrix_sdk::ruma::serde::Raw<AnyInitialStateEvent>>,
}

/// A room's timeline as one person sees it.
pub(crate) struct Chat {
    name: String,
    pub(crate) timeline: Timeline,
}

impl Chat {
    /// Sends a text through the send queue, and waits until the server has it.
    pub(crate) async fn say(&self, body: &str) -> Result<OwnedEventId> {
        self.timeline.send(RoomMessageEventContent::text_plain(body).into()).await?;
        let item = self.text(body, |item| item.event_id().is_some()).await?;
        item.event_id().map(ToOwned::to_owned).context("a sent event has an id")
    }

    /// The message with this text, as soon as it is there and `holds`.
    pub(crate) async fn text(
        &self,
        body: &str,
        holds: impl Fn(&EventTimelineItem) -> bool,
    ) -> Result<EventTimelineItem> {
        until(&format!("{}: the message {body:?}", self.name), || async {
            let items = self.timeline.items().await;
            let mut events = items.iter().rev().filter_map(|item| item.as_event());
            events.find(|item| body_of(item) == Some(body) && holds(item)).cloned()
        })
        .await
    }

    /// The message with this text from somebody else.
    pub(crate) async fn hear(&self, body: &str) -> Result<EventTimelineItem> {
        self.text(body, |item| item.is_remote_event()).await
    }

    /// The event of this id, as soon as it is there and `holds`.
    pub(crate) async fn event(
        &self,
        event_id: &OwnedEventId,
        what: &str,
        holds: impl Fn(&EventTimelineItem) -> bool,
    ) -> Result<EventTimelineItem> {
        until(&format!("{}: {what}", self.name), || async {
            self.timeline.item_by_event_id(event_id).await.filter(|item| holds(item))
        })
        .await
    }

    /// All texts, in order.
    pub(crate) async fn texts(&self) -> Vec<String> {
        let items = self.timeline.items().await;
        items.iter().filter_map(|item| body_of(item.as_event()?).map(ToOwned::to_owned)).collect()
    }

    /// Waits until exactly these texts are there, in this order.
    pub(crate) async fn hear_all(&self, expected: &[String]) -> Result<()> {
        let found = until("exactly these texts", || async {
            (self.texts().await == expected).then_some(())
        })
        .await;
        if found.is_err() {
            bail!("{}: expected {expected:?}, got {:?}", self.name, self.texts().await);
        }
        Ok(())
    }

    /// Walks back to the beginning of the room.
    pub(crate) async fn walk_back(&self) -> Result<()> {
        for _ in 0..100 {
            if self.timeline.paginate_backwards(20).await? {
                return Ok(());
            }
        }
        bail!("{}: the beginning was not reached", self.name)
    }
}

/// Does the change bring the first event of a room?
fn has_create(update: &RoomEventCacheUpdate) -> bool {
    let RoomEventCacheUpdate::UpdateTimelineEvents(update) = update else { return false };
    let is_create = |event: &TimelineEvent| {
        event.raw().get_field::<String>("type").is_ok_and(|kind| kind.as_deref() == Some(CREATE))
    };
    update.diffs.iter().any(|diff| match diff {
        VectorDiff::Append { values } | VectorDiff::Reset { values } => {
            values.iter().any(is_create)
        }
        VectorDiff::PushFront { value }
        | VectorDiff::PushBack { value }
        | VectorDiff::Insert { value, .. }
        | VectorDiff::Set { value, .. } => is_create(value),
        _ => false,
    })
}

/// The text of a message.
pub(crate) fn body_of(item: &EventTimelineItem) -> Option<&str> {
    item.content().as_message().map(|message| message.body())
}

/// Asks again and again until something is found; what is waited for belongs into the error.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut find: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = find().await {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(30)).await;
    }
}

/// A name nobody used before.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{prefix}-{now:x}-{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// The server part of a user id.
pub(crate) fn server_of(user: &UserId) -> String {
    user.server_name().to_string()
}

async fn client(store: &TempDir) -> Result<Client> {
    let url = std::env::var("HAECHI_URL").context("HAECHI_URL must name a running homeserver")?;
    let settings = EncryptionSettings {
        auto_enable_cross_signing: true,
        backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        auto_enable_backups: true,
    };
    Ok(Client::builder()
        .homeserver_url(url)
        .sqlite_store(store.path(), None)
        .with_encryption_settings(settings)
        .with_threading_support(ThreadingSupport::Enabled { with_subscriptions: false })
        .build()
        .await?)
}
