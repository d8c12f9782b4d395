#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "tls", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "tls"), doc = "Sessions in Google's Firestore.")]

mod address;
mod calls;
mod clock;
mod collection;
mod connect;
mod document;
mod fault;
mod link;
mod store;
mod upkeep;

pub use self::store::FirestoreStore;
