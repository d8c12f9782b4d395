//! Cookies as operators give them, and a server's answer to one.

use std::{
    convert::Infallible,
    io::{self, IsTerminal as _, Read as _},
    sync::{Arc, Mutex, PoisonError},
};

use http::{Method, Request, Response, header};
use silverback::{Session, SessionConfig, SessionLayer};
use tower::{Layer as _, ServiceExt as _, service_fn};
use zeroize::Zeroizing;

use crate::{failure::Failure, terminal};

/// The longest input that is searched for a cookie.
const LONGEST: u64 = 64 << 10;

/// Extracts a cookie's value from the argument: the value itself, `name=value`, a whole header, or
/// stdin. Of several cookies, it is the one with one of the names, or else the first that `is_it`.
pub(crate) fn given(
    argument: &str,
    names: &[String],
    is_it: impl Fn(&str) -> bool,
) -> Result<Zeroizing<String>, Failure> {
    let text = match argument {
        "-" => from_stdin()?,
        _ => Zeroizing::new(argument.to_owned()),
    };
    let value = value_in(text.trim(), names, is_it);
    if value.is_empty() {
        let names = names.join(" or ");
        return Err(Failure::Refused(format!(
            "there is no cookie {names} in what was given"
        )));
    }
    Ok(Zeroizing::new(value.to_owned()))
}

fn from_stdin() -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return terminal::secret("Paste the cookie, and press Enter. It is not shown.");
    }
    let mut text = Zeroizing::new(String::new());
    let read = stdin.lock().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::failed("stdin", &error))?;
    Ok(text)
}

/// The value of the session's cookie, or of another if it is the only one.
fn value_in<'a>(text: &'a str, names: &[String], is_it: impl Fn(&str) -> bool) -> &'a str {
    let headers = ["cookie:", "set-cookie:"];
    let header = |prefix: &&str| {
        let head = text.get(..prefix.len())?;
        let rest = text.get(prefix.len()..)?;
        head.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    let text = headers.iter().find_map(header).unwrap_or(text);
    let mut pairs = text.split(';').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        (name.trim(), value.trim().trim_matches('"'))
    });
    let is_ours = |(name, _): &(&str, &str)| names.iter().any(|known| known == name);
    let ours = pairs.clone().find(is_ours);
    let ours = ours.or_else(|| match text.contains(';') {
        true => pairs.find(|(_, value)| is_it(value)),
        false => pairs.next(),
    });
    ours.map_or("", |(_, value)| value)
}

/// Has a server of this session serve one request with the cookie, and returns the handler's
/// result. This does not count as use: no timeout restarts, and nothing is written to a store.
pub(crate) async fn ask<T: Send + 'static>(
    config: SessionConfig,
    names: &[String],
    cookie: &str,
    handler: impl FnOnce(Session) -> T + Send + 'static,
) -> Result<Result<T, silverback::Error>, Failure> {
    let layer = SessionLayer::try_new(config)?;
    let (answer, handler) = (
        Arc::new(Mutex::new(None)),
        Arc::new(Mutex::new(Some(handler))),
    );
    let answered = Arc::clone(&answer);
    let service = service_fn(move |request: Request<()>| {
        let (answer, handler) = (Arc::clone(&answer), Arc::clone(&handler));
        async move {
            let session = request.extensions().get::<Session>().cloned();
            let handler = handler
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let (Some(session), Some(handler)) = (session, handler) {
                let loaded = session.load().await;
                session.skip_touch();
                let answered = loaded.map(|()| handler(session));
                *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answered);
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    // The server knows which of its names the cookie has. For a POST it reads the store's current
    // state.
    let pairs: Vec<_> = names
        .iter()
        .map(|name| format!("{name}={cookie}"))
        .collect();
    let request = Request::builder()
        .method(Method::POST)
        .header(header::COOKIE, pairs.join("; "))
        .body(())
        .map_err(|error| Failure::refused("the cookie", &error))?;
    let Ok(_) = layer.layer(service).oneshot(request).await;
    let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
    answered
        .take()
        .ok_or_else(|| Failure::Failed("the request was not answered".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_extracted_from_what_browsers_show() {
        let names = ["__Host-s".to_owned(), "s".to_owned()];
        for (text, value) in [
            ("abc", "abc"),
            ("s=abc", "abc"),
            ("__Host-s=abc", "abc"),
            ("other=abc", "abc"),
            ("Cookie: a=1; __Host-s=abc; b=2", "abc"),
            ("cookie: s=\"abc\"", "abc"),
            ("Set-Cookie: s=abc; Path=/; HttpOnly", "abc"),
            ("a=1; b=2", ""),
            ("", ""),
            ("\u{e4}\u{e4}\u{e4}\u{e4}", "\u{e4}\u{e4}\u{e4}\u{e4}"),
        ] {
            assert_eq!(value_in(text, &names, |_| false), value, "{text}");
        }
        let is_it = |value: &str| value == "abc";
        assert_eq!(value_in("Cookie: x=1; y=abc", &names, is_it), "abc");
        assert_eq!(value_in("Cookie: y=abc; s=1", &names, is_it), "1");
    }
}
