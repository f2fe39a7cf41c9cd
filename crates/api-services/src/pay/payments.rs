//! Payments: sending, accepting, refusing, taking back, history, receipts.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use haechi_http::ApiError;
use haechi_ledger::EntryPos;
use haechi_pay::{Key, NewSend, PaymentId, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::shapes::{PaymentShape, Problem};
use crate::{
    Services,
    call::{Body, Caller, Keyed},
    error::Result,
};

/// Payments in one page.
const PAGE: u32 = 50;
/// Most payments in one page.
const PAGE_MAX: u32 = 200;

fn payment_id(text: &str) -> Result<PaymentId> {
    Ok(text.parse().map_err(|_| Refusal::NoSuchPayment)?)
}

/// What is to be sent.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewPayment {
    /// To whom: a user id.
    to: String,
    /// Such as `KRW`.
    currency: String,
    /// Whole minor units, more than zero.
    amount: i64,
    /// A few words.
    #[serde(default)]
    note: String,
    /// The room in which the card is shown; both must be in it.
    room_id: Option<String>,
    /// The caller's payment PIN.
    pin: String,
}

/// Sends money. It leaves at once, and waits for the receiver.
#[utoipa::path(post, path = "/payments", tag = "pay", request_body = NewPayment,
    params(("Idempotency-Key" = String, Header, description = "The request's own name")),
    responses((status = 200, body = PaymentShape), (status = 400, body = Problem),
        (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn send(
    State(services): State<Services>,
    Keyed { session, key }: Keyed,
    Body(new): Body<NewPayment>,
) -> Result<Json<PaymentShape>> {
    services.pay.check_pin(session.user, &new.pin).await?;
    let to = services.user(&new.to).await?;
    let room = match &new.room_id {
        Some(id) => Some(services.room(id, &[session.user, to]).await?),
        None => None,
    };
    let (currency, amount, note) = (new.currency, new.amount, new.note);
    let payment = services.pay.send(NewSend { key, to, currency, amount, note, room }).await?;
    Ok(Json(services.payment_shape(&payment).await?))
}

/// Which page.
#[derive(Deserialize, IntoParams)]
pub(crate) struct PageQuery {
    /// `next` of the page before.
    from: Option<String>,
    /// How many.
    limit: Option<u32>,
}

/// Payments, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentsPage {
    payments: Vec<PaymentShape>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The caller's payments, sent and received.
#[utoipa::path(get, path = "/payments", tag = "pay", params(PageQuery),
    responses((status = 200, body = PaymentsPage), (status = 401, body = Problem)))]
pub(crate) async fn history(
    State(services): State<Services>,
    Caller(session): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<PaymentsPage>> {
    let before = match &page.from {
        None => None,
        Some(text) => Some(EntryPos(
            text.parse()
                .map_err(|_| ApiError::invalid_param("`from` is not what a page before said"))?,
        )),
    };
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let payments = services.pay.history(session.user, before, limit).await?;
    let is_full = payments.len() == limit as usize;
    let next = payments.last().filter(|_| is_full).map(|last| last.pos.0.to_string());
    Ok(Json(PaymentsPage { payments: services.payment_shapes(&payments).await?, next }))
}

/// One payment of the caller's.
#[utoipa::path(get, path = "/payments/{payment_id}", tag = "pay",
    params(("payment_id" = String, Path)),
    responses((status = 200, body = PaymentShape), (status = 404, body = Problem)))]
pub(crate) async fn one(
    State(services): State<Services>,
    Caller(session): Caller,
    Path(id): Path<String>,
) -> Result<Json<PaymentShape>> {
    let payment = services.pay.payment(session.user, payment_id(&id)?).await?;
    Ok(Json(services.payment_shape(&payment).await?))
}

/// Takes the money. Asked again, it answers the same.
#[utoipa::path(post, path = "/payments/{payment_id}/accept", tag = "pay",
    params(("payment_id" = String, Path)),
    responses((status = 200, body = PaymentShape), (status = 409, body = Problem)))]
pub(crate) async fn accept(
    State(services): State<Services>,
    Keyed { session, .. }: Keyed,
    Path(id): Path<String>,
) -> Result<Json<PaymentShape>> {
    let payment = services.pay.accept(session.user, payment_id(&id)?).await?;
    Ok(Json(services.payment_shape(&payment).await?))
}

/// Does not take the money: it goes back. Asked again, it answers the same.
#[utoipa::path(post, path = "/payments/{payment_id}/refuse", tag = "pay",
    params(("payment_id" = String, Path)),
    responses((status = 200, body = PaymentShape), (status = 409, body = Problem)))]
pub(crate) async fn refuse(
    State(services): State<Services>,
    Keyed { session, .. }: Keyed,
    Path(id): Path<String>,
) -> Result<Json<PaymentShape>> {
    let payment = services.pay.refuse(session.user, payment_id(&id)?).await?;
    Ok(Json(services.payment_shape(&payment).await?))
}

/// Takes back what nobody has accepted yet. Asked again, it answers the same.
#[utoipa::path(post, path = "/payments/{payment_id}/cancel", tag = "pay",
    params(("payment_id" = String, Path)),
    responses((status = 200, body = PaymentShape), (status = 409, body = Problem)))]
pub(crate) async fn cancel(
    State(services): State<Services>,
    Keyed { session, .. }: Keyed,
    Path(id): Path<String>,
) -> Result<Json<PaymentShape>> {
    let payment = services.pay.cancel(session.user, payment_id(&id)?).await?;
    Ok(Json(services.payment_shape(&payment).await?))
}

/// A receipt that proves the payment stands in the journal: see the documentation on how to check it.
#[utoipa::path(get, path = "/payments/{payment_id}/receipt", tag = "pay",
    params(("payment_id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(crate) async fn receipt(
    State(services): State<Services>,
    Caller(session): Caller,
    Path(id): Path<String>,
) -> Result<Json<haechi_ledger::Receipt>> {
    Ok(Json(services.pay.receipt(session.user, payment_id(&id)?).await?))
}

/// What a request has made.
#[derive(Serialize, ToSchema)]
pub(crate) struct RequestShape {
    /// The id of the payment, the bill or the envelope.
    made: String,
}

/// What became of a request whose answer did not come. 404: nothing, and asking again under the same
/// key is safe.
#[utoipa::path(get, path = "/requests/{key}", tag = "pay", params(("key" = String, Path)),
    responses((status = 200, body = RequestShape), (status = 404, body = Problem)))]
pub(crate) async fn request(
    State(services): State<Services>,
    Caller(session): Caller,
    Path(key): Path<String>,
) -> Result<Json<RequestShape>> {
    let made = services.pay.request(Key { user: session.user, key }).await?;
    let made = made.ok_or_else(|| ApiError::not_found("Nothing was made under this key"))?;
    Ok(Json(RequestShape { made: format!("{made:032x}") }))
}
