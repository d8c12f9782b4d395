//! How the pages look: on a phone and on a desktop, in light and in dark.

use std::{env, fs};

use serde_json::json;

use crate::{
    browser::{Desk, Visitor},
    skip,
};

/// The narrowest phone that is around, and the longest name that the shop takes.
const PHONE: u32 = 320;
const DESKTOP: u32 = 1_280;
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
    visitor.browser.look(PHONE, "light").await;
    tour(&visitor, async |page| {
        let script = "return document.documentElement.scrollWidth";
        let width = visitor.browser.script(script).await.as_u64().unwrap();
        assert!(width <= PHONE.into(), "{page}: {width} pixels");
    })
    .await;
}

/// axe-core knows a good half of the rules of WCAG that a program can know, contrast among them.
#[tokio::test]
async fn axe_finds_nothing() {
    let Some(axe) = env::var_os("AXE") else {
        skip("`AXE` does not say where axe-core is");
        return;
    };
    let axe = fs::read_to_string(axe).unwrap();
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    for (width, colours) in [(PHONE, "dark"), (DESKTOP, "light")] {
        visitor.browser.look(width, colours).await;
        tour(&visitor, async |page| {
            visitor.browser.script(&axe).await;
            // A message fades in, and what is half there has half of its contrast.
            let run = "document.getAnimations().forEach(one => one.pause());
                document.querySelectorAll('.toast').forEach(one => one.style.animation = 'none');
                return axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
                    `${id}: ${nodes.map(node => node.target.join(' ')).join(', ')}`))";
            let found = visitor.browser.script(run).await;
            assert_eq!(found, json!([]), "{page}, {width} pixels, {colours}");
        })
        .await;
    }
}
