//! A body that saves its session at its end.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    answer,
    error::{Error, ErrorKind},
    session::Session,
    trace,
    turn::Anchor as _,
};

pin_project! {
    /// A body that saves its session before it ends: see [`Session::save_at_end`].
    ///
    /// It yields the frames of the inner body, and fails with that body's error, or with an
    /// [`Error`] if the session cannot be saved. Both are boxed, as hyper, axum and tonic expect;
    /// `downcast_ref::<silverback::Error>()` finds the second.
    pub struct SavingBody<B: Body> {
        #[pin]
        inner: B,
        session: Session,
        stage: Stage<B::Data>,
    }
}

enum Stage<D> {
    Streaming,
    Saving {
        save: Save,
        /// The frame that the client gets once the session is saved.
        held: Option<Frame<D>>,
    },
    Over,
}

type Save = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Streams.
impl Session {
    /// Wraps `body`, so that changes to this session while it streams are saved before it ends. If
    /// the save fails, the body ends with an error, so that the client does not take it for a
    /// success.
    ///
    /// A session is saved with its response, whose head is sent before the first byte of the body.
    /// Later changes by the stream must be saved separately, and the client must learn of a
    /// failure. This method does both.
    ///
    /// ```
    /// use http::Response;
    /// use http_body::Body;
    /// use silverback::{Error, SavingBody, Session};
    ///
    /// /// `export` streams rows, and notes in the session how far it has come.
    /// fn download<B: Body>(session: &Session, export: B) -> Result<Response<SavingBody<B>>, Error> {
    ///     Ok(Response::new(session.save_at_end(export)?))
    /// }
    ///
    /// /// The stream calls this from time to time, with a clone of the session.
    /// async fn note(session: &Session, row: u64) -> Result<(), Error> {
    ///     session.load().await?; // the response is on its way: see "After the response"
    ///     session.insert("exported", row)
    /// }
    /// ```
    ///
    /// | With | The response's body |
    /// |---|---|
    /// | hyper | `session.save_at_end(body)?` |
    /// | axum | `axum::body::Body::new(session.save_at_end(body)?)` |
    /// | tonic | `tonic::body::Body::new(session.save_at_end(body)?)`, in a service around the generated one |
    ///
    /// For several sessions, wrap the body once for each.
    ///
    /// # What the client gets
    ///
    /// Frames pass through as they come. The session is saved when `body` has ended, before its
    /// trailers, which hold the status of gRPC. If the body's length is known, the session is saved
    /// before the last piece, since HTTP/1 servers stop reading once `Content-Length` is reached.
    /// So a client that has received everything knows that the session is saved. Without a change,
    /// no store is asked.
    ///
    /// If the save fails, the body ends with the error. Over HTTP/1 the connection is closed before
    /// the end, over HTTP/2 the stream is reset. The response's status has been sent by then. The
    /// error is logged.
    ///
    /// # What is not saved
    ///
    /// - The changes of a stream that fails: by an error of `body`, or by one of the gRPC statuses
    ///   [that keep nothing](Self#which-changes-last), in its trailers.
    /// - Its changes when the client disconnects, since servers then drop the body.
    /// - Its changes after the last byte, if you set `Content-Length` yourself for a body that does
    ///   not know its length: HTTP/1 servers drop the body once that many bytes are sent.
    ///
    /// If an inner layer reads the body to its end before the session's layer has seen the
    /// response, to compress or replace it, the changes are saved regardless of the response.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NeedsStore`] at once for a session that is always in its cookie: only the head
    /// of a response could save it, and it is sent before the body. A session that can
    /// [overflow](crate::store::CookieStore::overflow) is not refused. While it is in its cookie, a
    /// change after the response fails with [`ErrorKind::AlreadyCommitted`]. So does a change of a
    /// session that was new and empty when the response was sent: write something before you return
    /// the response.
    pub fn save_at_end<B: Body>(&self, body: B) -> Result<SavingBody<B>, Error> {
        if self.settings().records().is_none() {
            return Err(Error::new(ErrorKind::NeedsStore).of(self.name()));
        }
        Ok(SavingBody {
            inner: body,
            session: self.clone(),
            stage: Stage::Streaming,
        })
    }
}

impl<B> Body for SavingBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn error::Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::Streaming => {
                    let held = match ready!(this.inner.as_mut().poll_frame(cx)) {
                        Some(Ok(frame)) if !is_last(&frame, &*this.inner) => {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        Some(Ok(frame)) if !this.session.has_unsaved() => {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        Some(Ok(frame)) if frame.trailers_ref().is_some_and(answer::is_failed) => {
                            *this.stage = Stage::Over;
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        Some(Ok(frame)) => Some(frame),
                        Some(Err(error)) => {
                            *this.stage = Stage::Over;
                            return Poll::Ready(Some(Err(error.into())));
                        }
                        None if this.session.has_unsaved() => None,
                        None => {
                            *this.stage = Stage::Over;
                            return Poll::Ready(None);
                        }
                    };
                    let session = this.session.clone();
                    let save = Box::pin(async move { session.save().await });
                    *this.stage = Stage::Saving { save, held };
                }
                Stage::Saving { save, held } => {
                    let saved = ready!(save.as_mut().poll(cx));
                    let held = held.take();
                    *this.stage = match (&saved, &held) {
                        // The session may change after the last piece, before the trailers.
                        (Ok(()), Some(_)) => Stage::Streaming,
                        _ => Stage::Over,
                    };
                    return Poll::Ready(match saved {
                        Ok(()) => held.map(Ok),
                        Err(error) => {
                            let vault = this.session.handle().vault();
                            trace::commit_failed(&error, vault.report, vault.clock);
                            Some(Err(error.into()))
                        }
                    });
                }
                Stage::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.stage {
            Stage::Streaming => self.inner.is_end_stream() && !self.session.has_unsaved(),
            Stage::Saving { .. } => false,
            Stage::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.inner.size_hint();
        match &self.stage {
            // A server does not poll a body that it knows to be empty.
            Stage::Streaming if hint.exact() == Some(0) && self.session.has_unsaved() => {
                SizeHint::default()
            }
            Stage::Streaming => hint,
            Stage::Saving { held, .. } => {
                let held = held.as_ref().and_then(Frame::data_ref);
                longer(hint, held.map_or(0, Buf::remaining))
            }
            Stage::Over => SizeHint::with_exact(0),
        }
    }
}

/// Returns whether this may be the last frame that a server polls.
fn is_last<B: Body>(frame: &Frame<B::Data>, rest: &B) -> bool {
    frame.is_trailers() || rest.is_end_stream() || rest.size_hint().exact() == Some(0)
}

fn longer(rest: SizeHint, bytes: usize) -> SizeHint {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(bytes));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(bytes));
    }
    hint
}

impl<B: Body + fmt::Debug> fmt::Debug for SavingBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavingBody")
            .field("inner", &self.inner)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
