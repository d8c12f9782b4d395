//! Whether a cookie is to be sent again.

use super::*;
use crate::{cookie::CookieAttributes, state::Provenance};

#[test]
fn a_cookie_tells_whether_it_is_outdated() {
    let config = SessionConfig::new("sid", MemoryStore::new(), Keys::generate().unwrap());
    let settings = config
        .attributes(|cookie| cookie.path("/shop"))
        .build()
        .unwrap();
    let other = Settings::tag_of("another");
    let own = CookieAttributes::default().path("/own");
    let own_tag = Settings::tag_of(&own.render());
    //   of an older key, the cookie's tag, has own attributes, is outdated
    #[rustfmt::skip]
    let rows = [
        (false, Some(settings.tag), false, false),
        (true,  Some(settings.tag), false, true),
        (false, Some(other),        false, true),
        (false, None,               false, false),
        (true,  None,               false, true),
        (false, Some(own_tag),      true,  false),
        (false, Some(settings.tag), true,  true),
    ];
    for (is_outdated, tag, has_own, expected) in rows {
        let provenance = Provenance {
            is_outdated,
            tag,
            ..Provenance::default()
        };
        let mut view = View::new(NOW, None);
        view.content.attributes = has_own.then(|| Box::new(own.clone()));
        let found = provenance.beside(&view, &settings);
        assert_eq!(found.is_outdated, expected, "{is_outdated} {tag:?}");
    }
}
