//! Cards in rooms: what chat shows of a payment. Chat is not needed for any of it.

use std::{future::Future, pin::Pin};

use haechi_base::{RoomNid, UserNid};
use haechi_store::Addition;

use crate::model::{Currency, PaymentId, PaymentState};

/// What a card says.
#[derive(Clone, Debug)]
pub struct Card {
    /// The room.
    pub room: RoomNid,
    /// In whose name it is sent: the payer's.
    pub sender: UserNid,
    /// The event that it replaces; a new card when not given.
    pub replaces: Option<String>,
    /// The payment.
    pub payment: PaymentId,
    /// Who is to have the money; nobody yet for an envelope's share.
    pub receiver: Option<UserNid>,
    /// The currency.
    pub currency: Currency,
    /// Minor units.
    pub amount: i64,
    /// The sender's words.
    pub note: String,
    /// What the ledger says of it.
    pub state: PaymentState,
}

/// A future of [`Cards`].
pub type CardFuture<'a> = Pin<Box<dyn Future<Output = Option<Box<dyn Addition>>> + Send + 'a>>;

/// Who writes cards. Payments own this trait; whoever puts chat and payments together implements it.
pub trait Cards: Send + Sync {
    /// Prepares a card to be written in the commit of the payment. `None` when that is not possible
    /// now: the payment goes on without, and the card follows when chat is back.
    fn prepare(&self, card: Card) -> CardFuture<'_>;
}

/// No chat.
pub struct NoCards;

impl Cards for NoCards {
    fn prepare(&self, _: Card) -> CardFuture<'_> {
        Box::pin(std::future::ready(None))
    }
}
