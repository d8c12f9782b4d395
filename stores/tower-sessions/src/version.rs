//! The two versions of tower-sessions. For this crate's purposes they are alike, but to the
//! compiler they are two crates. So the code that names their types is written once, and compiled
//! for each.

macro_rules! version {
    ($module:ident, $core:ident) => {
        pub(crate) mod $module {
            use std::{sync::Arc, time};

            use ::time::OffsetDateTime;
            use async_trait::async_trait;
            use http::Extensions;
            use silverback::store::{Store, Sweep};
            use $core::{
                ExpiredDeletion, Expiry, Session, SessionStore,
                session::{Id, Record},
                session_store::{Error, Result},
            };

            use crate::{
                failure::Failure,
                former::Rows,
                layer::{Opened, Wish},
                request::RequestStore,
                row::Row,
                store::TowerSessionStore,
            };

            impl From<Failure> for Error {
                fn from(failure: Failure) -> Self {
                    match failure {
                        Failure::Encode(why) => Self::Encode(why),
                        Failure::Decode(why) => Self::Decode(why),
                        Failure::Backend(why) => Self::Backend(why),
                    }
                }
            }

            impl From<Error> for Failure {
                fn from(error: Error) -> Self {
                    match error {
                        Error::Encode(why) => Self::Encode(why),
                        Error::Decode(why) => Self::Decode(why),
                        Error::Backend(why) => Self::Backend(why),
                    }
                }
            }

            impl From<&Record> for Row {
                fn from(record: &Record) -> Self {
                    Self {
                        id: record.id.0,
                        data: record.data.clone(),
                        expires: record.expiry_date,
                    }
                }
            }

            impl From<Row> for Record {
                fn from(row: Row) -> Self {
                    Self {
                        id: Id(row.id),
                        data: row.data,
                        expiry_date: row.expires,
                    }
                }
            }

            #[async_trait]
            impl<S: Store> SessionStore for TowerSessionStore<S> {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    record.id = Id(self.insert(&Row::from(&*record)).await?);
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    Ok(self.replace(&record.into()).await?)
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    let found = self.find(id.0).await?;
                    Ok(found.map(|(row, _)| row.into()))
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    Ok(self.remove(id.0).await?)
                }
            }

            #[async_trait]
            impl<S: Sweep> ExpiredDeletion for TowerSessionStore<S> {
                async fn delete_expired(&self) -> Result<()> {
                    Ok(self.sweep().await?)
                }
            }

            #[async_trait]
            impl SessionStore for RequestStore {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    record.id = Id(self.begin(&record.data).await?);
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    Ok(self.update(&record.data).await?)
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    Ok(self.read(id.0).await?.map(Into::into))
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    Ok(self.end(id.0).await?)
                }
            }

            /// The ID in a cookie's value.
            pub(crate) fn parse(text: &str) -> Option<i128> {
                text.parse().ok().map(|id: Id| id.0)
            }

            /// The ID as it is in the cookie, and in the published stores.
            #[cfg(any(feature = "redis-1", feature = "sqlx"))]
            #[allow(dead_code, reason = "one version's function is enough")]
            pub(crate) fn text(id: i128) -> String {
                Id(id).to_string()
            }

            /// A store of this version.
            pub(crate) struct Of<T>(pub(crate) T);

            #[async_trait]
            impl<T: SessionStore> Rows for Of<T> {
                fn parse(&self, text: &str) -> Option<i128> {
                    parse(text)
                }

                async fn load(&self, id: i128) -> std::result::Result<Option<Row>, Failure> {
                    let found = self.0.load(&Id(id)).await?;
                    // Some stores load expired sessions.
                    let now = OffsetDateTime::now_utc();
                    let found = found.filter(|record| record.expiry_date > now);
                    Ok(found.map(|record| Row::from(&record)))
                }

                async fn save(&self, row: Row) -> std::result::Result<(), Failure> {
                    Ok(self.0.save(&row.into()).await?)
                }

                async fn delete(&self, id: i128) -> std::result::Result<(), Failure> {
                    Ok(self.0.delete(&Id(id)).await?)
                }
            }

            pub(crate) fn open(id: Option<i128>, store: Arc<RequestStore>) -> Box<dyn Opened> {
                Box::new(Session::new(id.map(Id), store, None))
            }

            #[async_trait]
            impl Opened for Session {
                fn put_into(&self, extensions: &mut Extensions) {
                    extensions.insert(self.clone());
                }

                fn has_id(&self) -> bool {
                    self.id().is_some()
                }

                fn is_modified(&self) -> bool {
                    Self::is_modified(self)
                }

                async fn is_empty(&self) -> bool {
                    Self::is_empty(self).await
                }

                fn wish(&self) -> Option<Wish> {
                    let length = match self.expiry()? {
                        Expiry::OnSessionEnd => return Some(Wish::UntilBrowserCloses),
                        Expiry::OnInactivity(length) => length,
                        Expiry::AtDateTime(end) => end - OffsetDateTime::now_utc(),
                    };
                    Some(match time::Duration::try_from(length) {
                        Ok(length) if length > time::Duration::ZERO => Wish::For(length),
                        _ => Wish::Over,
                    })
                }

                async fn save(&self) -> bool {
                    Self::save(self).await.is_ok()
                }
            }
        }
    };
}

#[cfg(all(any(feature = "redis-1", feature = "sqlx"), not(feature = "v0_15")))]
pub(crate) use self::v0_14::{parse, text};
#[cfg(all(any(feature = "redis-1", feature = "sqlx"), feature = "v0_15"))]
pub(crate) use self::v0_15::{parse, text};

#[cfg(feature = "v0_14")]
version!(v0_14, tower_sessions_core_0_14);
#[cfg(feature = "v0_15")]
version!(v0_15, tower_sessions_core_0_15);
