//! The kit of all benches: scenarios, the services that answer them, and how these are counted,
//! timed and printed.
//!
//! A bench measures [`Subject`](subject::Subject)s: a service behind an
//! [`Endpoint`](endpoint::Endpoint), and the cookies of its requests. The cost of the same service
//! without sessions is subtracted.

pub mod browser;
pub mod calls;
pub mod count;
pub mod endpoint;
pub mod floor;
pub mod machine;
pub mod page;
pub mod scenario;
pub mod sessions;
pub mod subject;
pub mod table;
pub mod time;
