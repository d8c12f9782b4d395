//! Sessions in DynamoDB: whether it removes what is over.

use silverback_dynamodb::DynamoDbStore;

use super::Report;
use crate::failure::chain;

pub(super) async fn examine(store: &DynamoDbStore, report: &mut Report) {
    match store.removes_expired().await {
        Ok(true) => report.good("time to live", "it is on, by the attribute `expires`"),
        Ok(false) => report.change(
            "time to live",
            "nothing removes what is over: it is off, or goes by another attribute",
            "aws dynamodb update-time-to-live --table-name TABLE \
             --time-to-live-specification Enabled=true,AttributeName=expires",
        ),
        Err(error) => report.skipped("time to live", chain(&error)),
    }
}
