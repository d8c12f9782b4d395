//! Everything a user can see, one module per behaviour.

mod support;

mod concurrency;
mod configuration;
mod flash;
mod headers;
mod lifecycle;
mod lifetimes;
mod many_sessions;
mod outcomes;
mod presented_cookies;
mod rotation;
mod stores;
mod values;
