//! Sessions in MongoDB: whether it removes expired ones.

use silverback_mongodb::MongoStore;

use super::Report;
use crate::failure::chain;

pub(super) async fn examine(store: &MongoStore, report: &mut Report) {
    match store.removes_expired().await {
        Ok(true) => report.good("index", "an index on `expires` removes expired sessions"),
        Ok(false) => report.change(
            "index",
            "nothing removes expired sessions: no index on `expires` has an expireAfterSeconds",
            "db.COLLECTION.createIndex({ expires: 1 }, { expireAfterSeconds: 600 })",
        ),
        Err(error) => report.skipped("index", chain(&error)),
    }
}
