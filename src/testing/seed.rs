//! A browser's session as a test fills and reads it.

use std::sync::Arc;

use super::{Browser, browser::address, commit};
use crate::{
    config::SessionConfig,
    error::{Error, ErrorKind},
    request::{Registry, Shared},
    session::Session,
    turn::Origin,
};

/// The browser's session, without a request.
impl<S> Browser<S> {
    /// Opens the browser's session as the server would, to read it, or to change and
    /// [`commit`](Self::commit) it. Pass the layer's `config`, with the same store.
    ///
    /// ```
    /// # use silverback::{Error, SessionConfig, testing::Browser};
    /// # async fn f<S>(browser: Browser<S>, config: SessionConfig) -> Result<(), Error> {
    /// let session = browser.session(&config).await?;
    /// assert_eq!(session.get("cart")?, Some(vec![7]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSettings`] if the settings cannot work. Otherwise as for
    /// [`Session::load`].
    pub async fn session(&self, config: &SessionConfig) -> Result<Session, Error> {
        let settings = config.build();
        let settings = settings.map_err(|error| {
            Error::with_source(ErrorKind::InvalidSettings, error).of(config.name())
        })?;
        let path = self.address(&address(&settings.attributes.path));
        let cookies = self.jar(|jar| jar.header(&path));
        let shared = Shared::of(Arc::new(settings), self.clock.clone());
        let registry = Registry::new(Arc::new(shared), &cookies, Origin::Detached);
        let session = Session::from(registry.first());
        session.load().await?;
        Ok(session)
    }

    /// [Commits](commit) a detached session, and keeps its cookies in the jar.
    ///
    /// ```
    /// # use silverback::{Error, SessionConfig, testing::Browser};
    /// # async fn f<S>(browser: Browser<S>, config: SessionConfig) -> Result<(), Error> {
    /// let session = browser.session(&config).await?;
    /// session.insert("user", 7)?;
    /// browser.commit(&session).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::save`].
    pub async fn commit(&self, session: &Session) -> Result<(), Error> {
        let headers = commit(session).await?;
        let path = self.address(&address(&session.settings().attributes.path));
        self.jar(|jar| jar.keep(&path, &headers));
        Ok(())
    }

    /// Puts something into the browser's session before a request, such as a logged-in user or a
    /// full cart.
    ///
    /// It returns the session. To see later changes to a session in a store,
    /// [`load`](Session::load) it again.
    ///
    /// ```
    /// # use silverback::{Error, Key, Session, SessionConfig, SessionLayer, testing::Browser};
    /// # async fn count<B>(request: http::Request<B>) -> Result<http::Response<String>, Error> {
    /// #     let session = request.extensions().get::<Session>().expect("the layer is around");
    /// #     let visits = session.update("visits", |n: &mut u32| { *n += 1; *n })?;
    /// #     Ok(http::Response::new(format!("visit {visits}")))
    /// # }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::cookie("session", Key::generate()?);
    /// # let layer = SessionLayer::new(config.clone());
    /// # let service = tower::Layer::layer(&layer, tower::service_fn(count));
    /// let browser = Browser::new(service);
    /// browser.seed(&config, |session| session.insert("visits", 7)).await?;
    /// assert_eq!(browser.get("/").await.text(), "visit 8");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`session`](Self::session) and [`commit`](Self::commit), and those of `fill`.
    pub async fn seed(
        &self,
        config: &SessionConfig,
        fill: impl FnOnce(&Session) -> Result<(), Error>,
    ) -> Result<Session, Error> {
        let session = self.session(config).await?;
        fill(&session)?;
        self.commit(&session).await?;
        Ok(session)
    }
}
