//! Keys change while the site runs.

use silverback::{Key, KeyState, Keys, Rejection, Session, SessionConfig, SessionLayer};

use crate::support::{HOUR, Jar, Kind, Site, no_cookie, one_more, set_cookie};

#[tokio::test]
async fn a_rotation_reissues_the_cookie() {
    for kind in Kind::SIMPLE {
        let keys = Keys::generate().unwrap();
        let site = kind.with_keys(keys.clone());
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.insert("user", 7).unwrap())
            .await;
        let old = jar.clone();
        let retired = keys.list()[0].0;
        keys.rotate(Key::generate().unwrap()).unwrap();

        let (_, response) = site.visit(jar, async |_| ()).await;
        assert!(
            no_cookie(&response),
            "an untouched request costs nothing even then"
        );
        let user = async |session: Session| session.get("user").unwrap();
        let (mut seen, mut response) = site.visit(jar, user).await;
        if kind.is_cookie() {
            // A late response would replace a newer state with an old one.
            assert!(no_cookie(&response), "not before half of its idle timeout");
            site.clock.advance(12 * HOUR);
            (seen, response) = site.visit(jar, user).await;
        }
        assert_eq!(seen, Some(7));
        set_cookie(&response);
        let (user, response) = site
            .visit(jar, async |session| session.get("user").unwrap())
            .await;
        assert_eq!(user, Some(7));
        assert!(no_cookie(&response), "once is enough");

        keys.revoke(retired).unwrap();
        let (reason, _) = site
            .visit(&mut old.clone(), async |session| session.rejection())
            .await;
        assert_eq!(reason, Some(Rejection::UnknownKey));
        let (user, _) = site
            .visit(jar, async |session| session.get("user").unwrap())
            .await;
        assert_eq!(user, Some(7));
    }
}

#[tokio::test]
async fn cookies_of_a_stolen_key_are_refused_at_once() {
    for kind in Kind::SIMPLE {
        let keys = Keys::generate().unwrap();
        let site = kind.with_keys(keys.clone());
        let (jar, untouched) = (&mut Jar::default(), &mut Jar::default());
        site.put(jar, "user", 7).await;
        site.put(untouched, "user", 7).await;
        keys.rotate(Key::generate().unwrap()).unwrap();
        site.put(jar, "user", 8).await;
        site.put(jar, "user", 7).await;
        // A cookie that refers to a record is reissued on use.
        assert_eq!(site.get(jar, "user").await, Some(7));
        keys.rotate_and_revoke(Key::generate().unwrap()).unwrap();
        let why = site.rejection(jar).await;
        assert_eq!(why, Some(Rejection::UnknownKey), "{kind:?}");
        assert_eq!(
            site.get(untouched, "user").await,
            Some(7),
            "the key is only retired"
        );
    }
}

#[tokio::test]
async fn machines_rotate_one_by_one() {
    let (first, next) = (Key::generate().unwrap(), Key::generate().unwrap());
    let (here, there) = (Keys::new(first.clone()), Keys::new(first));
    let sites = [&here, &there].map(|keys| Kind::Cookie.with_keys(keys.clone()));
    here.add(next.clone(), KeyState::Pending).unwrap();
    there.add(next.clone(), KeyState::Pending).unwrap();
    let jar = &mut Jar::default();
    for round in 1..=6_u32 {
        match round {
            3 => here.rotate(next.clone()).unwrap(),
            5 => there.rotate(next.clone()).unwrap(),
            _ => {}
        }
        for site in &sites {
            let (n, _) = site
                .visit(jar, async |session| session.update("n", one_more).unwrap())
                .await;
            assert!(n == round * 2 || n == round * 2 - 1, "round {round}: {n}");
        }
    }
}

#[tokio::test]
async fn a_machine_that_is_behind_leaves_cookies_of_the_newer_key_alone() {
    for kind in [Kind::Memory, Kind::Remote] {
        let (first, next) = (Key::generate().unwrap(), Key::generate().unwrap());
        let rings = [Keys::new(first.clone()), Keys::new(first)];
        for ring in &rings {
            ring.add(next.clone(), KeyState::Pending).unwrap();
        }
        let ahead = kind.with_keys(rings[0].clone());
        let behind = ahead.beside(rings[1].clone());
        rings[0].rotate(next.clone()).unwrap();
        let jar = &mut Jar::default();
        ahead.put(jar, "user", 7).await;
        let user = async |session: Session| {
            session.load().await.unwrap();
            session.get("user").unwrap()
        };
        for site in [&behind, &ahead, &behind] {
            let (seen, response) = site.visit(jar, user).await;
            assert_eq!(seen, Some(7));
            assert!(no_cookie(&response), "{kind:?}: it has the newest key");
        }
        rings[1].rotate(next).unwrap();
        let (seen, response) = behind.visit(jar, user).await;
        assert_eq!(seen, Some(7));
        assert!(no_cookie(&response), "{kind:?}");
    }
}

#[tokio::test]
async fn keys_read_anew_replace_the_old_ones() {
    let keys = Keys::generate().unwrap();
    let site = Kind::Cookie.with_keys(keys.clone());
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    keys.replace(&Keys::generate().unwrap());
    let (reason, _) = site.visit(jar, async |session| session.rejection()).await;
    assert_eq!(reason, Some(Rejection::UnknownKey));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_loses_no_session() {
    let keys = Keys::generate().unwrap();
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys.clone()));
    let visitors = (0..4).map(|_| {
        let layer = layer.clone();
        tokio::spawn(async move {
            let site = Site::of(layer);
            let jar = &mut Jar::default();
            for n in 1..=500_u32 {
                let count =
                    |session: silverback::Session| async move { session.update("n", one_more) };
                assert_eq!(site.visit(jar, count).await.0.unwrap(), n);
            }
        })
    });
    let visitors: Vec<_> = visitors.collect();
    for _ in 0..50 {
        keys.rotate(Key::generate().unwrap()).unwrap();
        tokio::task::yield_now().await;
    }
    for visitor in visitors {
        visitor.await.unwrap();
    }
}
