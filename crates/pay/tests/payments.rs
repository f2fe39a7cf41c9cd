//! Payments on both engines, on a clock that tests set, without chat.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use haechi_base::{Clock, Millis, UserNid};
use haechi_ledger::{Ledger, LedgerId, verify};
use haechi_pay::{
    Currency, Key, Limits, NewAsk, NewSend, NoCards, Pay, PayError, PaymentState, Refusal, Settings,
};
use haechi_store::{
    Db,
    testing::{TestDb, store_test},
};

const WON: LedgerId = LedgerId(410);
const MINA: UserNid = UserNid(1);
const JUN: UserNid = UserNid(2);
const RETURN_AFTER: Duration = Duration::from_hours(72);

fn pay(db: &Db, clock: &Clock) -> Pay {
    let limits = Limits { payment: 50_000, day: 80_000, month: 100_000, balance: 150_000 };
    let won = Currency { code: "KRW".to_owned(), ledger: WON, digits: 0, limits };
    let settings = Settings {
        currencies: vec![won],
        return_after_s: 72 * 3_600,
        pin_tries_max: 3,
        pin_lock: Duration::from_mins(30),
    };
    let ledger = Ledger::new(db.clone(), clock.clone());
    Pay::new(db.clone(), ledger, clock.clone(), settings, Arc::new(NoCards))
}

/// Mina and Jun with 100,000 won each.
async fn world(db: &TestDb) -> (Pay, Clock) {
    let clock = Clock::manual(Millis(1_700_000_000_000));
    let pay = pay(db, &clock);
    for user in [MINA, JUN] {
        pay.issue("test", &format!("fund {}", user.0), user, "KRW", 100_000).await.unwrap();
        // Twice under one key is once.
        pay.issue("test", &format!("fund {}", user.0), user, "KRW", 100_000).await.unwrap();
    }
    (pay, clock)
}

fn send(key: impl Into<String>, amount: i64) -> NewSend {
    NewSend {
        key: Key { user: MINA, key: key.into() },
        to: JUN,
        currency: "KRW".to_owned(),
        amount,
        note: String::new(),
        room: None,
    }
}

async fn wallets(pay: &Pay) -> [i64; 3] {
    let mina = pay.wallets(MINA).await.unwrap().remove(0);
    let jun = pay.wallets(JUN).await.unwrap().remove(0);
    [mina.available, mina.on_its_way, jun.available]
}

async fn verified(db: &TestDb, clock: &Clock) {
    let report = verify(db, WON, clock.now(), |_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.problems);
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, PayError>) -> Refusal {
    match outcome {
        Err(PayError::Refused(refusal)) => refusal,
        other => panic!("{other:?} is no refusal"),
    }
}

#[store_test(schemas(haechi_ledger::SCHEMA, haechi_pay::SCHEMA))]
async fn what_nobody_accepts_goes_back_when_its_time_has_passed(db: TestDb) {
    let (pay, clock) = world(&db).await;
    let sent = pay.send(send("one", 1_000)).await.unwrap();
    assert_eq!(sent.deadline, Some(sent.created.plus(RETURN_AFTER)));
    clock.advance(RETURN_AFTER.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(pay.sweep().await.unwrap(), 0);
    assert_eq!(wallets(&pay).await, [99_000, 1_000, 100_000]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(refusal(pay.accept(JUN, sent.id).await), Refusal::AlreadyBack);
    // The refusal has entered the return: nothing is left to sweep.
    assert_eq!(wallets(&pay).await, [100_000, 0, 100_000]);
    assert_eq!(pay.sweep().await.unwrap(), 0);
    let sent = pay.send(send("two", 1_000)).await.unwrap();
    clock.advance(RETURN_AFTER);
    assert_eq!(pay.sweep().await.unwrap(), 1);
    assert_eq!(pay.sweep().await.unwrap(), 0);
    let sent = pay.payment(MINA, sent.id).await.unwrap();
    assert_eq!((sent.state, sent.ended), (PaymentState::Returned, Some(clock.now())));
    // Also when the ledger's own job was quicker.
    let sent = pay.send(send("three", 1_000)).await.unwrap();
    clock.advance(RETURN_AFTER);
    assert_eq!(Ledger::new((*db).clone(), clock.clone()).expire().await.unwrap(), 1);
    assert_eq!(pay.sweep().await.unwrap(), 1);
    let sent = pay.payment(JUN, sent.id).await.unwrap();
    assert_eq!(sent.state, PaymentState::Returned);
    assert_eq!(wallets(&pay).await, [100_000, 0, 100_000]);
    verified(&db, &clock).await;
}

#[store_test(schemas(haechi_ledger::SCHEMA, haechi_pay::SCHEMA))]
async fn m4_expiry_accept_and_cancel_race_on_two_nodes_and_one_wins(db: TestDb) {
    let (first, clock) = world(&db).await;
    let other_db = db.other_node("other").await;
    let second = pay(other_db.as_ref().map_or(&*db, |db| &**db), &clock);
    for round in 0..8 {
        let sent = first.send(send(format!("race {round}"), 1_000)).await.unwrap();
        clock.advance(if round % 2 == 0 { RETURN_AFTER } else { Duration::from_secs(1) });
        let (accepted, cancelled, swept, swept_too) = tokio::join!(
            second.accept(JUN, sent.id),
            first.cancel(MINA, sent.id),
            first.sweep(),
            second.sweep(),
        );
        swept.unwrap();
        swept_too.unwrap();
        let state = first.payment(MINA, sent.id).await.unwrap().state;
        let told = [
            (accepted.is_ok(), PaymentState::Accepted),
            (cancelled.is_ok(), PaymentState::Cancelled),
        ];
        for (done, means) in told {
            assert_eq!(done, state == means, "round {round}: {state:?}");
        }
        assert_ne!(state, PaymentState::OnItsWay);
        assert_eq!(state == PaymentState::Returned, round % 2 == 0);
    }
    let [mina, on_its_way, jun] = wallets(&first).await;
    assert_eq!((mina + jun, on_its_way), (200_000, 0));
    verified(&db, &clock).await;
    if let Some(db) = other_db {
        db.close().await;
    }
}

#[store_test(schemas(haechi_ledger::SCHEMA, haechi_pay::SCHEMA))]
async fn m2_limits_and_floor_hold_however_many_send_at_once(db: TestDb) {
    let (pay, clock) = world(&db).await;
    // 80,000 in a day: eight of ten thousand, whatever the order.
    let sends = (0..20).map(|number| pay.send(send(format!("s{number}"), 10_000)));
    let outcomes = join_all(sends).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 8);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(outcome), Refusal::LimitDay(80_000));
    }
    clock.advance(Duration::from_hours(25));
    assert_eq!(refusal(pay.send(send("month", 30_000)).await), Refusal::LimitMonth(100_000));
    pay.send(send("rest", 20_000)).await.unwrap();
    clock.advance(Duration::from_hours(24 * 31));
    pay.sweep().await.unwrap();
    assert_eq!(wallets(&pay).await, [100_000, 0, 100_000]);
    // The receiver's wallet holds 150,000 at most.
    let sent = pay.send(send("most", 50_000)).await.unwrap();
    pay.accept(JUN, sent.id).await.unwrap();
    let sent = pay.send(send("more", 1)).await.unwrap();
    assert_eq!(refusal(pay.accept(JUN, sent.id).await), Refusal::LimitBalance);
    assert_eq!(wallets(&pay).await, [49_999, 1, 150_000]);
    pay.refuse(JUN, sent.id).await.unwrap();
    assert_eq!(wallets(&pay).await, [50_000, 0, 150_000]);
    verified(&db, &clock).await;
}

#[store_test(schemas(haechi_ledger::SCHEMA, haechi_pay::SCHEMA))]
async fn m7_a_payment_survives_a_crash_whole_or_not_at_all(mut db: TestDb) {
    let (first, clock) = world(&db).await;
    first.set_auto_accept(JUN, true).await.unwrap();
    for round in 0..4 {
        let payments = pay(&db, &clock);
        let sends: Vec<_> = (0..10)
            .map(|number| {
                let (payments, send) = (payments.clone(), send(format!("{round}/{number}"), 10));
                tokio::spawn(async move { payments.send(send).await })
            })
            .collect();
        tokio::task::yield_now().await;
        db.crash().await;
        // Who has no answer by now will have none: the server is gone.
        tokio::time::sleep(Duration::from_millis(200)).await;
        sends.iter().for_each(tokio::task::JoinHandle::abort);
        let answered = join_all(sends).await;
        let payments = pay(&db, &clock);
        for (number, answer) in answered.into_iter().enumerate() {
            // Whoever got no answer asks again under his key: it is done once.
            let again = payments.send(send(format!("{round}/{number}"), 10)).await.unwrap();
            if let Ok(Ok(told)) = answer {
                assert_eq!(told, again);
            }
        }
    }
    let payments = pay(&db, &clock);
    assert_eq!(wallets(&payments).await, [99_600, 0, 100_400]);
    assert_eq!(payments.history(MINA, None, 100).await.unwrap().len(), 40);
    verified(&db, &clock).await;
}

#[store_test(schemas(haechi_ledger::SCHEMA, haechi_pay::SCHEMA))]
async fn a_pin_locks_and_opens_again_with_time(db: TestDb) {
    let (pay, clock) = world(&db).await;
    assert_eq!(refusal(pay.check_pin(MINA, "123456").await), Refusal::NoPin);
    assert_eq!(refusal(pay.set_pin(MINA, "12345", None).await), Refusal::BadPin);
    assert_eq!(refusal(pay.set_pin(MINA, "12345a", None).await), Refusal::BadPin);
    pay.set_pin(MINA, "123456", None).await.unwrap();
    pay.check_pin(MINA, "123456").await.unwrap();
    assert_eq!(refusal(pay.set_pin(MINA, "654321", None).await), Refusal::WrongPin(2));
    pay.set_pin(MINA, "654321", Some("123456")).await.unwrap();
    for left in [2, 1, 0] {
        assert_eq!(refusal(pay.check_pin(MINA, "123456").await), Refusal::WrongPin(left));
    }
    let until = clock.now().plus(Duration::from_mins(30));
    assert_eq!(refusal(pay.check_pin(MINA, "654321").await), Refusal::PinLocked(until));
    clock.advance(Duration::from_mins(30));
    pay.check_pin(MINA, "654321").await.unwrap();
}

#[store_test(schemas(haechi_ledger::SCHEMA, haechi_pay::SCHEMA))]
async fn an_ask_is_paid_once_by_two_nodes(db: TestDb) {
    let (first, clock) = world(&db).await;
    let other_db = db.other_node("other").await;
    let second = pay(other_db.as_ref().map_or(&*db, |db| &**db), &clock);
    let asks = first
        .ask(NewAsk {
            key: Key { user: JUN, key: "ask".to_owned() },
            currency: "KRW".to_owned(),
            shares: vec![(MINA, 5_000)],
            note: "taxi".to_owned(),
            room: None,
        })
        .await
        .unwrap();
    let key = |text: &str| Key { user: MINA, key: text.to_owned() };
    let (one, two) =
        tokio::join!(first.pay(key("a"), asks[0].id), second.pay(key("b"), asks[0].id));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|done| **done).count(), 1);
    assert_eq!(wallets(&first).await, [95_000, 0, 105_000]);
    let (to_pay, _) = first.asks(MINA).await.unwrap();
    assert_eq!(to_pay, []);
    verified(&db, &clock).await;
    if let Some(db) = other_db {
        db.close().await;
    }
}
