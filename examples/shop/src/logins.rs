//! Lists the visitor's logins, and ends those in other browsers.

use axum::{extract::Path, response::Redirect};
use maud::{Markup, html};
use silverback::{Clock, Error, Session, Sessions, SubjectSession, Timestamp, store::RecordKey};

use crate::{
    shop::{Account, Basket},
    words,
};

/// Ends another session of the visitor. The ID comes from a form, so it may be anything;
/// `destroy_other` leaves other visitors' sessions alone.
///
/// The other browser's cart is a separate session, and stays.
pub(crate) async fn end(Path(id): Path<String>, account: Session) -> Result<Redirect, Error> {
    if account.subject()?.is_none() {
        return Ok(Redirect::to("/login"));
    }
    let sessions = account.subject_sessions().await?;
    let id = id.parse::<RecordKey>().ok();
    let other = id.and_then(|id| sessions.iter().find(|session| session.record_key() == id));
    match other {
        Some(other) if account.destroy_other(&other.record_key()).await? => {
            account.flash(format!("Logged out in {}.", device(other)))?;
        }
        _ => account.flash("You are not logged in there any more.")?,
    }
    Ok(Redirect::to("/account"))
}

/// Ends all other sessions of the visitor. This browser's login gets a new ID, since a copy of its
/// cookie may be in another browser. Of two clicks one renews, and the other must write nothing, or
/// it would get a new session with only that. So the message goes into the cart's session.
pub(crate) async fn end_others(sessions: Sessions) -> Result<Redirect, Error> {
    let (account, cart) = (sessions.get(Account).await?, sessions.get(Basket).await?);
    if account.subject()?.is_none() {
        return Ok(Redirect::to("/login"));
    }
    account.renew();
    let message = match account.destroy_others().await? {
        0 => "You were logged in nowhere else.".to_owned(),
        1 => "Logged out in one other place.".to_owned(),
        count => format!("Logged out in {count} other places."),
    };
    cart.flash(message)?;
    Ok(Redirect::to("/account"))
}

/// Renders the logins on the account page. Empty for visitors who are not logged in.
pub(crate) async fn panel(account: &Session) -> Result<Markup, Error> {
    let sessions = account.subject_sessions().await?;
    let now = Clock::system().now();
    Ok(html! {
        @if !sessions.is_empty() {
            section.panel aria-labelledby="logins" {
                .heading #logins-heading {
                    div {
                        h2 #logins { "Where you are logged in" }
                        p { "The last use is noted once an hour. Carts stay where they are." }
                    }
                    @if sessions.iter().any(|session| !session.is_current()) {
                        form method="post" action="/account/sessions/end-others" {
                            button.button.quiet #end-others { "Log out everywhere else" }
                        }
                    }
                }
                ul.logins role="list" {
                    @for session in &sessions { (item(session, now)) }
                }
            }
        }
    })
}

fn item(session: &SubjectSession, now: Timestamp) -> Markup {
    let (id, device) = (session.record_key(), device(session));
    let since = words::ago(now.saturating_since(session.since()));
    let used = words::ago(now.saturating_since(session.last_used()));
    html! {
        li {
            div {
                h3 { (device) }
                p id={ "use-" (id) } { "Logged in " (since) ", last used " (used) }
            }
            @if session.is_current() {
                span.pill.active { "this browser" }
            } @else {
                form method="post" action={ "/account/sessions/" (id) "/end" } {
                    button.button.quiet aria-label={ "Log out: " (device) }
                        aria-describedby={ "use-" (id) } { "Log out" }
                }
            }
        }
    }
}

/// The note is only in the list. If the server loses the list, the session returns to it without
/// one.
fn device(session: &SubjectSession) -> &str {
    if session.note().is_empty() {
        words::UNKNOWN
    } else {
        session.note()
    }
}
