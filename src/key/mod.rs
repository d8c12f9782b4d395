//! Keys that sign and seal cookies, and their rotation.
//!
//! ```
//! use silverback::{Key, KeyState, Keys};
//!
//! # fn main() -> Result<(), silverback::KeyError> {
//! let keys = Keys::generate()?;                       // one active key, written down nowhere
//! let old = Key::from_hex("9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e")?;
//! keys.add(old, KeyState::Retired)?;                  // its cookies are still accepted, and re-issued
//! keys.rotate(Key::generate()?)?;                     // seals from here on; no restart, nobody logged out
//! # Ok(())
//! # }
//! ```
//!
//! A token carries its key's [`KeyId`], so many keys cost no more than one. On several machines,
//! add a new key as [`Pending`](KeyState::Pending) everywhere before you make it active anywhere.
//!
//! Secrets are wiped from memory when the last clone of a key is dropped. The key schedules inside
//! ring are not, since ring offers no way to wipe them.

mod error;
mod id;
mod ring;
mod secret;
mod text;

pub use self::{error::KeyError, id::KeyId, ring::Keys, secret::Key, text::KeyState};

#[cfg(test)]
mod tests;
