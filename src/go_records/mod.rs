//! Sessions that gorilla's stores keep on servers, shared with Go or taken over from it.

mod exchange;
mod kept;
mod records;
mod save;
mod service;

pub use self::{
    kept::GorillaRecords,
    records::{GoRecord, GoRecords},
    service::GorillaRecordsService,
};
