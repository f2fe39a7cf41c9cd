//! Registering, passwords, deactivation.

use haechi_base::UserNid;
use ruma::{OwnedUserId, UserId};

use crate::{
    AccountError, AccountInfo, Accounts, DeviceWish, Login, Refusal, RegistrationToken, Result,
    limits, rules,
    store::{
        accounts::{CountAccounts, Deactivate, FindAccount, ListAccounts, Register, SetPassword},
        registration_tokens::{AddToken, CheckToken},
    },
    tokens,
};

/// A wish to have an account.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// The name before the colon; made up when not given.
    pub localpart: Option<String>,
    /// Without one, nobody can log in by password.
    pub password: Option<String>,
    /// May the user use the operator's endpoints?
    pub is_admin: bool,
    /// A registration token, checked and used up when given.
    pub registration_token: Option<String>,
    /// Log in at once, on this device?
    pub login: Option<DeviceWish>,
}

impl Accounts {
    /// Could this name be registered?
    pub async fn check_available(&self, localpart: &str) -> Result<OwnedUserId> {
        let user_id = rules::new_user_id(localpart, self.server_name())?;
        match self.0.db.read(FindAccount(user_id.clone())).await? {
            Some(_) => Err(Refusal::UserInUse.into()),
            None => Ok(user_id),
        }
    }

    /// Makes an account, and logs in if so wished.
    pub async fn register(&self, wish: Registration) -> Result<(OwnedUserId, Option<Login>)> {
        let made_up = || tokens::new_device_id().to_lowercase();
        let localpart = wish.localpart.clone().unwrap_or_else(made_up);
        // Before the slow hash; the work asks again.
        let user_id = self.check_available(&localpart).await?;
        if let Some(token) = &wish.registration_token
            && !self.check_registration_token(token).await?
        {
            return Err(Refusal::RegistrationToken.into());
        }
        let password_hash = match &wish.password {
            Some(password) => Some(self.new_password_hash(password).await?),
            None => None,
        };
        let prepared = wish.login.as_ref().map(|wish| self.prepare_login(wish)).transpose()?;
        let (login, tokens) = prepared.unzip();
        let device_id = login.as_ref().map(|login| login.device_id.clone());
        let work = Register {
            user_id: user_id.clone(),
            password_hash,
            is_admin: wish.is_admin,
            registration_token: wish.registration_token,
            login,
            now: self.0.clock.now(),
        };
        let user = self.0.db.write(work).await??;
        let login = device_id.zip(tokens).map(|(device_id, tokens)| Login {
            session: crate::Session {
                user,
                user_id: user_id.clone(),
                device_id: device_id.into(),
                is_admin: wish.is_admin,
            },
            tokens,
        });
        Ok((user_id, login))
    }

    async fn new_password_hash(&self, password: &str) -> Result<String> {
        rules::check_password(password, self.0.settings.password_chars_min)?;
        self.0.passwords.hash(password).await
    }

    /// The number behind a name that was typed in, short or whole; `None` where there is no account.
    pub async fn find_typed(&self, name: &str) -> Result<Option<UserNid>> {
        let Some(user_id) = rules::typed_user_id(name, self.server_name()) else { return Ok(None) };
        let account = self.0.db.read(FindAccount(user_id)).await?;
        Ok(account.map(|account| account.user))
    }

    /// Whose name and password these are. `name` may be short or whole.
    pub async fn check_password(
        &self,
        name: &str,
        password: &str,
    ) -> Result<(UserNid, OwnedUserId)> {
        let user_id = rules::typed_user_id(name, self.server_name());
        let account = match &user_id {
            Some(user_id) => self.0.db.read(FindAccount(user_id.clone())).await?,
            None => None,
        };
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let fits = self.0.passwords.verify(password, hash).await?;
        match (account, user_id) {
            (Some(account), _) if account.deactivated.is_some() => Err(Refusal::Deactivated.into()),
            (Some(account), Some(user_id)) if fits => Ok((account.user, user_id)),
            _ => Err(Refusal::WrongPassword.into()),
        }
    }

    /// Sets the user's password. `log_out_but`: ends the logins on all devices but this one.
    pub async fn set_password(
        &self,
        user: UserNid,
        password: &str,
        log_out_but: Option<Option<String>>,
    ) -> Result<()> {
        let password_hash = self.new_password_hash(password).await?;
        let watch = self.0.watch.clone();
        let log_out = log_out_but.is_some();
        let but = log_out_but.flatten();
        self.0.db.write(SetPassword { user, password_hash, log_out, but, watch }).await??;
        Ok(())
    }

    /// Closes an account for good; its name stays taken. `erase`: deletes profile and account data
    /// as well. Rooms are left by whoever calls this.
    pub async fn deactivate(&self, user: UserNid, erase: bool) -> Result<()> {
        let (watch, now) = (self.0.watch.clone(), self.0.clock.now());
        self.0.db.write(Deactivate { user, erase, now, watch }).await??;
        Ok(())
    }

    /// The account behind an id of this server.
    pub async fn account(&self, user_id: &UserId) -> Result<UserNid> {
        let account = self.0.db.read(FindAccount(user_id.to_owned())).await?;
        let account = account.ok_or(Refusal::NoSuchUser)?;
        if account.deactivated.is_some() {
            return Err(Refusal::Deactivated.into());
        }
        Ok(account.user)
    }

    /// Accounts with numbers above `after`, at most `limit`.
    pub async fn list(&self, after: UserNid, limit: u32) -> Result<Vec<AccountInfo>> {
        Ok(self.0.db.read(ListAccounts { after, limit: limit.into() }).await?)
    }

    /// How many accounts there are, counted no further than to `limit`.
    pub async fn count_up_to(&self, limit: u64) -> Result<u64> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let count = self.0.db.read(CountAccounts(limit)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Makes a registration token. Its text has up to 64 of the characters `A-Za-z0-9._~-`.
    pub async fn add_registration_token(&self, token: RegistrationToken) -> Result<()> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        if !(1..=64).contains(&token.token.len()) || !token.token.bytes().all(allowed) {
            let rule = "a registration token has 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -";
            return Err(Refusal::InvalidValue(rule).into());
        }
        let now = self.0.clock.now();
        Ok(self.0.db.write(AddToken { token, now }).await??)
    }

    /// Would this token let somebody register now?
    pub async fn check_registration_token(&self, token: &str) -> Result<bool> {
        let (token, now) = (token.to_owned(), self.0.clock.now());
        Ok(self.0.db.read(CheckToken { token, now }).await?)
    }

    /// What a wish for a device says must be sensible.
    pub(crate) fn check_device_wish(wish: &DeviceWish) -> Result<(), AccountError> {
        let bytes_max = haechi_base::limits::IDENTIFIER_BYTES_MAX;
        let id = wish.device_id.as_ref().map(|id| id.as_str().len());
        if id.is_some_and(|len| !(1..=bytes_max).contains(&len)) {
            return Err(Refusal::InvalidDeviceId(bytes_max).into());
        }
        let name = wish.display_name.as_ref().map_or(0, String::len);
        if name > limits::DEVICE_NAME_BYTES_MAX {
            return Err(Refusal::InvalidValue("the name of the device is too long").into());
        }
        Ok(())
    }
}
