//! The session as the application configures it.

use silverback::{
    Key, Keys, MemoryStore, SessionConfig, SessionSettings,
    store::{CookieStore, DynStore},
};

use crate::{
    args::{Common, Kept},
    dsn::Dsn,
    failure::Failure,
    keyring, settings,
    stores::Opened,
};

/// The application, according to the options.
pub(crate) struct Site {
    pub(crate) config: SessionConfig,
    pub(crate) name: String,
    /// The cookie's names: the configured one or the two default ones, and former ones.
    pub(crate) cookie_names: Vec<String>,
    pub(crate) has_keys: bool,
}

impl Site {
    /// For commands that need the keys.
    pub(crate) fn with_keys(common: &Common, store: Option<&Opened>) -> Result<Self, Failure> {
        let site = Self::new(common, store)?;
        if site.has_keys {
            return Ok(site);
        }
        let how = "give the file by --key-file, or the keys in the environment as SESSION_KEY";
        Err(Failure::Refused(format!("this needs the keys: {how}")))
    }

    /// For commands that also work without the keys.
    pub(crate) fn new(common: &Common, store: Option<&Opened>) -> Result<Self, Failure> {
        let settings = read_settings(common)?;
        let name = name(common);
        let keys = keyring::read(common)?;
        let has_keys = keys.is_some();
        // Nothing is opened with these keys.
        let keys = keys.map_or_else(Keys::generate, Ok)?;
        let cookie_names = cookie_names(&name, &settings);
        let config = configure(common, store.map(Opened::shared), &name, keys)?;
        Ok(Self {
            config: config.settings(settings),
            name,
            cookie_names,
            has_keys,
        })
    }
}

pub(crate) fn read_settings(common: &Common) -> Result<SessionSettings, Failure> {
    match &common.settings {
        Some(path) => settings::read(path, common.section.as_deref()),
        None => Ok(SessionSettings::default()),
    }
}

/// The names that the session's cookie has or had.
pub(crate) fn cookie_names(name: &str, settings: &SessionSettings) -> Vec<String> {
    let mut names = match &settings.cookie_name {
        Some(cookie) => vec![cookie.clone()],
        None => vec![format!("__Host-{name}"), name.to_owned()],
    };
    let former = settings.former_cookie.iter();
    names.extend(former.map(|(name, _)| name.clone()));
    names
}

/// The session's name in the application.
pub(crate) fn name(common: &Common) -> String {
    let of_table = || {
        common
            .section
            .as_ref()?
            .rsplit('.')
            .next()
            .map(str::to_owned)
    };
    let name = common.name.clone().or_else(of_table);
    let name = name.filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "session".to_owned())
}

fn configure(
    common: &Common,
    store: Option<DynStore>,
    name: &str,
    keys: Keys,
) -> Result<SessionConfig, Failure> {
    let in_cookie = common.kept_in != Kept::Store || common.overflow || common.revocation;
    let config = if in_cookie {
        let mut cookies = CookieStore::new();
        if common.kept_in == Kept::SignedCookie {
            cookies = cookies.signed();
        }
        if (common.overflow || common.revocation) && store.is_none() {
            return Err(Failure::Refused(
                "--overflow and --revocation need --store".to_owned(),
            ));
        }
        if let Some(store) = store.as_ref().filter(|_| common.overflow) {
            cookies = cookies.overflow(store.clone());
        }
        if let Some(store) = store.as_ref().filter(|_| common.revocation) {
            cookies = cookies.revocation(store.clone());
        }
        SessionConfig::new(name, cookies, keys)
    } else {
        match store {
            Some(store) => SessionConfig::new(name, store, keys),
            None => SessionConfig::new(name, MemoryStore::new(), keys),
        }
    };
    // An operator may look at stores that forget, whether the application allows them or not.
    let config = config.allow_forgetful_stores();
    let config = match &common.audience {
        Some(audience) => config.audience(audience),
        None => config,
    };
    Ok(match subject_key(common)? {
        Some(key) => config.subject_key(key),
        None => config,
    })
}

pub(crate) fn subject_key(common: &Common) -> Result<Option<Key>, Failure> {
    let Some(path) = &common.subject_key_file else {
        return Ok(None);
    };
    keyring::read_one(path).map(Some)
}

/// Opens the store of --store.
pub(crate) async fn store(common: &Common) -> Result<Opened, Failure> {
    match open(common).await? {
        Some(store) => Ok(store),
        None => Err(Failure::Refused(
            "name the store by --store or SILVERBACK_STORE".to_owned(),
        )),
    }
}

/// Opens the store of --store, if there is one.
pub(crate) async fn open(common: &Common) -> Result<Option<Opened>, Failure> {
    match &common.store {
        Some(dsn) => Opened::open(Dsn::parse(dsn)?).await.map(Some),
        None => Ok(None),
    }
}
