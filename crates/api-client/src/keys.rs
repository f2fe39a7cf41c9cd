//! Device keys, one-time keys and cross-signing (client-server API, "End-to-end encryption").

use std::collections::BTreeMap;

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use haechi_keys::{
    Claim, Consent, KeyCounts, KeysError, KeysUpload, SignatureFailure, SignedKey,
    SigningKeysUpload, UserRef, Wanted,
};
use haechi_sync::SyncToken;
use ruma::{
    OneTimeKeyAlgorithm, OwnedOneTimeKeyId, OwnedUserId, UInt,
    api::client::keys::{
        claim_keys::v3 as claim_keys, get_key_changes::v3 as get_key_changes,
        get_keys::v3 as get_keys, upload_keys::v3 as upload_keys,
        upload_signatures::v3 as upload_signatures, upload_signing_keys::v3 as upload_signing_keys,
    },
    encryption::OneTimeKey,
    serde::Raw,
};
use serde_json::json;

use crate::{App, Result, sync::viewer, uia, uia::Interactive};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(upload)
        .endpoint(query)
        .endpoint(claim)
        .endpoint(signing_keys)
        .endpoint(signatures)
        .endpoint(changes)
}

/// Users asked about in one request.
const QUERY_USERS_MAX: usize = 10_000;

/// Keys claimed in one request.
const CLAIMS_MAX: usize = 10_000;

/// JSON as text.
pub(crate) fn text<T>(raw: &Raw<T>) -> String {
    raw.json().get().to_owned()
}

/// JSON text that was checked when it was stored.
pub(crate) fn raw<T>(text: String) -> Result<Raw<T>, ApiError> {
    Raw::from_json_string(text).map_err(ApiError::internal)
}

/// Keys by their ids, as the crate `keys` wants them.
pub(crate) fn key_texts(
    keys: &BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
) -> Vec<(String, String)> {
    keys.iter().map(|(id, key)| (id.to_string(), text(key))).collect()
}

/// A count in the form of ruma's types.
pub(crate) fn count(count: u64) -> UInt {
    UInt::new_saturating(count)
}

/// The caller in both forms.
pub(crate) fn user_of(session: &Session) -> UserRef {
    UserRef { nid: session.user, id: session.user_id.clone() }
}

async fn upload(app: App, call: Call<upload_keys::Request>) -> Result<upload_keys::Response> {
    let upload = KeysUpload {
        device_keys: call.request.device_keys.as_ref().map(text),
        one_time_keys: key_texts(&call.request.one_time_keys),
        fallback_keys: key_texts(&call.request.fallback_keys),
    };
    let device = call.caller.device_id.as_str();
    let nothing = upload.device_keys.is_none()
        && upload.one_time_keys.is_empty()
        && upload.fallback_keys.is_empty();
    let counts = if nothing {
        app.keys.key_counts(call.caller.user, device).await?.as_ref().clone()
    } else {
        app.keys.upload_keys(&user_of(&call.caller), device, &upload).await?
    };
    Ok(upload_keys::Response::new(count_map(counts)))
}

fn count_map(counts: KeyCounts) -> BTreeMap<OneTimeKeyAlgorithm, UInt> {
    counts
        .one_time_keys
        .into_iter()
        .map(|(algorithm, number)| (algorithm.into(), count(number)))
        .collect()
}

async fn query(app: App, call: Call<get_keys::Request>) -> Result<get_keys::Response> {
    let asked = call.request.device_keys;
    if asked.len() > QUERY_USERS_MAX {
        return Err(ApiError::too_large(format!("More than {QUERY_USERS_MAX} users")).into());
    }
    let mut response = get_keys::Response::new();
    let ids: Vec<OwnedUserId> =
        asked.keys().filter(|id| id.server_name() == app.accounts.server_name()).cloned().collect();
    let mut wanted = Vec::with_capacity(ids.len());
    for (id, nid) in ids.iter().zip(app.accounts.users().find_many(&ids).await?) {
        let Some(nid) = nid else { continue };
        let devices = asked[id].iter().map(ToString::to_string).collect();
        wanted.push(Wanted { user: UserRef { nid, id: id.clone() }, devices });
        // A user without devices is known, and has none.
        response.device_keys.insert(id.clone(), BTreeMap::new());
    }
    let found = app.keys.identities(&user_of(&call.caller), &wanted).await?;
    for (user, device, keys) in found.devices {
        response.device_keys.entry(user).or_default().insert(device.into(), raw(keys)?);
    }
    let lists = [
        (found.master, &mut response.master_keys),
        (found.self_signing, &mut response.self_signing_keys),
        (found.user_signing, &mut response.user_signing_keys),
    ];
    for (keys, list) in lists {
        for (user, key) in keys {
            list.insert(user, raw(key)?);
        }
    }
    Ok(response)
}

async fn claim(app: App, call: Call<claim_keys::Request>) -> Result<claim_keys::Response> {
    let asked = call.request.one_time_keys;
    if asked.values().map(BTreeMap::len).sum::<usize>() > CLAIMS_MAX {
        return Err(ApiError::too_large(format!("More than {CLAIMS_MAX} keys")).into());
    }
    let ids: Vec<&OwnedUserId> = asked.keys().collect();
    let nids = app.accounts.users().find_many(&ids).await?;
    let mut claims = Vec::new();
    let mut claimers = Vec::new();
    for ((id, devices), nid) in asked.iter().zip(nids) {
        let Some(nid) = nid else { continue };
        for (device, algorithm) in devices {
            claims.push(Claim {
                user: nid,
                device: device.to_string(),
                algorithm: algorithm.to_string(),
            });
            claimers.push((id, device));
        }
    }
    let keys = app.keys.claim_keys(claims).await?;
    let mut claimed: BTreeMap<OwnedUserId, claim_keys::OneTimeKeys> = BTreeMap::new();
    for ((user, device), key) in claimers.into_iter().zip(keys) {
        let Some(key) = key else { continue };
        let id = OwnedOneTimeKeyId::try_from(key.id).map_err(ApiError::internal)?;
        let devices = claimed.entry(user.clone()).or_default();
        devices.entry(device.clone()).or_default().insert(id, raw(key.json)?);
    }
    Ok(claim_keys::Response::new(claimed))
}

async fn signatures(
    app: App,
    call: Call<upload_signatures::Request>,
) -> Result<upload_signatures::Response> {
    let uploaded = call.request.signed_keys;
    let ids: Vec<&OwnedUserId> = uploaded.keys().collect();
    let nids = app.accounts.users().find_many(&ids).await?;
    let mut failures: Vec<(OwnedUserId, String, SignatureFailure)> = Vec::new();
    let mut signed = Vec::new();
    for ((id, keys), nid) in uploaded.iter().zip(nids) {
        for (key, json) in keys {
            match nid {
                Some(nid) => signed.push(SignedKey {
                    target: UserRef { nid, id: id.clone() },
                    key: key.to_owned(),
                    json: json.get().to_owned(),
                }),
                None => {
                    failures.push((id.clone(), key.to_owned(), SignatureFailure::UnknownKey));
                }
            }
        }
    }
    let refusals = app.keys.upload_signatures(&user_of(&call.caller), &signed).await?;
    failures.extend(refusals.into_iter().map(|(index, failure)| {
        let SignedKey { target, key, .. } = &signed[index];
        (target.id.clone(), key.clone(), failure)
    }));
    let mut response = upload_signatures::Response::new();
    for (user, key, failure) in failures {
        let (errcode, error) = match failure {
            SignatureFailure::UnknownKey => ("M_NOT_FOUND", "No such key"),
            SignatureFailure::DifferentKey => ("M_INVALID_PARAM", "Key does not match"),
            SignatureFailure::InvalidSignature => ("M_INVALID_SIGNATURE", "Invalid signature"),
            SignatureFailure::BadJson => ("M_BAD_JSON", "Not a JSON object"),
        };
        let failure = serde_json::from_value(json!({ "errcode": errcode, "error": error }))
            .map_err(ApiError::internal)?;
        response.failures.entry(user).or_default().insert(key, failure);
    }
    Ok(response)
}

async fn changes(
    app: App,
    call: Call<get_key_changes::Request>,
) -> Result<get_key_changes::Response> {
    let token = |text: &str| -> Result<SyncToken, ApiError> {
        text.parse().map_err(|_| ApiError::invalid_param("That is not a token of this server"))
    };
    let (from, to) = (token(&call.request.from)?, token(&call.request.to)?);
    let lists = app.sync.key_changes(&viewer(&call.caller), &from, &to).await?;
    Ok(get_key_changes::Response::new(lists.changed, lists.left))
}

async fn signing_keys(
    app: App,
    call: Call<Interactive<upload_signing_keys::Request>>,
) -> Result<upload_signing_keys::Response> {
    let Interactive { inner: request, auth } = call.request;
    let upload = SigningKeysUpload {
        master: request.master_key.as_ref().map(text),
        self_signing: request.self_signing_key.as_ref().map(text),
        user_signing: request.user_signing_key.as_ref().map(text),
    };
    let user = user_of(&call.caller);
    match app.keys.upload_signing_keys(&user, &upload, Consent::Unproven).await {
        Err(KeysError::AuthRequired) => {
            uia::prove_password(&app, &call.caller, auth.as_ref(), call.ip).await?;
            app.keys.upload_signing_keys(&user, &upload, Consent::Proven).await?;
        }
        outcome => outcome?,
    }
    Ok(upload_signing_keys::Response::new())
}
