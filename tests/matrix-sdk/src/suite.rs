//! Runs the tests and tells how it went.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use futures_util::{FutureExt, StreamExt, stream};

use crate::{encryption, rooms};

const TEST_LIMIT: Duration = Duration::from_secs(120);
const AT_ONCE: usize = 3;

type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = Result<()>>>>);

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name()))),*]
    };
}

const TESTS: &[Test] = tests![
    rooms::an_invite_shows_up_and_two_people_chat,
    rooms::the_room_list_is_sorted_by_activity,
    rooms::edits_reactions_and_redactions,
    rooms::typing_and_receipts,
    rooms::history_page_by_page,
    rooms::a_missed_stretch_is_filled,
    rooms::threads_and_replies,
    rooms::media_and_profiles,
    rooms::previews_directory_and_knocking,
    rooms::settings_reach_other_devices,
    rooms::a_restart_goes_on_where_it_was,
    encryption::an_encrypted_room,
    encryption::a_new_device_recovers,
    encryption::two_people_verify,
    encryption::a_notification_is_fetched,
];

/// Runs all tests, a few at a time.
pub(crate) async fn run() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let chosen = TESTS.iter().filter(|(name, _)| name.contains(&wanted));
    let mut results = stream::iter(chosen)
        .map(|(name, test)| async move {
            let began = Instant::now();
            let outcome =
                tokio::time::timeout(TEST_LIMIT, AssertUnwindSafe(test()).catch_unwind()).await;
            let outcome = match outcome {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(anyhow!("it panicked")),
                Err(_) => Err(anyhow!("it took longer than {TEST_LIMIT:?}")),
            };
            (name, outcome, began.elapsed())
        })
        .buffer_unordered(AT_ONCE);
    let (mut passed, mut failed) = (0, 0);
    while let Some((name, outcome, time)) = results.next().await {
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok      {name} ({} ms)", time.as_millis());
            }
            Err(error) => {
                failed += 1;
                println!("FAILED  {name}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
