//! What payments are made of.

use haechi_base::{Millis, RoomNid, UserNid};
use haechi_ledger::{EntryPos, LedgerId};
use serde::Serialize;

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

id_type! {
    /// A payment; also the id of the transfer that reserves its money.
    PaymentId
}
id_type! {
    /// A request for money.
    AskId
}
id_type! {
    /// Shares that belong together: of a split bill, or of an envelope.
    GroupId
}

/// What a person may move and hold, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In one payment.
    pub payment: i64,
    /// In 24 hours.
    pub day: i64,
    /// In 30 days.
    pub month: i64,
    /// In the wallet.
    pub balance: i64,
}

/// A currency that the operator offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency {
    /// `KRW`, or a name of the operator's own.
    pub code: String,
    /// Its ledger: the number of ISO 4217.
    pub ledger: LedgerId,
    /// Digits behind the point: how many minor units make one.
    pub digits: u8,
    /// What a person may move and hold of it.
    pub limits: Limits,
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// It has left the sender and waits for the receiver.
    OnItsWay = 0,
    /// The receiver has it.
    Accepted = 1,
    /// The receiver did not want it; the sender has it back.
    Refused = 2,
    /// The sender took it back.
    Cancelled = 3,
    /// Its time passed; the sender has it back.
    Returned = 4,
}

impl PaymentState {
    pub(crate) const ALL: [Self; 5] =
        [Self::OnItsWay, Self::Accepted, Self::Refused, Self::Cancelled, Self::Returned];

    /// The name in answers and cards.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnItsWay => "on_its_way",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Returned => "returned",
        }
    }
}

/// How a payment came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentKind {
    /// Sent.
    Sent = 1,
    /// Paid because it was asked for.
    Asked = 2,
    /// A share of an envelope.
    Share = 3,
}

impl PaymentKind {
    pub(crate) const ALL: [Self; 3] = [Self::Sent, Self::Asked, Self::Share];
}

/// A payment as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The entry in the journal with which the money left.
    pub pos: EntryPos,
    /// How it came about.
    pub kind: PaymentKind,
    /// Its currency's ledger.
    pub ledger: LedgerId,
    /// Minor units.
    pub amount: i64,
    /// Who pays.
    pub sender: UserNid,
    /// Who is to have it; nobody yet for a share of an envelope.
    pub receiver: Option<UserNid>,
    /// The room in which its card is shown.
    pub room: Option<RoomNid>,
    /// The sender's words.
    pub note: String,
    /// What became of it.
    pub state: PaymentState,
    /// When it left, by the time of the log.
    pub created: Millis,
    /// When it goes back if nobody has accepted it.
    pub deadline: Option<Millis>,
    /// When it ended.
    pub ended: Option<Millis>,
    /// The envelope it is a share of.
    pub group: Option<GroupId>,
    /// The event that shows it.
    pub card: Option<String>,
    /// The state that the card tells.
    pub shown: Option<PaymentState>,
}

/// What became of a request for money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// Not answered yet.
    Open = 0,
    /// Paid.
    Paid = 1,
    /// The other one will not pay.
    Declined = 2,
    /// Who asked does not want it any more.
    Cancelled = 3,
}

impl AskState {
    pub(crate) const ALL: [Self; 4] = [Self::Open, Self::Paid, Self::Declined, Self::Cancelled];
}

/// A request for money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its id.
    pub id: AskId,
    /// Who asks.
    pub asker: UserNid,
    /// Who is to pay.
    pub payer: UserNid,
    /// The currency's ledger.
    pub ledger: LedgerId,
    /// Minor units.
    pub amount: i64,
    /// What for.
    pub note: String,
    /// The room it belongs to.
    pub room: Option<RoomNid>,
    /// What became of it.
    pub state: AskState,
    /// With what it was paid.
    pub payment: Option<PaymentId>,
    /// The bill it is a share of.
    pub group: Option<GroupId>,
    /// When it was made.
    pub created: Millis,
}

/// A person's money in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// The currency.
    pub currency: Currency,
    /// What can be spent.
    pub available: i64,
    /// What has left and is not accepted yet: it still belongs to the person.
    pub on_its_way: i64,
}

/// How a person wants payments handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Is a PIN set?
    pub has_pin: bool,
    /// Payments to this person are accepted at once.
    pub auto_accept: bool,
    /// The operator lets nothing in or out.
    pub frozen: bool,
}

/// What a client wants done once, named by itself: asking again under the same key does nothing more,
/// and gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Who asks.
    pub user: UserNid,
    /// The `Idempotency-Key`.
    pub key: String,
}
