//! Go's values as JSON, and back.
//!
//! | Go | Here |
//! |---|---|
//! | `bool`, `string` | the same |
//! | `int` to `int64`, `uint` to `uint64`, `uintptr` | a number without a fraction |
//! | `float32`, `float64` | a number; NaN and the infinities are `null` |
//! | `complex64`, `complex128` | a list of two numbers |
//! | `nil` | `null` |
//! | `[]byte` | bytes; within another value a base64 string, as in Go's JSON |
//! | `time.Time` | a string (RFC 3339) |
//! | slices, arrays | lists |
//! | maps | objects, whose keys are those of [`key_text`] |
//! | structs | objects with all exported fields, in Go's spelling |
//! | others that write their own bytes | a string: their own text, or base64 |
//!
//! On the way back an unchanged value stays as it was, to the byte. A changed value gets the old
//! value's Go type if it fits, and otherwise the one that Go's JSON would give it: `bool`, `int`,
//! `float64`, `string`, `[]interface {}`, `map[string]interface {}`.

mod fit;
mod json;

pub(crate) use self::{
    fit::{Fitter, Unfit},
    json::{key_text, name_times, other_key, stored, to_json},
};

#[cfg(test)]
mod tests;
