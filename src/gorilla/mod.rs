//! Sessions shared with Go: the formats of gorilla/sessions and its relatives.
//!
//! | You want to | Use |
//! |---|---|
//! | share a session's cookie with a Go program, both ways | [`SessionConfig::write_gorilla`](crate::SessionConfig::write_gorilla) |
//! | take over the sessions of a retired Go program | [`SessionConfig::read_gorilla`](crate::SessionConfig::read_gorilla) |
//! | do the same with the files of gorilla's `FilesystemStore` | `GorillaFiles` (feature `filesystem`) |
//! | move all of these files into a store at once | `GorillaFiles::import`, or `silverback import` |
//! | read or make another cookie of gorilla/securecookie | [`SecureCookie`] |
//! | read or write gob | [`gob`] |
//!
//! The guide [Moving from gorilla/sessions](crate::guide::gorilla) takes you through a move.
//!
//! # Values
//!
//! A [`Session`](crate::Session) shows Go's values as JSON.
//!
//! | Go | Here |
//! |---|---|
//! | `bool`, `string`, `nil` | `bool`, a string, `null` |
//! | all integers, `float32`, `float64` | numbers; NaN and the infinities are `null` |
//! | `complex64`, `complex128` | a list of two numbers |
//! | `[]byte` | [bytes](crate::Session::get_bytes); within another value a base64 string |
//! | `time.Time` | a string (RFC 3339), which [`gob::Time`] parses |
//! | slices, arrays, maps | lists and objects |
//! | structs | objects with all exported fields, in Go's spelling |
//! | types that write their own bytes | a string: their own text, or base64 |
//! | keys that are not a `string` | [`GoKey`]; a float that is NaN or infinite is `"NaN"`, `"inf"` or `"-inf"` |
//!
//! A value that you leave alone is written back as it came. A value that you change keeps its Go
//! type if it fits: an `int64` stays one, an `int8` becomes an `int` at 128, a struct keeps its
//! type. Otherwise, and under a new key, it gets the type that a Go program would expect: `bool`,
//! `int`, `uint64` beyond that, `float64`, `string`, `[]byte`, `[]interface {}` or
//! `map[string]interface {}`, which Go reads only after `gob.Register(map[string]interface{}{})`.
//!
//! Gob does not say how wide the numbers of a struct's fields and of an application's own types are.
//! Keep to their width: if one number is too large, Go refuses the whole session.

mod base64;
mod carried;
mod convert;
mod envelope;
mod error;
pub mod gob;
mod id;
mod layout;
mod pair;
mod settings;

pub(crate) use self::{
    carried::{Carried, CarriedId},
    convert::{Fitter, Unfit, key_text, name_times, stored, to_json},
    id::GoId,
    layout::GoIds,
};
pub use self::{
    envelope::{OpenedCookie, SecureCookie},
    error::SecureCookieError,
    layout::{GoData, GoLayout},
    pair::KeyPair,
    settings::{GoKey, GoPayload, GoType, Gorilla},
};
pub use crate::crypto::HashFunction;
