//! What the benches share: what is asked, who answers, and how that is counted, timed and printed.
//!
//! A bench measures [`Subject`](subject::Subject)s: a service behind an
//! [`Endpoint`](endpoint::Endpoint), and the cookies of the requests that it gets. What the same
//! service costs without sessions is subtracted.

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
