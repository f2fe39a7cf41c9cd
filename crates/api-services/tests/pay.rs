//! Payments as clients meet them: over HTTP, with cards in the room.

use futures_util::future::join_all;
use haechi_api_client::RegistrationMode;
use haechi_base::Clock;
use haechi_ledger::{LedgerId, PendingState, TransferId, verify};
use haechi_testkit::{Answer, Client, TestServer};
use serde_json::{Value as Json, json};

const WON: LedgerId = LedgerId(410);
const PIN: &str = "314159";

/// Two friends in a room, with 100,000 won and a PIN each, and a third one beside.
struct World {
    server: TestServer,
    mina: Client,
    jun: Client,
    sora: Client,
    room: String,
}

const MINA: &str = "@mina:haechi.example";
const JUN: &str = "@jun:haechi.example";
const SORA: &str = "@sora:haechi.example";

fn pay(path: &str) -> String {
    format!("/_haechi/client/v1/pay{path}")
}

async fn world() -> World {
    let server = TestServer::start(RegistrationMode::Open).await;
    let [mina, jun, sora] = [
        server.register("mina").await,
        server.register("jun").await,
        server.register("sora").await,
    ];
    let (status, made) = mina.post("/v3/createRoom", json!({ "invite": [JUN, SORA] })).await;
    assert_eq!(status, 200, "{made}");
    let room = made["room_id"].as_str().unwrap().to_owned();
    for (number, client) in [&mina, &jun, &sora].into_iter().enumerate() {
        client.post(&format!("/v3/join/{room}"), json!({})).await;
        let (status, answer) = client.put(&pay("/pin"), json!({ "pin": PIN })).await;
        assert_eq!(status, 200, "{answer}");
        let (_, me) = client.get("/v3/account/whoami").await;
        let id = ruma_id(&me);
        let user = server.accounts.account(&id).await.unwrap();
        server.pay.issue("test", &format!("fund {number}"), user, "KRW", 100_000).await.unwrap();
    }
    World { server, mina, jun, sora, room }
}

fn ruma_id(me: &Json) -> ruma::OwnedUserId {
    me["user_id"].as_str().unwrap().try_into().unwrap()
}

impl World {
    async fn send(&self, key: &str, amount: i64) -> Answer {
        let body = json!({ "to": JUN, "currency": "KRW", "amount": amount, "note": "점심",
                           "room_id": self.room, "pin": PIN });
        self.mina.post_once(key, &pay("/payments"), body).await
    }

    async fn act(&self, client: &Client, id: &str, what: &str) -> Answer {
        client.post_once("act", &pay(&format!("/payments/{id}/{what}")), json!({})).await
    }

    /// What can be spent, and what is on its way.
    async fn wallet(&self, client: &Client) -> (i64, i64) {
        let (_, wallets) = client.get(&pay("/wallets")).await;
        let wallet = &wallets["wallets"][0];
        (wallet["available"].as_i64().unwrap(), wallet["on_its_way"].as_i64().unwrap())
    }

    /// The card as clients see it: its content now, and its text.
    async fn card(&self, client: &Client, event_id: &str) -> Json {
        let path = format!("/v3/rooms/{}/event/{event_id}", self.room);
        let (status, event) = client.get(&path).await;
        assert_eq!(status, 200, "{event}");
        let edit = &event["unsigned"]["m.relations"]["m.replace"]["content"]["m.new_content"];
        if edit.is_null() { event["content"].clone() } else { edit.clone() }
    }

    async fn verified(&self) {
        let now = Clock::System.now();
        let report = verify(&self.server.db, WON, now, |_, _| {}).await.unwrap();
        assert!(report.is_clean(), "{:#?}", report.problems);
    }
}

fn text<'a>(answer: &'a Json, field: &str) -> &'a str {
    answer[field].as_str().unwrap_or_else(|| panic!("{field} in {answer}"))
}

#[tokio::test]
async fn m10_the_card_tells_what_the_ledger_says() {
    let world = world().await;
    for (what, state, ledger) in [
        ("accept", "accepted", PendingState::Posted),
        ("refuse", "refused", PendingState::Voided),
        ("cancel", "cancelled", PendingState::Voided),
    ] {
        let (status, sent) = world.send(what, 5_000).await;
        assert_eq!((status, text(&sent, "state")), (200, "on_its_way"), "{sent}");
        let (id, card) = (text(&sent, "payment_id"), text(&sent, "card_event_id"));
        let shown = world.card(&world.jun, card).await;
        assert_eq!(shown["haechi.pay.card"]["state"], "on_its_way");
        assert_eq!(shown["body"], format!("{MINA} sends 5000 KRW to {JUN}: 점심"));
        let client = if what == "cancel" { &world.mina } else { &world.jun };
        let (status, ended) = world.act(client, id, what).await;
        assert_eq!((status, text(&ended, "state")), (200, state), "{ended}");
        let shown = world.card(&world.jun, card).await;
        assert_eq!(shown["haechi.pay.card"]["state"], state, "{shown}");
        let transfer = TransferId(u128::from_str_radix(id, 16).unwrap());
        let found = world.server.ledger.transfers(vec![transfer]).await.unwrap();
        assert_eq!(found[0].1.unwrap().state, ledger);
    }
    assert_eq!(world.wallet(&world.mina).await, (95_000, 0));
    assert_eq!(world.wallet(&world.jun).await, (105_000, 0));
    world.verified().await;
}

#[tokio::test]
async fn m6_money_on_its_way_is_still_the_senders() {
    let world = world().await;
    let (_, sent) = world.send("one", 30_000).await;
    assert_eq!(world.wallet(&world.mina).await, (70_000, 30_000));
    assert_eq!(world.wallet(&world.jun).await, (100_000, 0));
    world.act(&world.jun, text(&sent, "payment_id"), "accept").await;
    assert_eq!(world.wallet(&world.mina).await, (70_000, 0));
    assert_eq!(world.wallet(&world.jun).await, (130_000, 0));
}

#[tokio::test]
async fn m3_a_key_moves_money_once_and_its_answer_can_be_asked_for() {
    let world = world().await;
    // Each one under way is a try with the PIN: not more of them at once than there are tries.
    let mut answers = join_all((0..4).map(|_| world.send("lunch", 1_000))).await;
    answers.extend(join_all((0..4).map(|_| world.send("lunch", 1_000))).await);
    let (_, first) = &answers[0];
    assert!(
        answers.iter().all(|(status, answer)| *status == 200 && answer == first),
        "{answers:?}"
    );
    assert_eq!(world.wallet(&world.mina).await, (99_000, 1_000));
    let (status, made) = world.mina.get(&pay("/requests/lunch")).await;
    assert_eq!((status, &made["made"]), (200, &first["payment_id"]));
    // Others have keys of their own.
    assert_eq!(world.jun.get(&pay("/requests/lunch")).await.0, 404);
    let (status, other) = world.send("lunch", 1_001).await;
    assert_eq!((status, text(&other, "errcode")), (409, "HAECHI_KEY_REUSED"));
    // Exactly one card.
    let path = format!("/v3/rooms/{}/messages?dir=b&limit=50", world.room);
    let (_, messages) = world.mina.get(&path).await;
    let cards = messages["chunk"].as_array().unwrap().iter();
    let cards = cards.filter(|event| !event["content"]["haechi.pay.card"].is_null());
    assert_eq!(cards.count(), 1);
}

#[tokio::test]
async fn m4_accept_refuse_and_cancel_at_once_end_a_payment_once() {
    let world = world().await;
    for round in 0..6 {
        let (_, sent) = world.send(&format!("race {round}"), 1_000).await;
        let id = text(&sent, "payment_id");
        let acts = [(&world.jun, "accept"), (&world.jun, "refuse"), (&world.mina, "cancel")];
        let ends = join_all(acts.map(|(client, what)| world.act(client, id, what))).await;
        let done = ends.iter().filter(|(status, _)| *status == 200).count();
        assert_eq!(done, 1, "{ends:?}");
        assert!(ends.iter().all(|(status, _)| [200, 409].contains(status)), "{ends:?}");
        // Whoever was first gets the same answer again.
        let place = ends.iter().position(|(status, _)| *status == 200).unwrap();
        let (client, what) = acts[place];
        assert_eq!(world.act(client, id, what).await, ends[place]);
    }
    let (mina, jun) = (world.wallet(&world.mina).await, world.wallet(&world.jun).await);
    assert_eq!((mina.0 + jun.0, mina.1, jun.1), (200_000, 0, 0));
    world.verified().await;
}

#[tokio::test]
async fn what_makes_no_sense_moves_nothing() {
    let world = world().await;
    let send = async |change: Json| {
        let mut body = json!({ "to": JUN, "currency": "KRW", "amount": 10, "pin": PIN });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, answer) = world.mina.post_once("odd", &pay("/payments"), body).await;
        (status, text(&answer, "errcode").to_owned())
    };
    for (change, status, code) in [
        (json!({ "amount": 0 }), 400, "HAECHI_BAD_AMOUNT"),
        (json!({ "amount": -5 }), 400, "HAECHI_BAD_AMOUNT"),
        (json!({ "amount": 1.5 }), 400, "M_BAD_JSON"),
        (json!({ "amount": "10" }), 400, "M_BAD_JSON"),
        (json!({ "amount": 9_223_372_036_854_775_808_u64 }), 400, "M_BAD_JSON"),
        (json!({ "amount": 1_000_001 }), 400, "HAECHI_LIMIT_PAYMENT"),
        (json!({ "amount": 100_001 }), 400, "HAECHI_NOT_ENOUGH_MONEY"),
        (json!({ "currency": "XYZ" }), 400, "HAECHI_UNKNOWN_CURRENCY"),
        (json!({ "to": MINA }), 400, "HAECHI_TO_ONESELF"),
        (json!({ "to": "@nobody:haechi.example" }), 404, "HAECHI_NO_SUCH_USER"),
        (json!({ "to": "@jun:elsewhere.example" }), 404, "HAECHI_NO_SUCH_USER"),
        (json!({ "to": "jun" }), 400, "M_INVALID_PARAM"),
        (json!({ "room_id": "!none:haechi.example" }), 404, "M_NOT_FOUND"),
        (json!({ "note": "x".repeat(201) }), 400, "M_TOO_LARGE"),
        (json!({ "pin": "000000" }), 403, "HAECHI_WRONG_PIN"),
    ] {
        assert_eq!(send(change.clone()).await, (status, code.to_owned()), "{change}");
    }
    let body = json!({ "to": JUN, "currency": "KRW", "amount": 10, "pin": PIN });
    let (status, answer) = world.mina.post(&pay("/payments"), body.clone()).await;
    assert_eq!((status, text(&answer, "errcode")), (400, "HAECHI_BAD_KEY"));
    let (status, _) = world.server.anybody().post_once("k", &pay("/payments"), body).await;
    assert_eq!(status, 401);
    // Somebody else's payment is nobody's business.
    let (_, sent) = world.send("real", 10).await;
    let id = text(&sent, "payment_id");
    assert_eq!(world.sora.get(&pay(&format!("/payments/{id}"))).await.0, 404);
    assert_eq!(world.act(&world.sora, id, "accept").await.0, 404);
    assert_eq!(world.act(&world.mina, id, "accept").await.0, 403);
    assert_eq!(world.act(&world.jun, id, "cancel").await.0, 403);
    assert_eq!(world.wallet(&world.mina).await, (99_990, 10));
}

#[tokio::test]
async fn a_pin_cannot_be_guessed_however_many_try_at_once() {
    let world = world().await;
    let guess = |number: i32| {
        let body =
            json!({ "to": JUN, "currency": "KRW", "amount": 10, "pin": format!("{number:06}") });
        let world = &world;
        async move { world.mina.post_once(&format!("g{number}"), &pay("/payments"), body).await }
    };
    let answers = join_all((0..30).map(guess)).await;
    let wrong = answers.iter().filter(|(_, body)| body["errcode"] == "HAECHI_WRONG_PIN").count();
    let locked = answers.iter().filter(|(_, body)| body["errcode"] == "HAECHI_PIN_LOCKED").count();
    assert_eq!((wrong, locked), (5, 25));
    // The right one does not help now; the operator does.
    assert_eq!(world.send("right", 10).await.0, 429);
    let mina = world.server.accounts.account(MINA.try_into().unwrap()).await.unwrap();
    let unlock = haechi_pay::Intervention::UnlockPin;
    world.server.pay.intervene("test", mina, unlock, "called us").await.unwrap();
    assert_eq!(world.send("right", 10).await.0, 200);
    let freeze = haechi_pay::Intervention::Freeze;
    world.server.pay.intervene("test", mina, freeze, "by order").await.unwrap();
    let (status, answer) = world.send("frozen", 10).await;
    assert_eq!((status, text(&answer, "errcode")), (403, "HAECHI_FROZEN"));
    let audit = world.server.pay.audit(0, 100).await.unwrap();
    let what: Vec<&str> = audit.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(what, ["issue", "issue", "issue", "unlock PIN", "freeze"]);
}

#[tokio::test]
async fn m8_a_split_bill_is_paid_to_the_won() {
    let world = world().await;
    let body = json!({ "currency": "KRW", "total": 10_000, "people": [JUN, SORA], "note": "치킨" });
    let (status, split) = world.mina.post_once("bill", &pay("/splits"), body.clone()).await;
    assert_eq!(status, 200, "{split}");
    let amounts: Vec<i64> = split["asks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ask| ask["amount"].as_i64().unwrap())
        .collect();
    let mut sorted = amounts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [3_333, 3_334], "and mina bears 3,333");
    assert_eq!(world.mina.post_once("bill", &pay("/splits"), body).await.1, split);
    let (_, asked) = world.jun.get(&pay("/asks")).await;
    let id = text(&asked["to_pay"][0], "ask_id").to_owned();
    let consent = json!({ "pin": PIN });
    let path = pay(&format!("/asks/{id}/pay"));
    assert_eq!(world.sora.post_once("p", &path, consent.clone()).await.0, 404, "not hers to pay");
    let (status, paid) = world.jun.post_once("p", &path, consent.clone()).await;
    assert_eq!((status, text(&paid, "state")), (200, "accepted"), "{paid}");
    assert_eq!(world.jun.post_once("p", &path, consent.clone()).await.1, paid);
    let (status, again) = world.jun.post_once("q", &path, consent).await;
    assert_eq!((status, text(&again, "errcode")), (409, "HAECHI_ALREADY_ANSWERED"));
    let (_, asked) = world.sora.get(&pay("/asks")).await;
    let id = text(&asked["to_pay"][0], "ask_id").to_owned();
    let close = pay(&format!("/asks/{id}/close"));
    let (status, closed) = world.sora.post_once("c", &close, json!({})).await;
    assert_eq!((status, text(&closed["asks"][0], "state")), (200, "declined"));
    let paid = paid["amount"].as_i64().unwrap();
    assert_eq!(world.wallet(&world.mina).await, (100_000 + paid, 0));
    let bad = json!({ "currency": "KRW", "total": 1, "people": [JUN, SORA] });
    assert_eq!(world.mina.post_once("bad", &pay("/splits"), bad).await.0, 400);
    world.verified().await;
}

#[tokio::test]
async fn an_envelope_is_opened_once_by_each_and_adds_up() {
    let world = world().await;
    let body = json!({ "room_id": world.room, "currency": "KRW", "total": 10_000, "people": 2,
                       "note": "새해", "pin": PIN });
    let (status, sealed) = world.mina.post_once("gift", &pay("/envelopes"), body.clone()).await;
    assert_eq!((status, sealed["left"].as_u64()), (200, Some(2)), "{sealed}");
    assert_eq!(world.mina.post_once("gift", &pay("/envelopes"), body).await.1, sealed);
    assert_eq!(world.wallet(&world.mina).await, (90_000, 10_000));
    let id = text(&sealed, "envelope_id");
    let open = pay(&format!("/envelopes/{id}/open"));
    let opened = join_all(
        [&world.jun, &world.jun, &world.sora, &world.mina]
            .map(|client| client.post_once("o", &open, json!({}))),
    )
    .await;
    assert_eq!(opened[0], opened[1], "the same share");
    assert_eq!((opened[0].0, opened[2].0, opened[3].0), (200, 200, 400), "{opened:?}");
    let sum = opened[0].1["amount"].as_i64().unwrap() + opened[2].1["amount"].as_i64().unwrap();
    assert_eq!(sum, 10_000);
    assert_eq!(world.wallet(&world.mina).await, (90_000, 0));
    let (jun, sora) = (world.wallet(&world.jun).await.0, world.wallet(&world.sora).await.0);
    assert_eq!(jun + sora, 210_000);
    world.verified().await;
}

#[tokio::test]
async fn a_receipt_can_be_checked_without_the_server() {
    let world = world().await;
    let (_, sent) = world.send("one", 1_000).await;
    let path = pay(&format!("/payments/{}/receipt", text(&sent, "payment_id")));
    let (status, receipt) = world.mina.get(&path).await;
    assert_eq!(status, 200, "{receipt}");
    let mut receipt: haechi_ledger::Receipt = serde_json::from_value(receipt).unwrap();
    assert!(receipt.is_valid());
    receipt.entry[40] ^= 1;
    assert!(!receipt.is_valid());
    let (_, page) = world.mina.get(&pay("/payments?limit=1")).await;
    assert_eq!(page["payments"][0], sent);
    let next = text(&page, "next");
    let (_, page) = world.mina.get(&pay(&format!("/payments?limit=1&from={next}"))).await;
    assert_eq!(page["payments"], json!([]));
    assert_eq!(world.mina.get(&pay("/payments?from=x")).await.0, 400);
}

#[tokio::test]
async fn every_endpoint_is_described() {
    let world = world().await;
    let (status, description) = world.mina.get("/_haechi/client/v1/openapi.json").await;
    assert_eq!(status, 200);
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() >= 15, "{:?}", paths.keys());
    assert!(paths.keys().all(|path| path.starts_with("/_haechi/client/v1/pay/")));
    let told = serde_json::to_value(haechi_api_services::description()).unwrap();
    assert_eq!(told, description);
}
