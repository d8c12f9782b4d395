//! The pages. Text from users is always a value in `html!`, which escapes it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use silverback::{KeyId, KeyState, SubjectSession, Timestamp, store::RecordKey};

use crate::refusals::Refusals;

const STYLE: &str = include_str!("style.css");

/// No script runs here, and no other page may show this one in a frame.
const HEADERS: [(&str, &str); 2] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    ("referrer-policy", "same-origin"),
];

pub(crate) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        (HEADERS, self.0).into_response()
    }
}

pub(crate) fn login(path: &str, why: Option<&str>) -> Page {
    let content = html! {
        section.panel.narrow {
            h1 { "Log in" }
            @if let Some(why) = why { p.notice role="alert" { (why) } }
            form method="post" action={ (path) "/login" } {
                label {
                    "Password"
                    input type="password" name="password" required autofocus
                        autocomplete="current-password";
                }
                button.button.wide { "Log in" }
            }
        }
    };
    layout("Log in", path, None, &content)
}

/// The content of the page.
pub(crate) struct Shown<'a> {
    pub(crate) path: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) messages: Vec<String>,
    /// The user in the search field, and the user's sessions.
    pub(crate) found: Option<(&'a str, Vec<SubjectSession>)>,
    /// The visitor's own sessions.
    pub(crate) own: Vec<RecordKey>,
    pub(crate) keys: Vec<(KeyId, KeyState)>,
    pub(crate) refusals: &'a Refusals,
    pub(crate) now: Timestamp,
}

pub(crate) fn desk(shown: &Shown<'_>) -> Page {
    let user = shown.found.as_ref().map_or("", |(user, _)| user);
    let content = html! {
        @for message in &shown.messages { p.notice role="status" { (message) } }
        section.panel aria-labelledby="sessions" {
            .heading {
                h1 #sessions { "Sessions" }
                form.search method="get" action=(shown.path) role="search" {
                    input type="search" name="user" value=(user) required aria-label="User"
                        placeholder="User" autofocus[user.is_empty()];
                    button.button { "Show" }
                }
            }
            @match &shown.found {
                None => p { "Ask for a user to see where they are logged in." },
                Some((user, sessions)) if sessions.is_empty() => {
                    p { strong { (user) } " is logged in nowhere." }
                }
                Some((user, sessions)) => (listed(shown, user, sessions)),
            }
        }
        .columns {
            (refusals(shown.refusals))
            (keys(&shown.keys))
        }
    };
    layout("Sessions", shown.path, Some(shown.csrf), &content)
}

fn listed(shown: &Shown<'_>, user: &str, sessions: &[SubjectSession]) -> Markup {
    let count = match sessions.len() {
        1 => "one session".to_owned(),
        count => format!("{count} sessions"),
    };
    html! {
        .heading.of-user {
            p { strong #user { (user) } " has " (count) "." }
            details #end-all {
                summary.button.quiet { "End all" }
                form method="post" action={ (shown.path) "/end-all" } {
                    (token(shown.csrf))
                    input type="hidden" name="user" value=(user);
                    p { (user) " is logged out everywhere, and may log in again." }
                    button.button.danger { "End " (count) }
                }
            }
        }
        ul.sessions role="list" {
            @for session in sessions { (item(shown, user, session)) }
        }
    }
}

fn item(shown: &Shown<'_>, user: &str, session: &SubjectSession) -> Markup {
    let key = session.record_key().to_string();
    let device = match session.note() {
        "" => "an unknown device",
        note => note,
    };
    html! {
        li {
            div {
                h2 {
                    (device)
                    @if shown.own.contains(&session.record_key()) {
                        " " span.pill { "this browser" }
                    }
                }
                p id={ "use-" (key) } {
                    "Last used " (ago(shown.now, session.last_used()))
                    ", logged in " (ago(shown.now, session.since()))
                    ", made " (ago(shown.now, session.created_at()))
                }
                p { "Record " code title=(key) { (format!("{key:.12}")) "…" } }
            }
            form method="post" action={ (shown.path) "/end" } {
                (token(shown.csrf))
                input type="hidden" name="user" value=(user);
                input type="hidden" name="session" value=(key);
                button.button.quiet aria-label={ "End: " (device) }
                    aria-describedby={ "use-" (key) } { "End" }
            }
        }
    }
}

/// The time itself is in the tooltip.
fn ago(now: Timestamp, time: Timestamp) -> Markup {
    let words = words(now.saturating_since(time));
    let time = time.to_string();
    html! { time datetime=(time) title=(time) { (words) } }
}

fn words(passed: Duration) -> String {
    let minutes = passed.as_secs() / 60;
    let (count, unit) = match minutes {
        0 => return "just now".into(),
        1..60 => (minutes, "minute"),
        60..1_440 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

fn refusals(refusals: &Refusals) -> Markup {
    let (list, per_minute) = (refusals.list(), refusals.per_minute());
    let total: u64 = per_minute.iter().sum();
    html! {
        section.panel aria-labelledby="refusals" {
            h2 #refusals { "Refused cookies" }
            p { strong #refused { (total) } " in the last hour" }
            (bars(&per_minute))
            @if !list.is_empty() {
                table {
                    thead { tr { th { "Reason" } th { "Session" } th.number { "Cookies" } } }
                    tbody {
                        @for refused in &list {
                            tr {
                                td { code { (refused.reason) } p { (meaning(&refused.reason)) } }
                                td { (refused.session) }
                                td.number { (refused.count) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Draws a bar for each minute. The highest fills the height.
fn bars(per_minute: &[u64]) -> Markup {
    const HEIGHT: u64 = 40;
    let most = per_minute.iter().copied().max().unwrap_or_default();
    let label = format!("Refused cookies of each minute of the last hour, {most} at most");
    let width = 4 * per_minute.len();
    html! {
        svg.bars role="img" aria-label=(label) viewBox={ "0 0 " (width) " " (HEIGHT) }
            preserveAspectRatio="none" {
            @for (place, count) in per_minute.iter().enumerate() {
                // Even the smallest count is visible.
                @let height = match count {
                    0 => 1,
                    count => (HEIGHT * count / most.max(1)).max(3),
                };
                rect.(if *count == 0 { "none" } else { "some" }) x=(4 * place) width="3"
                    y=(HEIGHT - height) height=(height) {}
            }
        }
    }
}

/// Returns the likely causes, as in the guide to logs.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "expired" | "not_found" | "renewed" | "ended" => "everyday",
        "revoked" => "used after a logout",
        "unknown_key" => "a key removed too early, or an attack",
        "tampered" | "malformed" => "an attack, or another program's cookie",
        "not_yet_valid" => "a server whose clock is ahead",
        "ambiguous" => "two cookies of one name",
        "corrupt" => "a damaged store",
        _ => "",
    }
}

fn keys(keys: &[(KeyId, KeyState)]) -> Markup {
    html! {
        section.panel aria-labelledby="keys" {
            h2 #keys { "Keys" }
            p { "Ids and states. Keys are in no page." }
            ul.keys role="list" {
                @for (id, state) in keys {
                    @let state = word(*state);
                    li { code { (id) } span.pill.(state) { (state) } }
                }
            }
        }
    }
}

const fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Pending => "pending",
        KeyState::Retired => "retiring",
        _ => "revoked",
    }
}

fn token(csrf: &str) -> Markup {
    html! { input type="hidden" name="csrf" value=(csrf); }
}

fn layout(title: &str, path: &str, csrf: Option<&str>, content: &Markup) -> Page {
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Administration" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href=(path) { "Administration" }
                    @if let Some(csrf) = csrf {
                        form method="post" action={ (path) "/logout" } {
                            (token(csrf))
                            button.button.quiet #log-out { "Log out" }
                        }
                    }
                }
                main { (content) }
            }
        }
    })
}
