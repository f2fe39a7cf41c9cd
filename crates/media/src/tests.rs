//! Against a real database and a real folder.

mod previews;
mod server;

use std::{
    convert::Infallible,
    io::Cursor,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use haechi_base::Millis;
use haechi_store::testing::{TestDb, check_plans, check_statements, store_test};
use image::{DynamicImage, ImageFormat};

use super::*;

const ALICE: UserNid = UserNid(1);
const BOB: UserNid = UserNid(2);
const HERE: &str = "here.test";

struct Bench {
    db: TestDb,
    dir: tempfile::TempDir,
    media: Media,
    clock: Clock,
}

impl Bench {
    fn new(db: TestDb) -> Self {
        Self::with(db, |_| {})
    }

    fn with(db: TestDb, change: impl FnOnce(&mut MediaConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Millis(1_700_000_000_000));
        let mut config = MediaConfig::new(HERE);
        change(&mut config);
        let media = open(&db, dir.path(), config, clock.clone());
        Self { db, dir, media, clock }
    }

    /// What is there after the process was killed.
    async fn killed(self) -> Self {
        let Self { mut db, dir, media, clock } = self;
        drop(media);
        db.crash().await;
        let media = open(&db, dir.path(), MediaConfig::new(HERE), clock.clone());
        Self { db, dir, media, clock }
    }

    /// How many blobs there are.
    fn blobs(&self) -> usize {
        files(&self.dir.path().join("media")).len()
    }

    async fn upload(&self, user: UserNid, bytes: &[u8]) -> String {
        self.media.upload(user, About::default(), None, chunks(bytes)).await.unwrap()
    }

    async fn found(&self, id: &str) -> Result<Found> {
        self.media.find((HERE, id), Duration::ZERO).await
    }

    async fn content(&self, id: &str) -> Vec<u8> {
        let found = self.found(id).await.unwrap();
        let stream = self.media.open(&found, None).await.unwrap();
        stream.try_collect::<Vec<_>>().await.unwrap().concat()
    }
}

fn open(db: &Db, dir: &Path, config: MediaConfig, clock: Clock) -> Media {
    let blob = Blob::folder(&dir.join("media")).unwrap();
    Media::new(config, db.clone(), blob, clock).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn chunks(bytes: &[u8]) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let chunks: Vec<_> = bytes.chunks(1_000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    stream::iter(chunks)
}

fn named(content_type: &str, name: &str) -> About {
    About { content_type: Some(content_type.to_owned()), name: Some(name.to_owned()) }
}

/// A picture that no other call makes.
fn png(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(width, height, image::Rgb([shade, 0, 0]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn small() -> Form {
    Form::fitting(Fit::Scale, 96, 96, false)
}

#[store_test(schemas(SCHEMA))]
async fn an_upload_is_found_and_read_in_whole_and_in_part(db: TestDb) {
    let bench = Bench::new(db);
    let about = named("text/plain", "a/notes.txt");
    let bytes = vec![7; 100_000];
    let id = bench.media.upload(ALICE, about, Some(100_000), chunks(&bytes)).await.unwrap();
    let bench = bench.killed().await;
    let found = bench.found(&id).await.unwrap();
    assert_eq!(found.bytes(), 100_000);
    assert_eq!(found.about.content_type.as_deref(), Some("text/plain"));
    assert_eq!(found.about.name.as_deref(), Some("notes.txt"));
    assert!(bench.content(&id).await == bytes);
    let part = bench.media.open(&found, Some(99_990..100_000)).await.unwrap();
    assert_eq!(part.try_collect::<Vec<_>>().await.unwrap().concat(), [7; 10]);
    for unknown in [("elsewhere.test", id.as_str()), (HERE, "unknown"), (HERE, "")] {
        let refused = bench.media.find(unknown, Duration::ZERO).await;
        assert!(matches!(refused, Err(MediaError::NotFound)), "{unknown:?}");
    }
}

#[store_test(schemas(SCHEMA))]
async fn equal_bytes_are_kept_once_until_the_last_use_is_gone(db: TestDb) {
    let bench = Bench::new(db);
    let first = bench.upload(ALICE, b"equal").await;
    let second = bench.upload(BOB, b"equal").await;
    assert_ne!(first, second);
    assert_eq!(bench.found(&first).await.unwrap().tag(), bench.found(&second).await.unwrap().tag());
    bench.media.sweep().await.unwrap();
    assert_eq!(bench.blobs(), 1);
    bench.media.delete(&first).await.unwrap();
    bench.media.sweep().await.unwrap();
    assert!(matches!(bench.found(&first).await, Err(MediaError::NotFound)));
    assert_eq!(bench.content(&second).await, b"equal");
    bench.media.delete(&second).await.unwrap();
    assert_eq!(bench.media.sweep().await.unwrap().blobs, 1);
    assert_eq!(bench.blobs(), 0);
    assert!(matches!(bench.media.delete(&second).await, Err(MediaError::NotFound)));
    let third = bench.upload(ALICE, b"equal").await;
    assert_eq!(bench.content(&third).await, b"equal");
}

#[store_test(schemas(SCHEMA))]
async fn equal_uploads_at_the_same_time_all_succeed(db: TestDb) {
    let bench = Bench::new(db);
    let uploads = (0..8).map(|i| {
        let media = &bench.media;
        media.upload(UserNid(i), About::default(), None, chunks(b"the same"))
    });
    for id in futures_util::future::join_all(uploads).await {
        assert_eq!(bench.content(&id.unwrap()).await, b"the same");
    }
    bench.media.sweep().await.unwrap();
    assert_eq!(bench.blobs(), 1);
}

#[store_test(schemas(SCHEMA))]
async fn a_crash_between_bytes_and_row_leaves_nothing_for_long(db: TestDb) {
    let bench = Bench::new(db);
    let kept = bench.upload(ALICE, b"kept").await;
    // All that an upload does before its row is written.
    let blob = bench.media.announce_blob().await.unwrap();
    bench.media.0.blob.put(&blob, chunks(b"lost"), 100).await.unwrap();
    let bench = bench.killed().await;
    assert_eq!(bench.media.usage(ALICE).await.unwrap().items, 1);
    assert_eq!(bench.media.sweep().await.unwrap().blobs, 0, "it could still be running");
    assert_eq!(bench.blobs(), 2);
    bench.clock.advance(Duration::from_hours(25));
    assert_eq!(bench.media.sweep().await.unwrap().blobs, 1);
    assert_eq!(bench.blobs(), 1);
    assert_eq!(bench.content(&kept).await, b"kept");
}

#[store_test(schemas(SCHEMA))]
async fn an_upload_that_was_given_up_cannot_come_into_use(db: TestDb) {
    let bench = Bench::new(db);
    let source = stream::once(async {
        bench.clock.advance(Duration::from_hours(25));
        assert_eq!(bench.media.sweep().await.unwrap().blobs, 1);
        Ok::<_, Infallible>(Bytes::from_static(b"late"))
    });
    let refused = bench.media.upload(ALICE, About::default(), None, source).await;
    assert!(matches!(refused, Err(MediaError::Interrupted(_))), "{refused:?}");
    assert_eq!(bench.media.usage(ALICE).await.unwrap().items, 0);
}

#[store_test(schemas(SCHEMA))]
async fn too_large_and_broken_uploads_leave_nothing(db: TestDb) {
    let bench = Bench::with(db, |config| config.upload_bytes_max = 10_000);
    let upload = async |announced, bytes: usize| {
        let source = chunks(&vec![1; bytes]);
        bench.media.upload(ALICE, About::default(), announced, source).await
    };
    assert!(matches!(upload(Some(10_001), 0).await, Err(MediaError::TooLarge(10_000))));
    assert!(matches!(upload(None, 10_001).await, Err(MediaError::TooLarge(10_000))));
    assert!(matches!(upload(Some(5), 10_001).await, Err(MediaError::TooLarge(10_000))));
    assert!(upload(None, 10_000).await.is_ok());
    let broken = chunks(&[1; 5_000]).map(|chunk| chunk.map_err(|never| match never {}));
    let broken = broken.chain(stream::iter([Err("connection lost")]));
    let refused = bench.media.upload(ALICE, About::default(), None, broken).await;
    assert!(matches!(refused, Err(MediaError::Interrupted(_))));
    assert_eq!(bench.blobs(), 1);
    assert_eq!(bench.media.usage(ALICE).await.unwrap().items, 1);
}

#[store_test(schemas(SCHEMA))]
async fn a_silent_upload_is_given_up(db: TestDb) {
    let stall_max = Duration::from_millis(20);
    let bench = Bench::with(db, |config| config.upload_stall_max = stall_max);
    let silent =
        stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"x"))]).chain(stream::pending());
    let refused = bench.media.upload(ALICE, About::default(), None, silent).await;
    assert!(matches!(refused, Err(MediaError::Interrupted(_))), "{refused:?}");
}

#[store_test(schemas(SCHEMA))]
async fn users_have_limits(db: TestDb) {
    let bench = Bench::with(db, |config| {
        config.user = UserLimits {
            bytes_max: Some(1_500),
            day_bytes_max: Some(1_000),
            promised_max: 2,
            at_once_max: 1,
        };
    });
    let upload = async |user, announced, byte| {
        bench.media.upload(user, About::default(), announced, chunks(&[byte; 600])).await
    };
    let first = upload(ALICE, None, 1).await.unwrap();
    assert!(matches!(upload(ALICE, None, 2).await, Err(MediaError::TooMuch { .. })));
    assert!(matches!(upload(ALICE, Some(600), 3).await, Err(MediaError::TooMuch { .. })));
    upload(BOB, None, 2).await.unwrap();
    bench.clock.advance(Duration::from_hours(24));
    upload(ALICE, None, 3).await.unwrap();
    bench.clock.advance(Duration::from_hours(24));
    assert!(matches!(upload(ALICE, None, 4).await, Err(MediaError::Refused(_))));
    assert_eq!(bench.media.usage(ALICE).await.unwrap().bytes, 1_200);
    bench.media.delete(&first).await.unwrap();
    assert_eq!(bench.media.usage(ALICE).await.unwrap().bytes, 600);
    upload(ALICE, None, 4).await.unwrap();

    for _ in 0..2 {
        bench.media.promise(ALICE).await.unwrap();
    }
    assert!(matches!(bench.media.promise(ALICE).await, Err(MediaError::TooMuch { .. })));
    bench.media.promise(BOB).await.unwrap();
    bench.clock.advance(Duration::from_hours(24));
    bench.media.promise(ALICE).await.unwrap();

    // Inside of one upload there is no place for another.
    let nested = stream::once(async {
        let refused = upload(ALICE, None, 5).await;
        assert!(matches!(refused, Err(MediaError::TooMuch { .. })));
        upload(BOB, None, 5).await.unwrap();
        Ok::<_, Infallible>(Bytes::new())
    });
    bench.media.upload(ALICE, About::default(), None, nested).await.unwrap();
    upload(ALICE, None, 6).await.unwrap_err();
    bench.media.upload(ALICE, About::default(), None, chunks(b"")).await.unwrap();
}

#[store_test(schemas(SCHEMA))]
async fn a_promise_is_kept_once_by_the_one_who_has_it(db: TestDb) {
    let bench = Bench::new(db);
    let (id, expires) = bench.media.promise(ALICE).await.unwrap();
    assert_eq!(expires, bench.clock.now().plus(Duration::from_hours(24)));
    assert!(matches!(bench.found(&id).await, Err(MediaError::NotYetUploaded)));
    let fill = async |user, server, bytes: &[u8]| {
        bench.media.fill(user, (server, &id), About::default(), None, chunks(bytes)).await
    };
    assert!(matches!(fill(BOB, HERE, b"bob").await, Err(MediaError::Refused(_))));
    assert!(matches!(fill(ALICE, "elsewhere.test", b"x").await, Err(MediaError::NotFound)));
    fill(ALICE, HERE, b"alice").await.unwrap();
    assert!(matches!(fill(ALICE, HERE, b"again").await, Err(MediaError::AlreadyUploaded)));
    assert_eq!(bench.content(&id).await, b"alice");
    bench.clock.advance(Duration::from_hours(48));
    bench.media.sweep().await.unwrap();
    assert_eq!(bench.content(&id).await, b"alice");
}

#[store_test(schemas(SCHEMA))]
async fn of_two_who_fill_at_once_one_wins(db: TestDb) {
    let bench = Bench::new(db);
    let (id, _) = bench.media.promise(ALICE).await.unwrap();
    let fill = |bytes: &'static [u8]| {
        bench.media.fill(ALICE, (HERE, &id), About::default(), None, chunks(bytes))
    };
    let (one, two) = tokio::join!(fill(b"one"), fill(b"two"));
    let content = bench.content(&id).await;
    match (one, two) {
        (Ok(()), Err(MediaError::AlreadyUploaded)) => assert_eq!(content, b"one"),
        (Err(MediaError::AlreadyUploaded), Ok(())) => assert_eq!(content, b"two"),
        other => panic!("{other:?}"),
    }
}

#[store_test(schemas(SCHEMA))]
async fn a_promise_that_is_not_kept_expires(db: TestDb) {
    let bench = Bench::new(db);
    let (id, _) = bench.media.promise(ALICE).await.unwrap();
    bench.clock.advance(Duration::from_hours(24));
    let late = bench.media.fill(ALICE, (HERE, &id), About::default(), None, chunks(b"late")).await;
    assert!(matches!(late, Err(MediaError::NotFound)));
    assert!(matches!(bench.found(&id).await, Err(MediaError::NotFound)));
    assert_eq!(bench.media.list(ALICE, 0, 10).await.unwrap().len(), 1);
    assert_eq!(bench.media.sweep().await.unwrap().ids, 1);
    assert_eq!(bench.media.list(ALICE, 0, 10).await.unwrap().len(), 0);
}

#[store_test(schemas(SCHEMA))]
async fn who_waits_for_a_promise_is_served_when_it_comes(db: TestDb) {
    let bench = Bench::new(db);
    let (id, _) = bench.media.promise(ALICE).await.unwrap();
    let waiting = bench.media.find((HERE, &id), Duration::from_secs(50));
    let coming = async {
        tokio::task::yield_now().await;
        bench.upload(BOB, b"another").await;
        bench.media.fill(ALICE, (HERE, &id), About::default(), None, chunks(b"here")).await
    };
    let (found, filled) = tokio::join!(waiting, coming);
    filled.unwrap();
    assert_eq!(found.unwrap().bytes(), 4);
}

#[store_test(schemas(SCHEMA))]
async fn closed_content_is_neither_served_nor_taken(db: TestDb) {
    let bench = Bench::new(db);
    let first = bench.upload(ALICE, b"bad").await;
    let second = bench.upload(BOB, b"bad").await;
    bench.media.set_blocked(&first, true).await.unwrap();
    for id in [&first, &second] {
        assert!(matches!(bench.found(id).await, Err(MediaError::NotFound)));
    }
    let again = bench.media.upload(BOB, About::default(), None, chunks(b"bad")).await;
    assert!(matches!(again, Err(MediaError::Refused(_))));
    bench.media.set_blocked(&second, false).await.unwrap();
    assert_eq!(bench.content(&first).await, b"bad");
    bench.media.set_blocked(&first, true).await.unwrap();
    bench.media.delete(&first).await.unwrap();
    bench.media.delete(&second).await.unwrap();
    let again = bench.media.upload(BOB, About::default(), None, chunks(b"bad")).await;
    assert!(matches!(again, Err(MediaError::Refused(_))), "the hash is remembered");
}

#[store_test(schemas(SCHEMA))]
async fn what_is_deleted_everywhere_stays_gone(db: TestDb) {
    let bench = Bench::new(db);
    let ids = [bench.upload(ALICE, b"bad").await, bench.upload(BOB, b"bad").await];
    let other = bench.upload(BOB, b"good").await;
    assert_eq!(bench.media.delete_everywhere(&ids[0]).await.unwrap(), 2);
    for id in &ids {
        assert!(matches!(bench.found(id).await, Err(MediaError::NotFound)));
        let again = bench.media.delete_everywhere(id).await;
        assert!(matches!(again, Err(MediaError::NotFound)));
    }
    assert_eq!(bench.media.usage(ALICE).await.unwrap().items, 0);
    bench.media.sweep().await.unwrap();
    assert_eq!((bench.blobs(), bench.content(&other).await), (1, b"good".to_vec()));
    let again = bench.media.upload(ALICE, About::default(), None, chunks(b"bad")).await;
    assert!(matches!(again, Err(MediaError::Refused(_))));

    let (promised, _) = bench.media.promise(ALICE).await.unwrap();
    assert_eq!(bench.media.delete_everywhere(&promised).await.unwrap(), 1);
    let late = bench.media.fill(ALICE, (HERE, &promised), About::default(), None, chunks(b"x"));
    assert!(matches!(late.await, Err(MediaError::NotFound)));
}

#[store_test(schemas(SCHEMA))]
async fn uploads_are_listed_page_by_page(db: TestDb) {
    let bench = Bench::new(db);
    let ids = [bench.upload(ALICE, b"1").await, bench.upload(ALICE, b"22").await];
    bench.upload(BOB, b"1").await;
    let (promised, _) = bench.media.promise(ALICE).await.unwrap();
    let page = bench.media.list(ALICE, 0, 2).await.unwrap();
    let listed: Vec<_> = page.iter().map(|listed| (listed.id.clone(), listed.bytes)).collect();
    let [one, two] = ids;
    assert_eq!(listed, [(one, Some(1)), (two, Some(2))]);
    let page = bench.media.list(ALICE, page[1].nid, 2).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!((page[0].id.as_str(), page[0].bytes), (promised.as_str(), None));
}

#[store_test(schemas(SCHEMA))]
async fn a_thumbnail_is_made_once_and_goes_with_its_original(db: TestDb) {
    let bench = Bench::new(db);
    let id = bench.upload(ALICE, &png(400, 200, 1)).await;
    let found = bench.found(&id).await.unwrap();
    let all = (0..10).map(|_| bench.media.thumbnail(&found, small()));
    let all: Vec<_> =
        futures_util::future::join_all(all).await.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|thumbnail| *thumbnail == all[0]));
    assert_eq!(bench.blobs(), 2);
    let bench = bench.killed().await;
    assert_eq!(bench.media.thumbnail(&found, small()).await.unwrap(), all[0]);
    let bytes = bench.media.open_thumbnail(&all[0]).await.unwrap();
    let bytes = bytes.try_collect::<Vec<_>>().await.unwrap().concat();
    assert_eq!(bytes.len() as u64, all[0].bytes);
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (96, 48));
    bench.media.delete(&id).await.unwrap();
    assert_eq!(bench.media.sweep().await.unwrap().blobs, 2);
    assert_eq!(bench.blobs(), 0);
}

#[store_test(schemas(SCHEMA))]
async fn what_cannot_be_a_thumbnail_is_told(db: TestDb) {
    let bench = Bench::with(db, |config| config.picture.bytes_max = 20_000);
    let text = bench.upload(ALICE, b"only text").await;
    let large = bench.upload(ALICE, &vec![0; 20_001]).await;
    let text = bench.found(&text).await.unwrap();
    let large = bench.found(&large).await.unwrap();
    let refused = bench.media.thumbnail(&text, small()).await;
    assert!(matches!(refused, Err(MediaError::NoThumbnail)));
    let refused = bench.media.thumbnail(&large, small()).await;
    assert!(matches!(refused, Err(MediaError::TooLargeForThumbnail)));
    assert_eq!(bench.blobs(), 2);
}

#[store_test(schemas(SCHEMA))]
async fn thumbnails_beyond_what_can_wait_are_sent_away_and_may_come_again(db: TestDb) {
    let bench = Bench::new(db);
    let id = bench.upload(ALICE, &png(50, 50, 2)).await;
    let found = bench.found(&id).await.unwrap();
    let doors = &bench.media.0.thumbnails.doors;
    let all = u32::try_from(doors.available_permits()).unwrap();
    let crowd = doors.try_acquire_many(all).unwrap();
    let refused = bench.media.thumbnail(&found, small()).await;
    assert!(matches!(refused, Err(MediaError::TooMuch { .. })));
    drop(crowd);
    bench.media.thumbnail(&found, small()).await.unwrap();
}

#[store_test(schemas(SCHEMA))]
async fn a_thumbnail_of_what_was_deleted_meanwhile_is_not_kept(db: TestDb) {
    let bench = Bench::new(db);
    let id = bench.upload(ALICE, &png(50, 50, 3)).await;
    let found = bench.found(&id).await.unwrap();
    bench.media.delete(&id).await.unwrap();
    // The bytes are there until the next sweep, so the thumbnail can be made.
    let refused = bench.media.thumbnail(&found, small()).await;
    assert!(matches!(refused, Err(MediaError::NotFound)));
    bench.clock.advance(Duration::from_hours(25));
    bench.media.sweep().await.unwrap();
    assert_eq!(bench.blobs(), 0);
}

#[store_test(schemas(SCHEMA))]
async fn statements_are_understood_by_both_engines_and_scan_no_table(db: TestDb) {
    check_statements(&db).await;
    if !db.is_postgres() {
        assert!(check_plans(&db, &[]).contains("media::store::MEDIA_BY_ID"));
    }
}
