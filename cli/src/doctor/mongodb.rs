//! Sessions in MongoDB: whether it removes what is over.

use silverback_mongodb::MongoStore;

use super::Report;
use crate::failure::chain;

pub(super) async fn examine(store: &MongoStore, report: &mut Report) {
    match store.removes_expired().await {
        Ok(true) => report.good("index", "an index on `expires` removes what is over"),
        Ok(false) => report.change(
            "index",
            "nothing removes what is over: no index on `expires` has an expireAfterSeconds",
            "db.COLLECTION.createIndex({ expires: 1 }, { expireAfterSeconds: 600 })",
        ),
        Err(error) => report.skipped("index", chain(&error)),
    }
}
