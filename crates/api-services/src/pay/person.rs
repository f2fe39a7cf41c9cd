//! A person's wallets, settings and PIN.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::Problem;
use crate::{
    Services,
    call::{Body, Caller},
    error::Result,
};

/// Wallets, one for each currency that the operator offers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Wallets {
    wallets: Vec<WalletShape>,
}

/// A wallet.
#[derive(Serialize, ToSchema)]
pub(crate) struct WalletShape {
    /// Such as `KRW`.
    currency: String,
    /// Digits behind the point.
    digits: u8,
    /// What can be spent, in minor units.
    available: i64,
    /// What has left and is not accepted yet.
    on_its_way: i64,
    /// Most of one payment.
    limit_payment: i64,
    /// Most in 24 hours.
    limit_day: i64,
    /// Most in 30 days.
    limit_month: i64,
    /// Most that the wallet holds.
    limit_balance: i64,
}

/// The caller's wallets.
#[utoipa::path(get, path = "/wallets", tag = "pay",
    responses((status = 200, body = Wallets), (status = 401, body = Problem)))]
pub(crate) async fn wallets(
    State(services): State<Services>,
    Caller(session): Caller,
) -> Result<Json<Wallets>> {
    let wallets = services.pay.wallets(session.user).await?;
    let shape = |wallet: haechi_pay::Wallet| WalletShape {
        currency: wallet.currency.code,
        digits: wallet.currency.digits,
        available: wallet.available,
        on_its_way: wallet.on_its_way,
        limit_payment: wallet.currency.limits.payment,
        limit_day: wallet.currency.limits.day,
        limit_month: wallet.currency.limits.month,
        limit_balance: wallet.currency.limits.balance,
    };
    Ok(Json(Wallets { wallets: wallets.into_iter().map(shape).collect() }))
}

/// How payments are handled for the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsShape {
    /// Is a payment PIN set?
    has_pin: bool,
    /// Are payments to the caller accepted at once?
    auto_accept: bool,
    /// Has the operator frozen the wallets?
    frozen: bool,
}

/// How payments are handled for the caller.
#[utoipa::path(get, path = "/settings", tag = "pay",
    responses((status = 200, body = SettingsShape), (status = 401, body = Problem)))]
pub(crate) async fn settings(
    State(services): State<Services>,
    Caller(session): Caller,
) -> Result<Json<SettingsShape>> {
    let person = services.pay.person(session.user).await?;
    let (has_pin, auto_accept, frozen) = (person.has_pin, person.auto_accept, person.frozen);
    Ok(Json(SettingsShape { has_pin, auto_accept, frozen }))
}

/// What can be changed.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SettingsChange {
    /// Accept payments to the caller at once?
    auto_accept: bool,
}

/// Changes how payments are handled for the caller.
#[utoipa::path(put, path = "/settings", tag = "pay", request_body = SettingsChange,
    responses((status = 200, body = SettingsShape), (status = 401, body = Problem)))]
pub(crate) async fn change_settings(
    State(services): State<Services>,
    Caller(session): Caller,
    Body(change): Body<SettingsChange>,
) -> Result<Json<SettingsShape>> {
    services.pay.set_auto_accept(session.user, change.auto_accept).await?;
    settings(State(services), Caller(session)).await
}

/// A new PIN.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewPin {
    /// Six digits.
    pin: String,
    /// The PIN until now, where there is one.
    old_pin: Option<String>,
}

/// Nothing to tell.
#[derive(Serialize, ToSchema)]
pub(crate) struct Empty {}

/// Sets the payment PIN.
#[utoipa::path(put, path = "/pin", tag = "pay", request_body = NewPin,
    responses((status = 200, body = Empty), (status = 403, body = Problem)))]
pub(crate) async fn set_pin(
    State(services): State<Services>,
    Caller(session): Caller,
    Body(new): Body<NewPin>,
) -> Result<Json<Empty>> {
    services.pay.set_pin(session.user, &new.pin, new.old_pin.as_deref()).await?;
    Ok(Json(Empty {}))
}
