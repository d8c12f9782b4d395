//! The heap allocations of sessions, above those of the bare service.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use silverback::{Keys, Session, SessionConfig, SessionLayer, store::MemoryStore};
use tower::{Layer, Service, service_fn};

/// Allocations of one call, for a request that already has extensions.
fn count<S>(service: &mut S, cookies: &[&str]) -> (u64, Response<()>)
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    let mut counts = (0..3).map(|_| {
        let mut request = Request::new(());
        request.extensions_mut().insert("as every real request has");
        for cookie in cookies {
            // A server's header values are slices of a shared buffer, so cloning one does not
            // allocate.
            let buffer = Bytes::copy_from_slice(cookie.as_bytes());
            let value = HeaderValue::from_maybe_shared(buffer.clone()).unwrap();
            request.headers_mut().append(header::COOKIE, value);
        }
        let mut output = None;
        let measured = allocation_counter::measure(|| {
            let mut future = std::pin::pin!(service.call(request));
            let waker = std::task::Waker::noop();
            if let std::task::Poll::Ready(Ok(response)) = future
                .as_mut()
                .poll(&mut std::task::Context::from_waker(waker))
            {
                output = Some(response);
            }
        });
        (measured.count_total, output.expect("nothing here waits"))
    });
    let first = counts.next().unwrap();
    counts.fold(
        first,
        |least, one| if one.0 < least.0 { one } else { least },
    )
}

fn layers() -> Vec<SessionLayer> {
    let keys = Keys::generate().unwrap();
    let cookie = |name: &str| SessionConfig::cookie(name, keys.clone());
    let memory = |name: &str| SessionConfig::new(name, MemoryStore::new(), keys.clone());
    vec![
        SessionLayer::new(cookie("s")),
        SessionLayer::new(memory("s")),
        SessionLayer::new(memory("s"))
            .with(cookie("b"))
            .with(memory("c"))
            .with(cookie("d")),
    ]
}

fn valid_cookie(layer: &SessionLayer) -> String {
    let mut write = layer.layer(service_fn(async |request: Request<()>| {
        request
            .extensions()
            .get::<Session>()
            .unwrap()
            .insert("user", "Ada")
            .unwrap();
        Ok::<_, Infallible>(Response::new(()))
    }));
    let (_, response) = count(&mut write, &[]);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn bare(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

#[test]
fn an_untouched_request_costs_two_allocations_and_no_header() {
    for layer in layers() {
        let valid = valid_cookie(&layer);
        let others = (0..100)
            .map(|n| format!("cookie{n}={}", "x".repeat(40)))
            .collect::<Vec<_>>()
            .join("; ");
        for cookies in [
            vec![],
            vec![&*valid],
            vec!["a=1", "b=2", "c=3", &valid],
            vec![&*others],
            vec!["s=rubbish"],
        ] {
            let (floor, _) = count(&mut service_fn(bare), &cookies);
            let (all, response) = count(&mut layer.layer(service_fn(bare)), &cookies);
            assert!(all - floor <= 2, "{} allocations in {layer:?}", all - floor);
            assert!(response.headers().is_empty());
        }
    }
}

/// If its store never waits, a session opens on first use, not when it is extracted.
#[cfg(feature = "axum")]
#[test]
fn an_extracted_but_unused_session_costs_no_more() {
    use axum::extract::FromRequestParts;
    use silverback::{Flashes, SessionName, SessionOf, Sessions};

    #[derive(Clone, Copy)]
    struct Named;
    impl SessionName for Named {
        const NAME: &'static str = "s";
    }

    for layer in layers() {
        let valid = valid_cookie(&layer);
        let mut service = layer.layer(service_fn(async |request: Request<()>| {
            let mut parts = request.into_parts().0;
            let parts = &mut parts;
            let session = Session::from_request_parts(parts, &()).await.unwrap();
            let of_name = SessionOf::<Named>::from_request_parts(parts, &()).await;
            let flashes = Flashes::<Named>::from_request_parts(parts, &()).await;
            let all = Sessions::from_request_parts(parts, &()).await.unwrap();
            let got = all.get(Named).await.unwrap();
            assert_eq!(session.name(), got.name());
            assert!(of_name.is_ok() && flashes.is_ok());
            Ok::<_, Infallible>(Response::new(()))
        }));
        for cookies in [vec![], vec![&*valid], vec!["s=rubbish"]] {
            let (floor, _) = count(&mut service_fn(bare), &cookies);
            let (all, response) = count(&mut service, &cookies);
            assert!(all - floor <= 2, "{} allocations in {layer:?}", all - floor);
            assert!(response.headers().is_empty());
        }
    }
}

#[test]
fn a_request_that_reads_costs_few_more() {
    for layer in layers() {
        let valid = valid_cookie(&layer);
        let mut read = layer.layer(service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            assert!(session.contains_key("user").unwrap());
            Ok::<_, Infallible>(Response::new(()))
        }));
        let (all, _) = count(&mut read, &[&valid]);
        // The two above, the list of cookies with our name, the bytes of the token or record, and
        // the `Vary` header. Counting them (feature `metrics`) allocates nothing.
        assert!(all <= 5, "{all} allocations");
    }
}

#[test]
fn a_small_value_in_a_new_cookie_takes_no_buffer_of_its_own() {
    let keys = Keys::generate().unwrap();
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys));
    let mut write = layer.layer(service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("user", "Ada").unwrap();
        Ok::<_, Infallible>(Response::new(()))
    }));
    let (all, _) = count(&mut write, &[]);
    // The two of every request, the session's values, the token, its header, and the response's
    // header map, which takes two.
    assert!(all <= 7, "{all} allocations");
}
