//! Cards of payments in rooms.

use std::fmt::Write as _;

use haechi_accounts::Users;
use haechi_pay::{Card, CardFuture, Cards, Currency, PaymentState};
use haechi_rooms::{Actor, NewEvent, Rooms};
use haechi_store::Addition;
use ruma::events::TimelineEventType;
use serde_json::{Value as Json, json};

/// Where a card's own part stands in the event.
const CARD: &str = "haechi.pay.card";

/// Writes cards as messages that every Matrix client shows as text.
pub struct RoomCards {
    rooms: Rooms,
    users: Users,
}

impl RoomCards {
    /// Cards in these rooms.
    pub fn new(rooms: Rooms, users: Users) -> Self {
        Self { rooms, users }
    }

    async fn enclose(&self, card: &Card) -> haechi_rooms::Result<Option<Box<dyn Addition>>> {
        let room = self.rooms.room(card.room).await?;
        // There the sender's own client writes the card.
        if room.state().get("m.room.encryption", "").is_some() {
            return Ok(None);
        }
        let sender = self.users.id_of(card.sender).await?;
        let receiver = match card.receiver {
            Some(nid) => Some(self.users.id_of(nid).await?.to_string()),
            None => None,
        };
        let content = content(card, sender.as_str(), receiver.as_deref());
        let actor = Actor { nid: card.sender, user_id: sender.as_ref().to_owned(), device: None };
        let new = NewEvent::message(TimelineEventType::RoomMessage, content.to_string());
        Ok(Some(Box::new(self.rooms.enclose(&room, &actor, new).await?)))
    }
}

impl Cards for RoomCards {
    fn prepare(&self, card: Card) -> CardFuture<'_> {
        Box::pin(async move {
            match self.enclose(&card).await {
                Ok(addition) => addition,
                Err(error) => {
                    // Money does not wait for chat.
                    tracing::warn!(%error, room = card.room.0, "a payment goes without its card");
                    None
                }
            }
        })
    }
}

fn content(card: &Card, sender: &str, receiver: Option<&str>) -> Json {
    let body = words(card, sender, receiver);
    let shown = json!({
        "msgtype": "m.text",
        "body": body,
        CARD: {
            "payment_id": card.payment.to_string(),
            "sender": sender,
            "receiver": receiver,
            "currency": card.currency.code,
            "amount": card.amount,
            "note": card.note,
            "state": card.state.as_str(),
        },
    });
    let Some(replaces) = &card.replaces else { return shown };
    let mut edit = shown.clone();
    edit["body"] = format!("* {body}").into();
    edit["m.new_content"] = shown;
    edit["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": replaces });
    edit
}

/// What a client without cards shows.
fn words(card: &Card, sender: &str, receiver: Option<&str>) -> String {
    let amount = amount(card.amount, &card.currency);
    let to = receiver.unwrap_or("somebody");
    let mut words = match card.state {
        PaymentState::OnItsWay => format!("{sender} sends {amount} to {to}"),
        PaymentState::Accepted => format!("{to} has received {amount} from {sender}"),
        PaymentState::Refused => format!("{to} did not want {amount} from {sender}"),
        PaymentState::Cancelled => format!("{sender} took back {amount} for {to}"),
        PaymentState::Returned => format!("{amount} for {to} went back to {sender}"),
    };
    if !card.note.is_empty() {
        let _ = write!(words, ": {}", card.note);
    }
    words
}

/// An amount of minor units as people write it: `12.34 EUR`.
fn amount(minor: i64, currency: &Currency) -> String {
    let unit = 10_i64.pow(u32::from(currency.digits.min(18)));
    let (whole, rest) = (minor / unit, minor % unit);
    let code = &currency.code;
    match usize::from(currency.digits) {
        0 => format!("{whole} {code}"),
        digits => format!("{whole}.{rest:0digits$} {code}"),
    }
}

#[cfg(test)]
mod tests {
    use haechi_ledger::LedgerId;
    use haechi_pay::Limits;

    use super::*;

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        let limits = Limits { payment: 1, day: 1, month: 1, balance: 1 };
        let currency = |code: &str, digits| Currency {
            code: code.to_owned(),
            ledger: LedgerId(1),
            digits,
            limits,
        };
        assert_eq!(amount(5_000, &currency("KRW", 0)), "5000 KRW");
        assert_eq!(amount(1_205, &currency("EUR", 2)), "12.05 EUR");
        assert_eq!(amount(7, &currency("BHD", 3)), "0.007 BHD");
    }
}
