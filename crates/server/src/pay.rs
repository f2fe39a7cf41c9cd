//! Puts payments together: currencies, limits, cards.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use haechi_accounts::Accounts;
use haechi_api_services::RoomCards;
use haechi_base::Clock;
use haechi_config::Config;
use haechi_ledger::{Ledger, LedgerId};
use haechi_pay::{Currency, Limits, Pay, Settings};
use haechi_rooms::Rooms;
use haechi_store::Db;

/// Currencies that are known by their code: number and digits of ISO 4217, and how many main units
/// about two million won are, which is what a person may hold and move in a day.
const KNOWN: &[(&str, u32, u8, i64)] = &[
    ("KRW", 410, 0, 2_000_000),
    ("EUR", 978, 2, 1_500),
    ("USD", 840, 2, 1_500),
    ("JPY", 392, 0, 200_000),
    ("GBP", 826, 2, 1_200),
    ("CHF", 756, 2, 1_500),
];

/// Wrong PINs until it is locked, and for how long.
const PIN_TRIES_MAX: i64 = 5;
const PIN_LOCK: Duration = Duration::from_mins(30);

/// Payments as configured; without currencies nothing can be paid.
pub(crate) fn payments(
    config: &Config,
    db: &Db,
    ledger: &Ledger,
    clock: &Clock,
    rooms: &Rooms,
    accounts: &Accounts,
) -> anyhow::Result<Pay> {
    let currencies = config.pay.currencies.iter().map(|text| currency(text));
    let settings = Settings {
        currencies: currencies.collect::<anyhow::Result<_>>().context("`pay.currencies`")?,
        return_after_s: config.pay.return_after_hours.saturating_mul(3_600),
        pin_tries_max: PIN_TRIES_MAX,
        pin_lock: PIN_LOCK,
    };
    let cards = Arc::new(RoomCards::new(rooms.clone(), accounts.users().clone()));
    Ok(Pay::new(db.clone(), ledger.clone(), clock.clone(), settings, cards))
}

fn currency(text: &str) -> anyhow::Result<Currency> {
    if let Some((code, number, digits, day)) = KNOWN.iter().find(|(code, ..)| *code == text) {
        return Ok(made(code, *number, *digits, *day));
    }
    let mut parts = text.split(':');
    let own = (|| {
        let (code, number, digits) = (parts.next()?, parts.next()?, parts.next()?);
        let (number, digits) = (number.parse().ok()?, digits.parse().ok()?);
        let fits = parts.next().is_none()
            && !code.is_empty()
            && code.bytes().all(|byte| byte.is_ascii_uppercase())
            && (1..=LedgerId::MAX.0).contains(&number)
            && digits <= 6;
        fits.then(|| made(code, number, digits, 2_000_000))
    })();
    match own {
        Some(currency) => Ok(currency),
        None => bail!(
            "`{text}` is neither a known currency ({}) nor NAME:NUMBER:DIGITS, such as POINTS:9001:0",
            KNOWN.iter().map(|(code, ..)| *code).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn made(code: &str, number: u32, digits: u8, day: i64) -> Currency {
    let day = day * 10_i64.pow(digits.into());
    Currency {
        code: code.to_owned(),
        ledger: LedgerId(number),
        digits,
        limits: Limits { payment: day, day, month: day * 10, balance: day },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_read() {
        let won = currency("KRW").unwrap();
        assert_eq!((won.ledger, won.digits, won.limits.day), (LedgerId(410), 0, 2_000_000));
        assert_eq!(currency("EUR").unwrap().limits.payment, 150_000);
        let points = currency("POINTS:9001:0").unwrap();
        assert_eq!((points.code.as_str(), points.ledger), ("POINTS", LedgerId(9_001)));
        for bad in ["XYZ", "points:1:0", "A:0:0", "A:1:9", "A:1", "A:1:0:0", ":1:0", "A:99999999:0"]
        {
            assert!(currency(bad).is_err(), "{bad}");
        }
    }
}
