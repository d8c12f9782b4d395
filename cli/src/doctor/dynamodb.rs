//! Sessions in DynamoDB: whether it removes expired ones.

use silverback_dynamodb::DynamoDbStore;

use super::Report;
use crate::failure::chain;

pub(super) async fn examine(store: &DynamoDbStore, report: &mut Report) {
    match store.removes_expired().await {
        Ok(true) => report.good("time to live", "it is on, with the attribute `expires`"),
        Ok(false) => report.change(
            "time to live",
            "nothing removes expired sessions: it is off, or uses another attribute",
            "aws dynamodb update-time-to-live --table-name TABLE \
             --time-to-live-specification Enabled=true,AttributeName=expires",
        ),
        Err(error) => report.skipped("time to live", chain(&error)),
    }
}
