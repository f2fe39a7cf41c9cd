//! Doing what an operator asks for.

use std::time::Duration;

use anyhow::{Context as _, bail};
use haechi_accounts::{
    AccountError, AccountInfo, Accounts, Refusal, Registration, RegistrationToken,
};
use haechi_base::{Clock, RoomNid, UserNid};
use haechi_media::{Listed, Media, MediaError};
use haechi_pay::{Intervention, Pay};
use haechi_rooms::{Actor, Rooms};
use ruma::{EventId, MxcUri, OwnedUserId, UserId};
use serde_json::Value as Json;

use super::{Answer, Report, Request, Upload, User, Wallets};

/// Accounts in one page of a list.
const USERS_PAGE: u32 = 1_000;

/// Reports in one page: their reasons may be long.
const REPORTS_PAGE: usize = 16;

/// Uploads in one page.
const MEDIA_PAGE: i64 = 100;

/// Lines of the audit log in one page.
const AUDIT_PAGE: i64 = 500;

/// Addresses of media shown of one event.
const SHOWN_MAX: usize = 16;

/// Longest address of media shown, in bytes.
const URI_BYTES_MAX: usize = 512;

/// What an operator's requests work with.
#[derive(Clone)]
pub(crate) struct Office {
    pub(crate) accounts: Accounts,
    pub(crate) rooms: Rooms,
    pub(crate) media: Media,
    pub(crate) pay: Pay,
}

fn intervention(what: Wallets) -> Intervention {
    match what {
        Wallets::Freeze => Intervention::Freeze,
        Wallets::Unfreeze => Intervention::Unfreeze,
        Wallets::UnlockPin => Intervention::UnlockPin,
    }
}

/// Does what is asked.
pub(super) async fn perform(office: &Office, request: &Request) -> Answer {
    match office.perform(request).await {
        Ok(answer) => answer,
        Err(error) => Answer::Failed(format!("{error:#}")),
    }
}

impl Office {
    async fn perform(&self, request: &Request) -> anyhow::Result<Answer> {
        let accounts = &self.accounts;
        let done = match request {
            Request::CreateUser { name, password, is_admin } => {
                let wish = Registration {
                    localpart: Some(name.clone()),
                    password: Some(password.clone()),
                    is_admin: *is_admin,
                    ..Registration::default()
                };
                accounts.register(wish).await?.0.to_string()
            }
            Request::SetPassword { name, password } => {
                let (user, id) = self.find(name).await?;
                accounts.set_password(user, password, Some(None)).await?;
                id.to_string()
            }
            Request::Deactivate { name, erase } => {
                let (user, id) = self.find(name).await?;
                accounts.deactivate(user, *erase).await?;
                let actor = Actor { nid: user, user_id: id.clone(), device: None };
                self.rooms.leave_all(&actor).await?;
                id.to_string()
            }
            Request::CreateToken { token, uses, hours } => {
                self.create_token(token, *uses, *hours).await?
            }
            Request::CloseReport { number } => {
                if !self.rooms.close_report(*number).await? {
                    bail!("there is no open report {number}");
                }
                number.to_string()
            }
            Request::DeleteMedia { uri, everywhere } => self.delete_media(uri, *everywhere).await?,
            Request::IssueMoney { name, currency, amount, key, who } => {
                let (user, id) = self.find(name).await?;
                self.pay.issue(who, key, user, currency, *amount).await?;
                format!("{amount} {currency} for {id}")
            }
            Request::Intervene { name, what, reason, who } => {
                let (user, id) = self.find(name).await?;
                self.pay.intervene(who, user, intervention(*what), reason).await?;
                id.to_string()
            }
            Request::ListAudit { after } => return Ok(Answer::Audit(self.audit(*after).await?)),
            Request::ListUsers { after } => {
                let users = accounts.list(UserNid(*after), USERS_PAGE).await?;
                return Ok(Answer::Users(users.iter().map(shown_user).collect()));
            }
            Request::ListReports { after } => {
                return Ok(Answer::Reports(self.reports(*after).await?));
            }
            Request::ListMedia { name, after } => {
                let (user, _) = self.find(name).await?;
                let uploads = self.media.list(user, *after, MEDIA_PAGE).await?;
                let uploads = uploads.into_iter().map(|listed| self.shown_upload(listed));
                return Ok(Answer::Media(uploads.collect()));
            }
        };
        Ok(Answer::Done(done))
    }

    /// The account that the operator means by a whole or a short name.
    async fn find(&self, name: &str) -> Result<(UserNid, OwnedUserId), AccountError> {
        let localpart = name.strip_prefix('@').and_then(|id| id.split(':').next()).unwrap_or(name);
        let id = format!("@{}:{}", localpart.to_lowercase(), self.accounts.server_name());
        let id = UserId::parse(id).map_err(|_| Refusal::NoSuchUser)?;
        Ok((self.accounts.account(&id).await?, id))
    }

    async fn create_token(
        &self,
        token: &str,
        uses: Option<u32>,
        hours: Option<u32>,
    ) -> anyhow::Result<String> {
        let hours = hours.map(|hours| Duration::from_secs(u64::from(hours) * 3_600));
        let token = RegistrationToken {
            token: token.to_owned(),
            uses_max: uses.map(i64::from),
            uses: 0,
            expires: hours.map(|hours| Clock::System.now().plus(hours)),
        };
        let text = token.token.clone();
        self.accounts.add_registration_token(token).await?;
        Ok(text)
    }

    async fn delete_media(&self, uri: &str, everywhere: bool) -> anyhow::Result<String> {
        let parts = <&MxcUri>::from(uri).parts();
        let (server, id) = parts.with_context(|| format!("`{uri}` is no mxc:// address"))?;
        if server != self.accounts.server_name() {
            bail!("media of {server} is not kept here");
        }
        let deleted = if everywhere {
            self.media.delete_everywhere(id).await
        } else {
            self.media.delete(id).await.map(|()| 1)
        };
        match deleted {
            Ok(0 | 1) => Ok(uri.to_owned()),
            Ok(count) => Ok(format!("{uri} and {} more with the same bytes", count - 1)),
            Err(MediaError::NotFound) => bail!("there is no {uri}"),
            Err(error) => Err(error.into()),
        }
    }

    async fn audit(&self, after: i64) -> anyhow::Result<Vec<(i64, String)>> {
        let mut shown = Vec::new();
        for line in self.pay.audit(after, AUDIT_PAGE).await? {
            let whom = match line.user {
                Some(user) => self.user_id(user).await?,
                None => String::new(),
            };
            let at = crate::commands::moment(line.at_ms);
            let text = format!("{at}  {}: {} {whom} {:?}", line.who, line.what, line.detail);
            shown.push((line.number, text));
        }
        Ok(shown)
    }

    async fn reports(&self, after: i64) -> anyhow::Result<Vec<Report>> {
        let mut shown = Vec::new();
        for report in self.rooms.reports(after, REPORTS_PAGE).await? {
            let mut media = Vec::new();
            let what = match (report.room, &report.event_id, report.user) {
                (Some(room), Some(event_id), _) => {
                    self.shown_event(room, event_id, &mut media).await?
                }
                (Some(room), None, _) => {
                    format!("the room {}", self.rooms.room(room).await?.room_id)
                }
                (None, _, Some(user)) => format!("the user {}", self.user_id(user).await?),
                (None, _, None) => bail!("report {} is about nothing", report.id),
            };
            shown.push(Report {
                number: report.id,
                at_ms: report.at.0,
                by: self.user_id(report.reporter).await?,
                what,
                reason: report.reason,
                media,
            });
        }
        Ok(shown)
    }

    /// Names an event, and collects the addresses of media in it.
    async fn shown_event(
        &self,
        room: RoomNid,
        event_id: &str,
        media: &mut Vec<String>,
    ) -> anyhow::Result<String> {
        let room = self.rooms.room(room).await?;
        let event = self.rooms.any_event(&room, <&EventId>::try_from(event_id)?).await?;
        let by = event.map_or_else(String::new, |event| {
            let content = event.pdu.content_as::<Json>().unwrap_or_default();
            collect_media(&content, media);
            format!(" by {}", event.pdu.sender())
        });
        Ok(format!("the event {event_id}{by} in {}", room.room_id))
    }

    async fn user_id(&self, user: UserNid) -> anyhow::Result<String> {
        Ok(self.accounts.users().id_of(user).await?.to_string())
    }

    fn shown_upload(&self, listed: Listed) -> Upload {
        Upload {
            number: listed.nid,
            uri: self.media.uri(&listed.id),
            at_ms: listed.created.0,
            bytes: listed.bytes,
            content_type: listed.content_type,
            name: listed.name,
        }
    }
}

fn shown_user(info: &AccountInfo) -> User {
    User {
        number: info.user.0,
        id: info.user_id.to_string(),
        is_admin: info.is_admin,
        is_deactivated: info.deactivated.is_some(),
    }
}

/// Collects what looks like the address of media: of pictures, thumbnails, and in texts of HTML.
fn collect_media(value: &Json, found: &mut Vec<String>) {
    match value {
        Json::String(text) => {
            for part in text.split("mxc://").skip(1) {
                let end = part.find(|char: char| !is_part_of_uri(char)).unwrap_or(part.len());
                let uri = format!("mxc://{}", &part[..end]);
                if found.len() < SHOWN_MAX && uri.len() <= URI_BYTES_MAX && !found.contains(&uri) {
                    found.push(uri);
                }
            }
        }
        Json::Array(list) => list.iter().for_each(|item| collect_media(item, found)),
        Json::Object(object) => object.values().for_each(|item| collect_media(item, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn is_part_of_uri(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-._:/[]".contains(char)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn media_is_found_wherever_it_is_named() {
        let mut found = Vec::new();
        collect_media(
            &json!({
                "url": "mxc://a.example/one", "info": { "thumbnail_url": "mxc://a.example/two" },
                "files": [{ "url": "mxc://a.example/one" }], "size": 7,
                "formatted_body": "see <img src=\"mxc://a.example:8448/three\">\u{1b}[31m",
            }),
            &mut found,
        );
        found.sort();
        let expected = ["mxc://a.example/one", "mxc://a.example/two", "mxc://a.example:8448/three"];
        assert_eq!(found, expected);
        let many: Vec<Json> = (0..100).map(|number| json!(format!("mxc://a/{number}"))).collect();
        collect_media(&json!(many), &mut found);
        assert_eq!(found.len(), SHOWN_MAX);
    }
}
