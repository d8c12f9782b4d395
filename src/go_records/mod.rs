//! Sessions in gorilla's server-side stores, shared with Go or taken over from it.

mod exchange;
#[cfg(all(feature = "filesystem", unix))]
mod files;
#[cfg(all(feature = "filesystem", unix))]
mod import;
mod kept;
mod records;
mod save;
mod service;

#[cfg(all(feature = "filesystem", unix))]
pub use self::{
    files::GorillaFiles,
    import::{GorillaImport, GorillaImported},
};
pub use self::{
    kept::GorillaRecords,
    records::{GoRecord, GoRecords},
    service::GorillaRecordsService,
};
