//! Logins and their tokens.

use std::{net::IpAddr, sync::Arc};

use haechi_base::UserNid;
use ruma::{OwnedUserId, UserId};

use crate::{
    Accounts, DeviceWish, Login, Refusal, Result, Session, Tokens, limits,
    store::{
        devices::{LogIn, NewLogin, NoteSeen},
        short_tokens::{AddShortToken, FindOpenId, Purpose, TakeLoginToken},
        tokens::{ConfirmRefresh, FindAccess, FindRefresh, Refresh},
    },
    tokens::{Remembered, Seen, TokenHash, new_device_id, new_secret},
};

/// Devices written down in one work.
const SEEN_BATCH_MAX: usize = 500;

impl Accounts {
    /// Who is behind an access token. Notes that the device is in use from this address.
    pub async fn authenticate(&self, token: &str, ip: IpAddr) -> Result<Session> {
        let hash = TokenHash::of(token);
        let now = self.0.clock.now();
        let entry = match self.0.watch.tokens.get(hash) {
            Some(entry) => entry,
            None => self.look_up(hash).await?,
        };
        if entry.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::ExpiredToken.into());
        }
        if entry.note_seen(now) {
            let mut seen = self.0.seen.lock();
            if seen.len() < limits::SEEN_WAITING_MAX {
                let device = entry.session.device_id.to_string();
                seen.insert((entry.session.user, device), Seen { at: now, ip });
            }
        }
        Ok(entry.session.clone())
    }

    async fn look_up(&self, hash: TokenHash) -> Result<Arc<Remembered>> {
        let cache = &self.0.watch.tokens;
        let revocations = cache.revocations();
        let row = self.0.db.read(FindAccess(hash)).await?.ok_or(Refusal::UnknownToken)?;
        if let Some(replaced) = row.replaces {
            let (session, watch) = (row.session.clone(), self.0.watch.clone());
            self.0.db.write(ConfirmRefresh { session, replaced, watch }).await?;
        }
        Ok(cache.remember(hash, row.session, row.expires, revocations))
    }

    /// Writes down which devices were used. To be called about once a minute, and at the end.
    pub async fn write_seen(&self) -> Result<()> {
        let seen = std::mem::take(&mut *self.0.seen.lock());
        let mut rows = seen
            .into_iter()
            .map(|((user, device), seen)| (user, device, seen.at, seen.ip.to_string()))
            .collect::<Vec<_>>();
        // In one order everywhere, so that servers which write at once do not deadlock.
        rows.sort_unstable();
        for batch in rows.chunks(SEEN_BATCH_MAX) {
            self.0.db.write(NoteSeen(batch.to_vec())).await?;
        }
        Ok(())
    }

    /// Makes up what a login needs.
    pub(crate) fn prepare_login(&self, wish: &DeviceWish) -> Result<(NewLogin, Tokens)> {
        Self::check_device_wish(wish)?;
        let tokens = self.new_tokens(wish.refreshable);
        let device_id = wish.device_id.as_ref().map_or_else(new_device_id, ToString::to_string);
        let login = NewLogin {
            device_id,
            display_name: wish.display_name.clone(),
            access: TokenHash::of(&tokens.access),
            expires: tokens.expires,
            refresh: tokens.refresh.as_deref().map(TokenHash::of),
        };
        Ok((login, tokens))
    }

    fn new_tokens(&self, refreshable: bool) -> Tokens {
        let life = self.0.settings.access_token_life;
        Tokens {
            access: new_secret("access"),
            refresh: refreshable.then(|| new_secret("refresh")),
            expires: refreshable.then(|| self.0.clock.now().plus(life)),
        }
    }

    /// Logs a user in who has proved who he is. A device that exists loses its old tokens.
    pub async fn log_in(
        &self,
        user: UserNid,
        user_id: OwnedUserId,
        wish: &DeviceWish,
    ) -> Result<Login> {
        let (login, tokens) = self.prepare_login(wish)?;
        let device_id = login.device_id.clone().into();
        let (now, watch) = (self.0.clock.now(), self.0.watch.clone());
        let (_, is_admin) = self.0.db.write(LogIn { user, login, now, watch }).await??;
        Ok(Login { session: Session { user, user_id, device_id, is_admin }, tokens })
    }

    /// Trades a refresh token for new tokens.
    pub async fn refresh(&self, token: &str) -> Result<Tokens> {
        let used = TokenHash::of(token);
        let found = self.0.db.read(FindRefresh(used)).await?;
        let (user, device_id) = found.ok_or(Refusal::UnknownToken)?;
        let tokens = self.new_tokens(true);
        let login = NewLogin {
            device_id,
            display_name: None,
            access: TokenHash::of(&tokens.access),
            expires: tokens.expires,
            refresh: tokens.refresh.as_deref().map(TokenHash::of),
        };
        let watch = self.0.watch.clone();
        self.0.db.write(Refresh { user, used, login, watch }).await??;
        Ok(tokens)
    }

    /// A token with which another device may log in as this user, once, within
    /// [`limits::LOGIN_TOKEN_LIFE`].
    pub async fn login_token(&self, user: UserNid) -> Result<String> {
        self.short_token(user, Purpose::Login).await
    }

    /// Who made this login token; it is used up.
    pub async fn take_login_token(&self, token: &str) -> Result<(UserNid, OwnedUserId)> {
        let (hash, now) = (TokenHash::of(token), self.0.clock.now());
        let user = self.0.db.write(TakeLoginToken { hash, now }).await?;
        let user = user.ok_or(Refusal::UnknownToken)?;
        let user_id = self.0.users.id_of(user).await?;
        Ok((user, user_id.as_ref().clone()))
    }

    /// A token with which somebody else can ask this server who the user is, within
    /// [`limits::OPENID_TOKEN_LIFE`].
    pub async fn openid_token(&self, user: UserNid) -> Result<String> {
        self.short_token(user, Purpose::OpenId).await
    }

    /// Who made this OpenID token.
    pub async fn openid_user(&self, token: &str) -> Result<Option<OwnedUserId>> {
        let (hash, now) = (TokenHash::of(token), self.0.clock.now());
        Ok(self.0.db.read(FindOpenId { hash, now }).await?)
    }

    async fn short_token(&self, user: UserNid, purpose: Purpose) -> Result<String> {
        let (prefix, life) = match purpose {
            Purpose::Login => ("login", limits::LOGIN_TOKEN_LIFE),
            Purpose::OpenId => ("openid", limits::OPENID_TOKEN_LIFE),
        };
        let secret = new_secret(prefix);
        let (hash, now) = (TokenHash::of(&secret), self.0.clock.now());
        let expires = now.plus(life);
        self.0.db.write(AddShortToken { hash, purpose, user, now, expires }).await?;
        Ok(secret)
    }

    /// Is this a user of this server?
    pub fn is_ours(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name()
    }
}
