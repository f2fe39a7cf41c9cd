//! What answers look like.

use haechi_pay::{Ask, AskState, Payment, PaymentKind, PaymentState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Services, error::Result};

/// An error, as everywhere in Matrix.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What it is, for programs.
    pub(crate) errcode: String,
    /// What it is, for people.
    pub(crate) error: String,
}

/// A payment.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentShape {
    /// Its id.
    pub(crate) payment_id: String,
    /// `sent`, `asked` or `share`.
    #[schema(value_type = String)]
    pub(crate) kind: PaymentKind,
    /// Who pays: a user id.
    pub(crate) sender: String,
    /// Who is to have it; absent while an envelope's share is not opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receiver: Option<String>,
    /// Such as `KRW`.
    pub(crate) currency: String,
    /// Whole minor units.
    pub(crate) amount: i64,
    /// The sender's words.
    pub(crate) note: String,
    /// `on_its_way`, `accepted`, `refused`, `cancelled` or `returned`.
    #[schema(value_type = String)]
    pub(crate) state: PaymentState,
    /// When the money left the sender, in milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// When it goes back if nobody accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<i64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_ms: Option<i64>,
    /// The event that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) card_event_id: Option<String>,
    /// The bill or envelope it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_id: Option<String>,
    /// The ledger's entry with which the money left.
    pub(crate) entry: String,
}

/// A request for money.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskShape {
    /// Its id.
    pub(crate) ask_id: String,
    /// Who asks: a user id.
    pub(crate) asker: String,
    /// Who is to pay: a user id.
    pub(crate) payer: String,
    /// Such as `KRW`.
    pub(crate) currency: String,
    /// Whole minor units.
    pub(crate) amount: i64,
    /// What for.
    pub(crate) note: String,
    /// `open`, `paid`, `declined` or `cancelled`.
    #[schema(value_type = String)]
    pub(crate) state: AskState,
    /// The payment with which it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_id: Option<String>,
    /// The bill it is a share of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_id: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub(crate) created_ms: i64,
}

impl Services {
    pub(crate) async fn payment_shape(&self, payment: &Payment) -> Result<PaymentShape> {
        let users = self.accounts.users();
        let receiver = match payment.receiver {
            Some(nid) => Some(users.id_of(nid).await?.to_string()),
            None => None,
        };
        Ok(PaymentShape {
            payment_id: payment.id.to_string(),
            kind: payment.kind,
            sender: users.id_of(payment.sender).await?.to_string(),
            receiver,
            currency: self.pay.currency_of(payment.ledger)?.code,
            amount: payment.amount,
            note: payment.note.clone(),
            state: payment.state,
            created_ms: payment.created.0,
            deadline_ms: payment.deadline.map(|at| at.0),
            ended_ms: payment.ended.map(|at| at.0),
            card_event_id: payment.card.clone(),
            group_id: payment.group.map(|group| group.to_string()),
            entry: format!("{}-{}", payment.pos.ledger().0, payment.pos.number()),
        })
    }

    pub(crate) async fn payment_shapes(&self, payments: &[Payment]) -> Result<Vec<PaymentShape>> {
        let mut shapes = Vec::with_capacity(payments.len());
        for payment in payments {
            shapes.push(self.payment_shape(payment).await?);
        }
        Ok(shapes)
    }

    pub(crate) async fn ask_shapes(&self, asks: &[Ask]) -> Result<Vec<AskShape>> {
        let users = self.accounts.users();
        let mut shapes = Vec::with_capacity(asks.len());
        for ask in asks {
            shapes.push(AskShape {
                ask_id: ask.id.to_string(),
                asker: users.id_of(ask.asker).await?.to_string(),
                payer: users.id_of(ask.payer).await?.to_string(),
                currency: self.pay.currency_of(ask.ledger)?.code,
                amount: ask.amount,
                note: ask.note.clone(),
                state: ask.state,
                payment_id: ask.payment.map(|payment| payment.to_string()),
                group_id: ask.group.map(|group| group.to_string()),
                created_ms: ask.created.0,
            });
        }
        Ok(shapes)
    }
}
