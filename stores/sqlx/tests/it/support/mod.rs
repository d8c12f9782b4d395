//! What the tests share.

pub(crate) mod nodes;
pub(crate) mod records;
pub(crate) mod servers;
pub(crate) mod site;
