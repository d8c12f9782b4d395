//! Sessions shared with Go: what gorilla/sessions and its relatives keep.

pub mod gob;
