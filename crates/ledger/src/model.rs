//! What a ledger is made of: the data model of TigerBeetle.

use haechi_base::Millis;
use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// Is it one that stands for nothing: zero, or all bits set?
            pub fn is_reserved(self) -> bool {
                self.0 == 0 || self.0 == u128::MAX
            }

            /// As it is stored: big-endian, so that it sorts as the number does.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
        }

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
    /// An account's id, chosen by whoever opens it. Written as 32 hexadecimal digits.
    AccountId
}
id_type! {
    /// A transfer's id, made by whoever wants it before asking for it: asking twice moves money once.
    /// Written as 32 hexadecimal digits.
    TransferId
}

/// A currency or another unit. Accounts of one ledger can transfer to one another; each ledger has a
/// journal of its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LedgerId(pub u32);

impl LedgerId {
    /// The largest number: a position packs the ledger's number with the entry's.
    pub const MAX: Self = Self((1 << (63 - EntryPos::ENTRY_BITS)) - 1);
}

/// The place of an entry: the ledger, and the entry's number in its journal, counted from 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EntryPos(pub i64);

impl EntryPos {
    const ENTRY_BITS: u32 = 41;

    /// The place of entry `number` of `ledger`.
    pub fn new(ledger: LedgerId, number: u64) -> Self {
        let packed = (u64::from(ledger.0) << Self::ENTRY_BITS) | number;
        Self(i64::try_from(packed).expect("LedgerId::MAX and 2^41 entries fit 63 bits"))
    }

    /// The ledger it is in.
    pub fn ledger(self) -> LedgerId {
        LedgerId(u32::try_from(self.0 >> Self::ENTRY_BITS).unwrap_or(0))
    }

    /// Its number in the journal of its ledger, from 1.
    pub fn number(self) -> u64 {
        self.0.cast_unsigned() & ((1 << Self::ENTRY_BITS) - 1)
    }
}

macro_rules! flags_type {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $flag:ident = $bit:expr;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// No flag.
            pub const NONE: Self = Self(0);
            $($(#[$doc])* pub const $flag: Self = Self(1 << $bit);)+
            /// All flags that there are.
            pub const ALL: Self = Self(0 $(| 1 << $bit)+);

            /// Is any of these set?
            pub fn has(self, flag: Self) -> bool {
                self.0 & flag.0 != 0
            }

            /// Is there a bit that means nothing?
            pub fn has_unknown(self) -> bool {
                self.0 & !Self::ALL.0 != 0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

flags_type! {
    /// How an account behaves.
    AccountFlags {
        /// It is opened together with the next one of the request, or neither is.
        LINKED = 0;
        /// Debits, pending ones included, never exceed posted credits: nobody owes.
        DEBITS_MUST_NOT_EXCEED_CREDITS = 1;
        /// Credits, pending ones included, never exceed posted debits.
        CREDITS_MUST_NOT_EXCEED_DEBITS = 2;
    }
}

flags_type! {
    /// What a transfer does.
    TransferFlags {
        /// It succeeds or fails together with the next one of the request.
        LINKED = 0;
        /// It reserves the amount until it is posted, voided, or its timeout has passed.
        PENDING = 1;
        /// It carries a pending one out, whole or in part; the rest is released.
        POST_PENDING = 2;
        /// It gives a pending one up.
        VOID_PENDING = 3;
        /// It takes at most `amount`: no more than the debit account has.
        BALANCING_DEBIT = 4;
        /// It gives at most `amount`: no more than the credit account owes.
        BALANCING_CREDIT = 5;
    }
}

/// What the owner of accounts and transfers keeps with them; means nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserData {
    /// Such as the id of what the transfer pays for.
    pub long: u128,
    /// Such as a time.
    pub middle: u64,
    /// Such as a kind or a place.
    pub short: u32,
}

/// An account to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id, unlike that of any other account.
    pub id: AccountId,
    /// The ledger it belongs to.
    pub ledger: LedgerId,
    /// What kind of account, in the owner's own numbering; not zero.
    pub code: u16,
    /// How it behaves.
    pub flags: AccountFlags,
    /// The owner's.
    pub user_data: UserData,
}

/// What went through an account so far, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Reserved to leave.
    pub debits_pending: u128,
    /// Left.
    pub debits_posted: u128,
    /// Announced to come.
    pub credits_pending: u128,
    /// Came.
    pub credits_posted: u128,
}

impl Balances {
    /// What can be spent from an account that must not owe: posted credits less all debits.
    pub fn available(&self) -> u128 {
        self.credits_posted.saturating_sub(self.debits_posted).saturating_sub(self.debits_pending)
    }
}

/// An account as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// As it was opened; never changes.
    pub facts: NewAccount,
    /// What went through it.
    pub balances: Balances,
    /// The last entry that touched it.
    pub last: EntryPos,
}

/// A transfer to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewTransfer {
    /// Its id, unlike that of any other transfer in any ledger.
    pub id: TransferId,
    /// The account that gives. Zero on posting and voiding: as the pending one has it.
    pub debit: AccountId,
    /// The account that receives. Zero on posting and voiding: as the pending one has it.
    pub credit: AccountId,
    /// Minor units; the most of it when balancing. On posting [`AMOUNT_MAX`], on voiding zero, mean
    /// all of the pending one.
    pub amount: u128,
    /// The pending transfer that is posted or voided.
    pub pending_id: TransferId,
    /// The owner's. Where zero on posting and voiding: as the pending one has it.
    pub user_data: UserData,
    /// After how many seconds a pending one expires; zero for never.
    pub timeout_s: u32,
    /// The ledger of both accounts. Must be given also on posting and voiding: it says in which
    /// journal the transfer goes.
    pub ledger: LedgerId,
    /// Why money moves, in the owner's own numbering; not zero, but on posting and voiding.
    pub code: u16,
    /// What it does.
    pub flags: TransferFlags,
}

/// As the amount of a posting transfer: all of the pending one.
pub const AMOUNT_MAX: u128 = u128::MAX;

/// A transfer that was made. What it took over from a pending one, and the amount that balancing
/// came to, are filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What it is.
    pub facts: NewTransfer,
    /// Its place in the journal.
    pub pos: EntryPos,
    /// When it was made, by the time of the log.
    pub at: Millis,
}

/// What became of a pending transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingState {
    /// It still holds its amount.
    Pending = 0,
    /// It was carried out.
    Posted = 1,
    /// It was given up.
    Voided = 2,
    /// Its time had passed.
    Expired = 3,
}

impl PendingState {
    pub(crate) fn of(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Pending,
            1 => Self::Posted,
            2 => Self::Voided,
            3 => Self::Expired,
            _ => return None,
        })
    }
}

/// A pending transfer's state, and until when it can be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The state.
    pub state: PendingState,
    /// From when on it is expired.
    pub deadline: Option<Millis>,
}

/// What an entry of the journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// An account was opened: its id and facts stand where a transfer's would.
    Opened = 1,
    /// A transfer was made.
    Transfer = 2,
    /// The time of a pending transfer had passed; the entry bears its id.
    Expired = 3,
}

impl EntryKind {
    pub(crate) fn of(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Opened,
            2 => Self::Transfer,
            3 => Self::Expired,
            _ => return None,
        })
    }
}

/// An entry of a journal. Never changed, never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub pos: EntryPos,
    /// What it says.
    pub kind: EntryKind,
    /// When, by the time of the log: never before the entry in front of it.
    pub at: Millis,
    /// The transfer. Of an opened account: `id` and `debit` are the account's, `flags` its flags.
    pub transfer: NewTransfer,
    /// Balances of the debited account after it.
    pub debit_after: Balances,
    /// Balances of the credited account after it.
    pub credit_after: Balances,
}

impl Entry {
    /// The balances of one of its accounts after it; `None` of an account that it does not touch.
    pub fn balances_of(&self, account: AccountId) -> Option<Balances> {
        if account == self.transfer.debit {
            Some(self.debit_after)
        } else {
            (account == self.transfer.credit).then_some(self.credit_after)
        }
    }
}
