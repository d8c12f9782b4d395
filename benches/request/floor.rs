//! The floor around a service. They share a slot in the request's extensions.

use std::{convert::Infallible, future::ready, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header};
use kit::{
    endpoint::{Endpoint, Exchange, NoRuntime, Plain, poll_once},
    floor::{Floor, Slot},
    scenario::Action,
};
use tower::{Service, service_fn};

/// A service with the floor around it.
pub(crate) fn endpoint(floor: &Arc<Floor>, action: Action) -> Box<dyn Endpoint> {
    let (around, within) = (Arc::clone(floor), Arc::clone(floor));
    let service = service_fn(move |request: Request<()>| {
        let slot = || request.extensions().get::<Slot>();
        within
            .act(slot, || request.headers().get(header::COOKIE), action)
            .expect("the cookie is valid");
        ready(Ok::<_, Infallible>(Response::new(())))
    });
    Box::new(FloorService {
        floor: around,
        service,
    })
}

struct FloorService<S> {
    floor: Arc<Floor>,
    service: S,
}

impl<S> Exchange for FloorService<S>
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    type Request = Request<()>;
    type Response = Response<()>;

    fn request(field: Option<&Bytes>) -> Request<()> {
        Plain::<S, NoRuntime>::request(field)
    }

    fn call(&mut self, mut request: Request<()>) -> Response<()> {
        let slot = Slot::default();
        request.extensions_mut().insert(Arc::clone(&slot));
        let mut response =
            poll_once(self.service.call(request)).unwrap_or_else(|never| match never {});
        self.floor.finish(&slot, response.headers_mut());
        response
    }

    fn set_cookies(response: &Response<()>) -> Vec<String> {
        Plain::<S, NoRuntime>::set_cookies(response)
    }
}
