//! Asking for money, and splitting bills.

use axum::{
    Json,
    extract::{Path, State},
};
use haechi_pay::{AskId, NewAsk, Refusal, equal_shares};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{AskShape, PaymentShape, Problem};
use crate::{
    Services,
    call::{Body, Caller, Keyed},
    error::Result,
};

fn ask_id(text: &str) -> Result<AskId> {
    Ok(text.parse().map_err(|_| Refusal::NoSuchPayment)?)
}

/// What is asked for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AskRequest {
    /// Of whom: a user id.
    from: String,
    /// Such as `KRW`.
    currency: String,
    /// Whole minor units, more than zero.
    amount: i64,
    /// What for.
    #[serde(default)]
    note: String,
}

/// A bill to be split.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SplitRequest {
    /// Such as `KRW`.
    currency: String,
    /// The whole bill in minor units.
    total: i64,
    /// Who shares it besides the caller: user ids.
    people: Vec<String>,
    /// What each of them pays, in the order of `people`; equal shares when not given.
    amounts: Option<Vec<i64>>,
    /// Does the caller bear a share?
    #[serde(default = "yes")]
    include_me: bool,
    /// What for.
    #[serde(default)]
    note: String,
}

fn yes() -> bool {
    true
}

/// A request, or the shares of a bill.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asks {
    asks: Vec<AskShape>,
}

/// All requests that concern the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskLists {
    /// What the caller is asked for and has not answered.
    to_pay: Vec<AskShape>,
    /// What the caller has asked others for, newest first.
    asked: Vec<AskShape>,
}

/// Asks somebody for money.
#[utoipa::path(post, path = "/asks", tag = "pay", request_body = AskRequest,
    params(("Idempotency-Key" = String, Header, description = "The request's own name")),
    responses((status = 200, body = Asks), (status = 400, body = Problem)))]
pub(crate) async fn ask(
    State(services): State<Services>,
    Keyed { key, .. }: Keyed,
    Body(new): Body<AskRequest>,
) -> Result<Json<Asks>> {
    let payer = services.user(&new.from).await?;
    let (currency, note, shares) = (new.currency, new.note, vec![(payer, new.amount)]);
    let asks = services.pay.ask(NewAsk { key, currency, shares, note, room: None }).await?;
    Ok(Json(Asks { asks: services.ask_shapes(&asks).await? }))
}

/// Splits a bill: asks each of the others for a share. All shares, the caller's included, add up to
/// the total.
#[utoipa::path(post, path = "/splits", tag = "pay", request_body = SplitRequest,
    params(("Idempotency-Key" = String, Header, description = "The request's own name")),
    responses((status = 200, body = Asks), (status = 400, body = Problem)))]
pub(crate) async fn split(
    State(services): State<Services>,
    Keyed { key, .. }: Keyed,
    Body(new): Body<SplitRequest>,
) -> Result<Json<Asks>> {
    let mut people = Vec::with_capacity(new.people.len());
    for id in &new.people {
        people.push(services.user(id).await?);
    }
    let amounts = match new.amounts {
        Some(amounts) => {
            let sum = amounts.iter().try_fold(0_i64, |sum, amount| sum.checked_add(*amount));
            let fits = if new.include_me {
                sum.is_some_and(|sum| sum <= new.total)
            } else {
                sum == Some(new.total)
            };
            if amounts.len() != people.len() || !fits {
                return Err(Refusal::BadSplit.into());
            }
            amounts
        }
        // The caller comes last: what does not divide is borne by the others, a unit each.
        None => equal_shares(new.total, people.len() + usize::from(new.include_me))?,
    };
    let shares = people.into_iter().zip(amounts).collect();
    let (currency, note) = (new.currency, new.note);
    let asks = services.pay.ask(NewAsk { key, currency, shares, note, room: None }).await?;
    Ok(Json(Asks { asks: services.ask_shapes(&asks).await? }))
}

/// Requests that concern the caller.
#[utoipa::path(get, path = "/asks", tag = "pay",
    responses((status = 200, body = AskLists), (status = 401, body = Problem)))]
pub(crate) async fn list(
    State(services): State<Services>,
    Caller(session): Caller,
) -> Result<Json<AskLists>> {
    let (to_pay, asked) = services.pay.asks(session.user).await?;
    let to_pay = services.ask_shapes(&to_pay).await?;
    Ok(Json(AskLists { to_pay, asked: services.ask_shapes(&asked).await? }))
}

/// The caller's consent.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Consent {
    /// The caller's payment PIN.
    pin: String,
}

/// Pays what is asked for. The money arrives at once: the other one has asked for it.
#[utoipa::path(post, path = "/asks/{ask_id}/pay", tag = "pay", request_body = Consent,
    params(("ask_id" = String, Path),
        ("Idempotency-Key" = String, Header, description = "The request's own name")),
    responses((status = 200, body = PaymentShape), (status = 409, body = Problem)))]
pub(crate) async fn pay(
    State(services): State<Services>,
    Keyed { session, key }: Keyed,
    Path(id): Path<String>,
    Body(consent): Body<Consent>,
) -> Result<Json<PaymentShape>> {
    services.pay.check_pin(session.user, &consent.pin).await?;
    let payment = services.pay.pay(key, ask_id(&id)?).await?;
    Ok(Json(services.payment_shape(&payment).await?))
}

/// Says no to a request, or takes one's own back. Asked again, it answers the same.
#[utoipa::path(post, path = "/asks/{ask_id}/close", tag = "pay",
    params(("ask_id" = String, Path)),
    responses((status = 200, body = Asks), (status = 409, body = Problem)))]
pub(crate) async fn close(
    State(services): State<Services>,
    Keyed { session, .. }: Keyed,
    Path(id): Path<String>,
) -> Result<Json<Asks>> {
    let ask = services.pay.close_ask(session.user, ask_id(&id)?).await?;
    Ok(Json(Asks { asks: services.ask_shapes(&[ask]).await? }))
}
