//! Response bodies that come in pieces.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A body of these pieces. It has no exact size hint unless the length is declared known.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    left: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    fails: bool,
    has_known_length: bool,
}

impl Pieces {
    pub(crate) fn of<const N: usize>(pieces: [&'static str; N]) -> Self {
        Self {
            left: pieces.map(Bytes::from).into(),
            trailers: None,
            fails: false,
            has_known_length: false,
        }
    }

    pub(crate) fn of_known_length(self) -> Self {
        Self {
            has_known_length: true,
            ..self
        }
    }

    pub(crate) fn with_trailers(self, trailers: HeaderMap) -> Self {
        Self {
            trailers: Some(trailers),
            ..self
        }
    }

    /// Fails after the last piece.
    pub(crate) fn that_fail(self) -> Self {
        Self {
            fails: true,
            ..self
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match self.left.pop_front() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.fails => Some(Err(io::Error::other("it broke off"))),
            None => self.trailers.take().map(Frame::trailers).map(Ok),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.has_known_length && self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.iter().map(Bytes::len).sum::<usize>();
        match self.has_known_length {
            true => SizeHint::with_exact(left as u64),
            false => SizeHint::default(),
        }
    }
}

/// The trailers of a gRPC response.
pub(crate) fn trailers(status: &str) -> HeaderMap {
    let status = status.parse().unwrap();
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status)])
}

/// A body that does some work before its first frame.
pub(crate) struct Late<B> {
    body: B,
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<B> Late<B> {
    pub(crate) fn new(body: B, work: impl Future<Output = ()> + Send + 'static) -> Self {
        let work = Some(Box::pin(work) as Pin<Box<_>>);
        Self { body, work }
    }
}

impl<B: Body + Unpin> Body for Late<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(work) = &mut self.work {
            ready!(work.as_mut().poll(cx));
            self.work = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.work.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
