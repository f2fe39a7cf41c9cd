//! What must hold of money (requirements M1 to M9), whatever callers, clocks and crashes do.

mod common;

use std::collections::BTreeMap;

use common::{
    WON, account, advance, balances, four, ledger, pending, settle, transfer, verified, wallet,
};
use futures_util::future::join_all;
use haechi_ledger::{
    AccountCode, AccountFlags, AccountId, EntryPos, HistoryQuery, Ledger, NewTransfer, Order,
    PendingState, Problem, SCHEMA, TransferCode as Code, TransferFlags, TransferId, verify,
};
use haechi_store::testing::{TestDb, store_test};

const POST: TransferFlags = TransferFlags::POST_PENDING;
const VOID: TransferFlags = TransferFlags::VOID_PENDING;

/// A treasury (1) that owes all there is, and wallets from 2 on that may owe nothing, each with
/// `funds`.
async fn world(ledger: &Ledger, wallets: u128, funds: u128) {
    let mut accounts = vec![account(1, AccountFlags::NONE)];
    accounts.extend((2..2 + wallets).map(wallet));
    assert!(ledger.open_accounts(accounts).await.unwrap().iter().all(|code| code.is_done()));
    let issue = (2..2 + wallets).map(|id| transfer(1 << 64 | id, 1, id, funds)).collect();
    let issued = ledger.make_transfers(issue).await.unwrap();
    assert!(issued.iter().all(|outcome| outcome.code == Code::Ok));
}

#[store_test(schemas(SCHEMA))]
async fn m1_debits_equal_credits_at_every_entry(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 3, 100).await;
    ledger.make_transfer(pending(5, 2, 3, 40, 0)).await.unwrap();
    ledger.make_transfer(settle(6, 5, POST)).await.unwrap();
    ledger.make_transfer(transfer(7, 3, 4, 90)).await.unwrap();
    let report = verified(&db, WON, &clock).await;
    assert_eq!((report.entries, report.accounts, report.posted, report.pending), (10, 4, 430, 0));
    // At each position, the balances of all accounts as they were then.
    for number in 1..=report.entries {
        let at = EntryPos::new(WON, number);
        let mut sums = [0; 4];
        for id in 1..=4 {
            let then = ledger.balances_at(AccountId(id), at).await.unwrap().unwrap();
            for (sum, part) in sums.iter_mut().zip(four(&then)) {
                *sum += part;
            }
        }
        assert_eq!((sums[0], sums[1]), (sums[2], sums[3]), "after entry {number}");
    }
}

#[store_test(schemas(SCHEMA))]
async fn m2_no_wallet_falls_below_zero_however_many_spend_at_once(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 3, 100).await;
    // Pending ones count: 60 of the 100 are reserved.
    ledger.make_transfer(pending(5, 2, 3, 60, 0)).await.unwrap();
    let spend = (0..500).map(|number| {
        let ledger = ledger.clone();
        async move { ledger.make_transfer(transfer(1_000 + number, 2, 4, 7)).await.unwrap().code }
    });
    let codes = join_all(spend).await;
    let done = codes.iter().filter(|code| **code == Code::Ok).count();
    assert_eq!(done, 5, "40 are left, each takes 7");
    assert!(codes.iter().all(|code| matches!(code, Code::Ok | Code::ExceedsCredits)));
    assert_eq!(four(&balances(&ledger, 2).await), [60, 35, 0, 100]);
    verified(&db, WON, &clock).await;
}

#[store_test(schemas(SCHEMA))]
async fn m3_an_id_acts_once_however_often_it_is_asked(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 2, 100).await;
    let ask = (0..50).map(|_| ledger.make_transfer(transfer(9, 2, 3, 10)));
    let outcomes: Vec<_> = join_all(ask).await.into_iter().map(Result::unwrap).collect();
    let first: Vec<_> = outcomes.iter().filter(|outcome| outcome.code == Code::Ok).collect();
    assert_eq!(first.len(), 1);
    // All were told of the same entry.
    assert!(outcomes.iter().all(|outcome| outcome.pos == first[0].pos && outcome.code.is_done()));
    let other = ledger.make_transfer(transfer(9, 2, 3, 11)).await.unwrap();
    assert_eq!((other.code, other.pos), (Code::ExistsWithDifferentAmount, None));
    // A refusal is the answer for ever, also when there is money now.
    let too_much = transfer(10, 2, 3, 95);
    assert_eq!(ledger.make_transfer(too_much).await.unwrap().code, Code::ExceedsCredits);
    ledger.make_transfer(transfer(11, 1, 2, 1_000)).await.unwrap();
    assert_eq!(ledger.make_transfer(too_much).await.unwrap().code, Code::ExceedsCredits);
    assert_eq!(four(&balances(&ledger, 3).await), [0, 0, 0, 110]);
    verified(&db, WON, &clock).await;
}

#[store_test(schemas(SCHEMA))]
async fn m4_pending_ends_exactly_once_in_a_race_on_two_nodes(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 2, 1_000).await;
    let other_db = db.other_node("other").await;
    let other = Ledger::new(
        other_db.as_ref().map_or_else(|| (*db).clone(), |db| (**db).clone()),
        clock.clone(),
    );
    for round in 0..20_u128 {
        let id = 10_000 + round * 10;
        ledger.make_transfer(pending(id, 2, 3, 10, 5)).await.unwrap();
        // Half of the rounds are decided at the very deadline.
        advance(&clock, if round % 2 == 0 { 5 } else { 1 });
        let (post, void) = (settle(id + 1, id, POST), settle(id + 2, id, VOID));
        let (posted, voided, expired, again) = tokio::join!(
            ledger.make_transfer(post),
            other.make_transfer(void),
            other.expire(),
            ledger.expire(),
        );
        let ends = [
            posted.unwrap().code == Code::Ok,
            voided.unwrap().code == Code::Ok,
            expired.unwrap() + again.unwrap() == 1,
        ];
        assert_eq!(ends.iter().filter(|ended| **ended).count(), 1, "{ends:?}");
        let state = ledger.transfers(vec![TransferId(id)]).await.unwrap()[0].1.unwrap().state;
        let wanted = [PendingState::Posted, PendingState::Voided, PendingState::Expired];
        assert!(wanted.iter().zip(ends).all(|(wanted, ended)| (state == *wanted) == ended));
    }
    let after = four(&balances(&ledger, 2).await);
    assert_eq!((after[0], after[3]), (0, 1_000));
    verified(&db, WON, &clock).await;
    if let Some(db) = other_db {
        db.close().await;
    }
}

#[store_test(schemas(SCHEMA))]
async fn m4_expiry_goes_by_the_time_of_the_log(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 2, 100).await;
    ledger.make_transfer(pending(5, 2, 3, 10, 60)).await.unwrap();
    advance(&clock, 59);
    assert_eq!(ledger.expire().await.unwrap(), 0);
    // A node whose clock is an hour behind enters nothing before what is there.
    let slow = Ledger::new((*db).clone(), haechi_base::Clock::manual(haechi_base::Millis(0)));
    let made = ledger.make_transfer(transfer(6, 2, 3, 1)).await.unwrap();
    let late = slow.make_transfer(transfer(7, 2, 3, 1)).await.unwrap();
    assert_eq!(late.at, made.at);
    assert_eq!(slow.make_transfer(settle(8, 5, POST)).await.unwrap().code, Code::Ok);
    ledger.make_transfer(pending(15, 2, 3, 10, 60)).await.unwrap();
    advance(&clock, 60);
    ledger.make_transfer(transfer(16, 2, 3, 1)).await.unwrap();
    // By its own clock the time has not come; by the log's it has.
    assert_eq!(
        slow.make_transfer(settle(17, 15, POST)).await.unwrap().code,
        Code::PendingTransferExpired
    );
    assert_eq!(ledger.expire().await.unwrap(), 1);
    assert_eq!(ledger.expire().await.unwrap(), 0);
    verified(&db, WON, &clock).await;
}

#[store_test(schemas(SCHEMA))]
async fn m5_a_changed_entry_is_found(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 2, 100).await;
    ledger.make_transfer(transfer(5, 2, 3, 10)).await.unwrap();
    verified(&db, WON, &clock).await;
    let check = async || {
        let report = verify(&db, WON, clock.now(), |_, _| {}).await.unwrap();
        report.problems
    };
    let third = "WHERE kind = 1 AND id = (SELECT id FROM ledger_account ORDER BY id DESC LIMIT 1)";
    db.meddle(&format!("UPDATE ledger_entry SET at_ms = at_ms + 1 {third}")).await;
    assert!(check().await.contains(&Problem::Hash(3)));
    db.meddle(&format!("UPDATE ledger_entry SET at_ms = at_ms - 1 {third}")).await;
    verified(&db, WON, &clock).await;
    db.meddle(
        "UPDATE ledger_account
         SET balances = (SELECT balances FROM ledger_account ORDER BY id LIMIT 1)
         WHERE id = (SELECT id FROM ledger_account ORDER BY id DESC LIMIT 1)",
    )
    .await;
    assert_eq!(check().await, [Problem::Account(AccountId(3))]);
    db.meddle("DELETE FROM ledger_entry WHERE pos = (SELECT max(pos) FROM ledger_entry)").await;
    let problems = check().await;
    assert!(problems.iter().any(|problem| matches!(problem, Problem::End(_))), "{problems:?}");
}

#[store_test(schemas(SCHEMA))]
async fn m6_what_is_in_transit_belongs_to_somebody(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 3, 100).await;
    let owned = async || {
        let mut sum = 0;
        for id in 2..5 {
            let [debits_pending, debits, _, credits] = four(&balances(&ledger, id).await);
            // What can be spent and what is under way, which is the sender's until it arrives.
            sum += credits - debits - debits_pending + debits_pending;
        }
        sum
    };
    assert_eq!(owned().await, 300);
    ledger.make_transfer(pending(5, 2, 3, 30, 10)).await.unwrap();
    assert_eq!((owned().await, balances(&ledger, 2).await.available()), (300, 70));
    ledger.make_transfer(settle(6, 5, POST)).await.unwrap();
    assert_eq!((owned().await, balances(&ledger, 3).await.available()), (300, 130));
    verified(&db, WON, &clock).await;
}

#[store_test(schemas(SCHEMA))]
async fn m7_what_was_acknowledged_survives_a_crash_and_nothing_is_half(mut db: TestDb) {
    let clock = haechi_base::Clock::manual(haechi_base::Millis(1_000));
    let first = Ledger::new((*db).clone(), clock.clone());
    world(&first, 4, 10_000).await;
    let mut acknowledged: BTreeMap<u128, EntryPos> = BTreeMap::new();
    for round in 0..5_u128 {
        let ledger = Ledger::new((*db).clone(), clock.clone());
        // Chains of two: one without the other would be half.
        let chain = move |number: u128| {
            let id = round * 1_000 + number * 2 + 10;
            let linked = TransferFlags::LINKED;
            vec![NewTransfer { flags: linked, ..transfer(id, 2, 3, 1) }, transfer(id + 1, 3, 4, 1)]
        };
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let request = chain(number);
                    let outcomes = ledger.make_transfers(request.clone()).await;
                    outcomes.ok().map(|outcomes| {
                        let ids = request.iter().map(|transfer| transfer.id.0);
                        ids.zip(outcomes).collect::<Vec<_>>()
                    })
                })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        db.crash().await;
        // Who has no answer by now will have none: the server is gone.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        for task in &tasks {
            task.abort();
        }
        for answer in join_all(tasks).await.into_iter().filter_map(|task| task.ok().flatten()) {
            for (id, outcome) in answer {
                acknowledged.insert(id, outcome.pos.unwrap());
            }
        }
        let ledger = Ledger::new((*db).clone(), clock.clone());
        let ids = acknowledged.keys().map(|id| TransferId(*id)).collect();
        let found = ledger.transfers(ids).await.unwrap();
        assert_eq!(found.len(), acknowledged.len());
        for (transfer, _) in found {
            assert_eq!(acknowledged[&transfer.facts.id.0], transfer.pos);
        }
        let [_, sent, _, received] = four(&balances(&ledger, 3).await);
        assert_eq!(received - 10_000, sent, "half a chain");
        verified(&db, WON, &clock).await;
    }
}

#[store_test(schemas(SCHEMA))]
async fn m9_the_balance_at_any_past_time_can_be_told(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 2, 1_000).await;
    let mut wanted = Vec::new();
    for number in 0..300_u128 {
        advance(&clock, 1);
        ledger.make_transfer(transfer(10 + number, 2, 3, number % 2)).await.unwrap();
        wanted.push((clock.now(), balances(&ledger, 3).await));
    }
    for (at, balances) in wanted {
        let pos = ledger.position_at(WON, at).await.unwrap();
        assert_eq!(ledger.balances_at(AccountId(3), pos).await.unwrap(), Some(balances));
    }
    let before_all = ledger.position_at(WON, haechi_base::Millis(0)).await.unwrap();
    assert_eq!(before_all, EntryPos::new(WON, 0));
    let nothing = ledger.balances_at(AccountId(3), before_all).await.unwrap();
    assert_eq!(nothing, Some(haechi_ledger::Balances::default()));
    assert_eq!(ledger.balances_at(AccountId(99), before_all).await.unwrap(), None);
    // Pages up and down meet.
    let page = async |after, before, order| {
        let query = HistoryQuery { account: AccountId(3), after, before, limit: 70, order };
        ledger.history(query).await.unwrap()
    };
    let (mut up, mut down): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    loop {
        let next = page(up.last().copied(), None, Order::Up).await;
        up.extend(next.iter().map(|entry| entry.pos));
        let next_down = page(None, down.last().copied(), Order::Down).await;
        down.extend(next_down.iter().map(|entry| entry.pos));
        if next.is_empty() && next_down.is_empty() {
            break;
        }
    }
    down.reverse();
    assert_eq!((up.len(), &up), (301, &down));
    for pos in [up[0], up[150], up[300]] {
        let receipt = ledger.receipt(pos).await.unwrap().unwrap();
        assert!(receipt.is_valid());
        assert_eq!(receipt.root, ledger.end(WON).await.unwrap().root);
    }
    assert_eq!(ledger.receipt(EntryPos::new(WON, 999)).await.unwrap(), None);
}

#[store_test(schemas(SCHEMA))]
async fn callers_at_the_same_time_share_commits(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    world(&ledger, 40, 1_000).await;
    // All of them use the same hot account, and each his own.
    let spend = (0..2_000_u128).map(|number| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let from = 2 + number % 39;
            ledger.make_transfer(transfer(1_000 + number, from, 41, 1)).await.unwrap().code
        })
    });
    let codes = join_all(spend.collect::<Vec<_>>()).await;
    assert!(codes.into_iter().all(|code| code.unwrap() == Code::Ok));
    let report = verified(&db, WON, &clock).await;
    assert_eq!(report.entries, 2_000 + 40 + 41);
    assert_eq!(four(&balances(&ledger, 41).await)[3], 3_000);
}

#[store_test(schemas(SCHEMA))]
async fn accounts_are_opened_once(db: TestDb) {
    let (ledger, clock) = ledger(&db);
    let open = (0..20).map(|_| ledger.open_accounts(vec![wallet(7), wallet(8)]));
    let codes = join_all(open).await.into_iter().flat_map(Result::unwrap);
    let opened = codes.filter(|code| *code == AccountCode::Ok).count();
    assert_eq!(opened, 2);
    assert_eq!(verified(&db, WON, &clock).await.entries, 2);
}

#[store_test(schemas(SCHEMA))]
async fn an_export_has_every_entry_once(db: TestDb) {
    let (ledger, _) = ledger(&db);
    world(&ledger, 2, 100).await;
    let mut csv = Vec::new();
    let format = haechi_ledger::Format::Csv;
    let count = haechi_ledger::export(&db, WON, format, &mut csv, |_, _| {}).await.unwrap();
    let text = String::from_utf8(csv).unwrap();
    assert_eq!((count, text.lines().count()), (5, 6));
    let mut lines = Vec::new();
    let format = haechi_ledger::Format::JsonLines;
    haechi_ledger::export(&db, WON, format, &mut lines, |_, _| {}).await.unwrap();
    let columns = text.lines().next().unwrap().split(',').count();
    for (line, csv) in String::from_utf8(lines).unwrap().lines().zip(text.lines().skip(1)) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields: Vec<&str> = csv.split(',').collect();
        assert_eq!(fields.len(), columns);
        assert_eq!(value["amount"], fields[7]);
        assert_eq!(value["hash"], fields[15]);
    }
}
