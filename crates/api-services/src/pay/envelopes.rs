//! Envelopes: shares by chance for the first ones in a room.

use axum::{
    Json,
    extract::{Path, State},
};
use haechi_pay::{GroupId, NewEnvelope, Payment, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{PaymentShape, Problem};
use crate::{
    Services,
    call::{Body, Caller, Keyed},
    error::Result,
};

/// An envelope to be filled.
#[derive(Deserialize, ToSchema)]
pub(crate) struct EnvelopeRequest {
    /// For whom: the room.
    room_id: String,
    /// Such as `KRW`.
    currency: String,
    /// All shares together, in minor units.
    total: i64,
    /// How many can have a share.
    people: usize,
    /// A few words.
    #[serde(default)]
    note: String,
    /// The caller's payment PIN.
    pin: String,
}

/// An envelope.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnvelopeShape {
    /// Its id.
    envelope_id: String,
    /// Shares that were opened, with who has them.
    opened: Vec<PaymentShape>,
    /// How many shares are left.
    left: usize,
}

async fn shape(
    services: &Services,
    group: GroupId,
    shares: Vec<Payment>,
) -> Result<Json<EnvelopeShape>> {
    let (opened, left): (Vec<_>, Vec<_>) =
        shares.into_iter().partition(|share| share.receiver.is_some());
    Ok(Json(EnvelopeShape {
        envelope_id: group.to_string(),
        opened: services.payment_shapes(&opened).await?,
        left: left.iter().filter(|share| share.ended.is_none()).count(),
    }))
}

/// Fills an envelope. What nobody takes within ten minutes goes back.
#[utoipa::path(post, path = "/envelopes", tag = "pay", request_body = EnvelopeRequest,
    params(("Idempotency-Key" = String, Header, description = "The request's own name")),
    responses((status = 200, body = EnvelopeShape), (status = 400, body = Problem)))]
pub(crate) async fn seal(
    State(services): State<Services>,
    Keyed { session, key }: Keyed,
    Body(new): Body<EnvelopeRequest>,
) -> Result<Json<EnvelopeShape>> {
    services.pay.check_pin(session.user, &new.pin).await?;
    let room = services.room(&new.room_id, &[session.user]).await?;
    let (currency, total, people, note) = (new.currency, new.total, new.people, new.note);
    let new = NewEnvelope { key, currency, total, people, note, room };
    let (group, shares) = services.pay.seal(new).await?;
    shape(&services, group, shares).await
}

/// The shares of an envelope, for whoever is in its room.
async fn visible(
    services: &Services,
    user: haechi_base::UserNid,
    id: &str,
) -> Result<(GroupId, Vec<Payment>)> {
    let group: GroupId = id.parse().map_err(|_| Refusal::NoSuchPayment)?;
    let shares = services.pay.envelope(group).await?;
    let room = shares.first().and_then(|share| share.room).ok_or(Refusal::NoSuchPayment)?;
    if !services.rooms.audience(room).await?.contains(&user) {
        return Err(Refusal::NoSuchPayment.into());
    }
    Ok((group, shares))
}

/// Who has had which share.
#[utoipa::path(get, path = "/envelopes/{envelope_id}", tag = "pay",
    params(("envelope_id" = String, Path)),
    responses((status = 200, body = EnvelopeShape), (status = 404, body = Problem)))]
pub(crate) async fn one(
    State(services): State<Services>,
    Caller(session): Caller,
    Path(id): Path<String>,
) -> Result<Json<EnvelopeShape>> {
    let (group, shares) = visible(&services, session.user, &id).await?;
    shape(&services, group, shares).await
}

/// Takes a share. Asked again, it tells of the same share.
#[utoipa::path(post, path = "/envelopes/{envelope_id}/open", tag = "pay",
    params(("envelope_id" = String, Path)),
    responses((status = 200, body = PaymentShape), (status = 409, body = Problem)))]
pub(crate) async fn open(
    State(services): State<Services>,
    Keyed { session, .. }: Keyed,
    Path(id): Path<String>,
) -> Result<Json<PaymentShape>> {
    let (group, _) = visible(&services, session.user, &id).await?;
    let share = services.pay.open(session.user, group).await?;
    Ok(Json(services.payment_shape(&share).await?))
}
