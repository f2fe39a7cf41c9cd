//! Whatever happened, and wherever a client stopped listening: what it is told afterwards adds up to
//! what somebody sees who asks for the first time. For `/sync` and for sliding sync, on both engines.
//!
//! Histories are made up from a seed, which is always the same unless `HAECHI_TEST_SEED` names
//! another; `PROPTEST_CASES` says how many. A history that fails is made as short as possible.

mod classic;
mod history;
mod sliding;
mod timeline;
mod world;

use std::fmt;

use haechi_accounts::SCHEMA as ACCOUNTS;
use haechi_keys::SCHEMA as KEYS;
use haechi_media::SCHEMA as MEDIA;
use haechi_push::SCHEMA as PUSH;
use haechi_rooms::SCHEMA as ROOMS;
use haechi_store::testing::{TestDb, store_test};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};

use history::Step;
use world::World;

/// Histories tried on each engine when nobody says how many.
const CASES: u32 = 12;

/// Groups of steps; those of one group happen at once.
struct History(Vec<Vec<Step>>);

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|group| write!(f, "\n    {group:?}"))
    }
}

/// Runs `play` over histories of `strategy`, each by new users on the same server.
fn for_all(strategy: &impl Strategy<Value = History>, play: impl Fn(&History)) {
    #[expect(clippy::disallowed_methods, reason = "no setting of the server")]
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("HAECHI_TEST_SEED").unwrap_or(1);
    let config = ProptestConfig {
        cases: number("PROPTEST_CASES").and_then(|cases| cases.try_into().ok()).unwrap_or(CASES),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(strategy, |history| {
        play(&history);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("with HAECHI_TEST_SEED={seed}: {failure}");
    }
}

/// Plays a history and checks now and then what everybody sees.
async fn play(world: &mut World, history: &History, check_every: usize) {
    world.begin().await;
    for (number, group) in history.0.iter().enumerate() {
        world.play(group).await;
        if number % check_every == check_every - 1 {
            world.check().await;
        }
    }
    world.check().await;
}

async fn prove(db: TestDb, size: usize, most_at_once: usize, check_every: usize) {
    let world = tokio::sync::Mutex::new(World::start(db).await);
    let runtime = tokio::runtime::Handle::current();
    let group = prop::collection::vec(history::step(), 1..=most_at_once);
    let histories = prop::collection::vec(group, 1..size).prop_map(History);
    tokio::task::block_in_place(|| {
        for_all(&histories, |history| {
            runtime.block_on(async { play(&mut *world.lock().await, history, check_every).await });
        });
    });
    world.into_inner().close().await;
}

#[store_test(schemas(ACCOUNTS, KEYS, ROOMS, MEDIA, PUSH))]
async fn answers_add_up_to_what_a_newcomer_sees(db: TestDb) {
    prove(db, 60, 1, 8).await;
}

#[store_test(schemas(ACCOUNTS, KEYS, ROOMS, MEDIA, PUSH))]
async fn answers_add_up_when_all_happens_at_once(db: TestDb) {
    prove(db, 14, 6, 5).await;
}
