#![doc = include_str!("guide/links.md")]
#![doc = include_str!("../docs/guides/README.md")]

/// A page of `docs/guides`. In the repository its links lead to docs.rs, and here into this
/// documentation: of two definitions of a link, the first counts (CommonMark 0.31, section 4.7).
macro_rules! pages {
    ($($page:ident: $path:literal,)*) => {$(
        #[doc = include_str!("guide/links.md")]
        #[doc = include_str!($path)]
        pub mod $page {}
    )*};
}

pages! {
    actix_session: "../docs/guides/actix-session.md",
    axum_session: "../docs/guides/axum_session.md",
    csrf: "../docs/guides/csrf.md",
    drills: "../docs/guides/drills.md",
    events: "../docs/events.md",
    flash: "../docs/guides/flash.md",
    gorilla: "../docs/guides/gorilla.md",
    keys: "../docs/guides/keys.md",
    layers: "../docs/guides/layers.md",
    login: "../docs/guides/login.md",
    logs: "../docs/guides/logs.md",
    operations: "../docs/guides/operations.md",
    privacy: "../docs/guides/privacy.md",
    proxy: "../docs/guides/proxy.md",
    settings: "../docs/guides/settings.md",
    several: "../docs/guides/several.md",
    sizing: "../docs/guides/sizing.md",
    sso: "../docs/guides/sso.md",
    stores: "../docs/guides/stores.md",
    streams: "../docs/guides/streams.md",
    testing: "../docs/guides/testing.md",
    threats: "../docs/guides/threats.md",
    types: "../docs/guides/types.md",
}

// The programs on this page are tests of `stores/tower-sessions`, since they need its dependencies.
#[cfg(not(doctest))]
#[doc = include_str!("guide/links.md")]
#[doc = include_str!("../docs/guides/tower-sessions.md")]
pub mod tower_sessions {}
