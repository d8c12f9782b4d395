//! Cookies that users send in, and records that only their cookie can open.

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::json;
use silverback::{CookieStore, Keys, SessionConfig};

use crate::support::{At, KEY, TREASURE, World};

const ENCRYPTED: &str = "[sessions.account]\nencrypt_records = true\n";

#[tokio::test]
async fn an_encrypted_record_is_read_with_its_cookie_alone() {
    let mut world = World::with(At::Files, ENCRYPTED).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let other = world.log_in("ada", "phone").await;
    let (tool, key) = (&world.tool, ada.key.to_string());
    let blind = tool.run(&["inspect", &key, "--json"]).json(0);
    assert_eq!(
        (&blind["subject"], &blind["values"]),
        (&json!(null), &json!([]))
    );
    tool.run(&["inspect", &key]).says(0, "--cookie -");
    tool.run(&["inspect", &key, "--value", "cart"])
        .says(2, "--cookie -");
    let read = ["inspect", "--cookie", "-", "--json"];
    let shown = tool
        .run_with(&read, &format!("__Host-account={}", ada.cookie))
        .json(0);
    assert_eq!(
        (&shown["key"], &shown["subject"]),
        (&json!(key), &json!("ada"))
    );
    assert_eq!(
        (&shown["note"], &shown["values"][0]["name"]),
        (&json!("laptop"), &json!("cart"))
    );
    let value = ["inspect", "--cookie", "-", "--value", "cart"];
    let asked = tool.run_unchecked(&value, &ada.cookie);
    assert!(
        asked.code == 0 && asked.stdout.contains(TREASURE),
        "{asked:?}"
    );
    let mixed = ["inspect", &key, "--cookie", "-"];
    tool.run_with(&mixed, &other.cookie)
        .says(2, "another session");
    // Without the application's settings, the tool claims nothing that it cannot know.
    let mut blind = tool.clone();
    blind.without("SILVERBACK_SETTINGS");
    blind.run(&["inspect", &key]).says(3, "encrypt_records");
    blind.run(&["end", &key, "--yes"]).says(0, "ended");
    tool.run(&["explain", &ada.cookie]).says(4, "empty session");
    tool.run(&["end", &key, "--yes"])
        .says(1, "silverback end-user");
    tool.run(&["end", &other.key.to_string(), "--yes"])
        .says(0, "ended");
    tool.run_with(&read, &other.cookie)
        .says(3, "no such session");
}

#[tokio::test]
async fn a_session_in_its_cookie_is_explained_and_read() {
    let mut world = World::new(At::Files).await.unwrap();
    for (kept_in, cookies) in [
        ("cookie", CookieStore::new()),
        ("signed-cookie", CookieStore::new().signed()),
    ] {
        let keys = Keys::from_file(world.key_file()).unwrap();
        world.config = SessionConfig::new("account", cookies, keys)
            .idle_timeout(std::time::Duration::from_secs(1_800));
        let ada = world
            .visit(|session| session.insert("cart", TREASURE).unwrap())
            .await;
        let mut tool = world.tool.clone();
        tool.without("SILVERBACK_STORE");
        let told = tool
            .run(&["explain", &ada.cookie, "--kept-in", kept_in, "--json"])
            .json(0);
        assert_eq!(
            (&told["holds_values"], &told["asked_store"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(told["answer"], "opens the session", "{kept_in}");
        let read = ["inspect", "--cookie", "-", "--kept-in", kept_in];
        tool.run_with(&read, &ada.cookie).says(0, "cart");
        // Under another kind of settings, the cookie looks forged.
        let told = tool.run(&["explain", &ada.cookie]);
        told.says(4, "A server gives the handler an empty session");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_cookie_is_said_in_a_sentence() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(&ada.cookie).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = URL_SAFE_NO_PAD.encode_to_string(&bytes);
    *bytes.last_mut().unwrap() ^= 1;
    bytes[0] += 1;
    let later = URL_SAFE_NO_PAD.encode_to_string(&bytes);
    let long = "A".repeat(5_000);
    let tool = &world.tool;
    for (cookie, rejection, says) in [
        (&*forged, "tampered", "compare --settings"),
        ("gibberish", "malformed", "cut off"),
        ("with%20percent", "malformed", "percent sign"),
        ("account=a/b", "malformed", "characters outside base64url"),
        (&long, "malformed", "longer than a cookie"),
    ] {
        tool.run(&["explain", cookie]).says(4, says);
        let told = tool.run(&["explain", cookie, "--json"]).json(4);
        assert_eq!(told["rejection"], rejection, "{told}");
    }
    let told = tool.run(&["explain", &later, "--json"]).json(4);
    assert_eq!(
        (&told["status"], &told["rejection"]),
        (&json!(503), &json!(null)),
        "{told}"
    );
    let mut strange = tool.clone();
    strange.env("SILVERBACK_AUDIENCE", "another shop");
    strange.run(&["explain", &ada.cookie]).says(4, "--audience");
    tool.run(&["explain", "other=x; and=y"])
        .says(2, "no cookie __Host-account or account");
    let header = format!("Cookie: theme=dark; __Host-account={}", ada.cookie);
    tool.run_with(&["explain", "-"], &header)
        .says(0, "opens the session");
}

#[tokio::test]
async fn a_cookie_of_a_former_name_is_explained() {
    const RENAMED: &str = "[sessions.account]\ncookie_name = \"id\"\n\
        [[sessions.account.former_cookie]]\ncookie_name = \"__Host-account\"\n";
    let mut world = World::with(At::Files, RENAMED).await.unwrap();
    let keys = Keys::from_file(world.key_file()).unwrap();
    world.config = SessionConfig::new("account", world.store.clone(), keys)
        .idle_timeout(std::time::Duration::from_secs(1_800));
    let ada = world.log_in("ada", "laptop").await;
    let header = format!("Cookie: theme=dark; __Host-account={}", ada.cookie);
    world
        .tool
        .run_with(&["explain", "-"], &header)
        .says(0, "opens the session");
}

#[tokio::test]
async fn a_cookie_is_decoded_without_keys() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let tool = crate::support::Tool::default();
    tool.run(&["decode", &ada.cookie])
        .says(0, "signed, version 1");
    let header = format!("Cookie: theme=dark; __Host-account={}; n=1", ada.cookie);
    tool.run_with(&["decode", "-"], &header)
        .says(0, "signed, version 1");
    for args in [
        &["--name", "account"][..],
        &["--section", "sessions.account"],
    ] {
        tool.run_with(&[&["decode", "-"], args].concat(), &header)
            .says(0, "signed, version 1");
    }
    tool.run(&["decode", "gibberish"]).says(4, "no token");
    let told = tool.run(&["decode", "gibberish", "--json"]).json(4);
    assert_eq!(told, json!({ "kind": "none", "length": 9 }));
    tool.run(&["explain", &ada.cookie])
        .says(2, "needs the keys");
}

#[tokio::test]
async fn ends_of_sessions_in_cookies_are_in_the_store() {
    let mut world = World::new(At::Files).await.unwrap();
    let keys = Keys::from_file(world.key_file()).unwrap();
    let cookies = CookieStore::new().revocation(world.store.clone());
    world.config = SessionConfig::new("account", cookies, keys)
        .idle_timeout(std::time::Duration::from_secs(1_800));
    let ada = world.log_in("ada", "laptop").await;
    let tool = &world.tool;
    let with = |args: &[&str]| tool.run(&[args, &["--kept-in", "cookie", "--revocation"]].concat());
    assert_eq!(with(&["list", "--user", "ada", "--json"]).lines().len(), 1);
    with(&["explain", &ada.cookie]).says(0, "in the cookie");
    with(&["end", &ada.key.to_string(), "--yes"]).says(2, "in their cookie alone");
    let phone = world.log_in("ada", "phone").await;
    let tool = &world.tool;
    let with = |args: &[&str]| tool.run(&[args, &["--kept-in", "cookie", "--revocation"]].concat());
    let key = phone.key.to_string();
    with(&["end", &key[..12], "--user", "ada", "--yes"]).says(0, "ended");
    let told = with(&["explain", &phone.cookie, "--json"]).json(4);
    assert_eq!(told["rejection"], "ended");
    with(&["explain", &ada.cookie]).says(0, "in the cookie");
    let keep = &ada.key.to_string()[..12];
    with(&["end-user", "ada", "--keep", keep, "--yes"]).says(0, "ended 0 sessions");
    with(&["end-user", "ada", "--yes"]).says(0, "ended 1 session");
    let told = with(&["explain", &ada.cookie, "--json"]).json(4);
    assert_eq!(
        (&told["rejection"], &told["asked_store"]),
        (&json!("revoked"), &json!(true))
    );
}

#[tokio::test]
async fn a_session_that_has_outgrown_its_cookie_is_found() {
    let mut world = World::new(At::Files).await.unwrap();
    let keys = Keys::from_file(world.key_file()).unwrap();
    let cookies = CookieStore::new().overflow(world.store.clone());
    world.config = SessionConfig::new("account", cookies, keys)
        .idle_timeout(std::time::Duration::from_secs(1_800));
    let small = world.visit(|session| session.insert("n", 1).unwrap()).await;
    let large = world
        .visit(|session| session.insert("n", "x".repeat(5_000)).unwrap())
        .await;
    let tool = &world.tool;
    let with = |args: &[&str]| tool.run(&[args, &["--kept-in", "cookie", "--overflow"]].concat());
    with(&["explain", &small.cookie]).says(0, "in the cookie");
    let mut configured = tool.clone();
    configured.env("SILVERBACK_KEPT_IN", "cookie");
    configured.env("SILVERBACK_OVERFLOW", "true");
    configured
        .run(&["explain", &small.cookie])
        .says(0, "in the cookie");
    with(&["explain", &large.cookie]).says(0, "in the store");
    with(&["inspect", &large.key.to_string()]).says(0, "5002");
    with(&["end", &large.key.to_string(), "--yes"]).says(0, "ended");
    with(&["explain", &large.cookie]).says(4, "destroyed a moment ago");
}

#[tokio::test]
async fn keys_are_read_from_the_environment() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    for (variable, option) in [
        ("SESSION_KEY", &[][..]),
        ("OTHER_KEY", &["--key-env", "OTHER_KEY"]),
    ] {
        let mut tool = world.tool.clone();
        tool.without("SILVERBACK_KEY_FILE");
        tool.run(&["explain", &ada.cookie])
            .says(2, "needs the keys");
        tool.env(variable, KEY);
        tool.run(&[&["explain", &ada.cookie], option].concat())
            .says(0, "opens the session");
        tool.env(variable, "short");
        tool.run(&[&["explain", &ada.cookie], option].concat())
            .says(2, variable);
    }
}
