//! How the pages look: on a phone and on a desktop, in light and in dark.

use example_kit::axe;

use crate::browser::{Desk, Visitor};

/// The longest name that the shop accepts.
const NAME: &str = "Wolfeschlegelsteinhausenbergerdorffwelch";

/// Visits every page in each of its states, and calls `look` there.
async fn tour(visitor: &Visitor<'_>, mut look: impl AsyncFnMut(&str)) {
    for path in ["/", "/cart", "/login", "/goodbye", "/account"] {
        visitor.visit(path).await;
        look(path).await;
    }
    visitor.visit("/login").await;
    visitor.fill_in(NAME).await;
    look("/account after the login").await;
    visitor.visit("/").await;
    visitor.browser.follow("#blanket .button").await;
    look("/ with a message").await;
    visitor.visit("/cart").await;
    look("/cart with a blanket").await;
    visitor.visit("/account").await;
    visitor.browser.follow("#log-out").await;
}

#[tokio::test]
async fn no_page_is_wider_than_a_phone() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    visitor.browser.be_a_phone().await;
    tour(&visitor, async |page| {
        visitor.browser.assert_fits_a_phone(page).await
    })
    .await;
}

#[tokio::test]
async fn axe_finds_nothing() {
    let Some(axe) = axe() else { return };
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    visitor.browser.be_a_phone().await;
    tour(&visitor, async |page| {
        visitor.browser.assert_accessible(&axe, page).await
    })
    .await;
    visitor.browser.be_a_desktop().await;
    tour(&visitor, async |page| {
        visitor.browser.assert_accessible(&axe, page).await
    })
    .await;
}
