//! The table: creating it, and having DynamoDB remove expired items.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use silverback::store::StoreError;
use tokio::time;

use crate::{
    DynamoDbStore,
    failure::Failure,
    item::{EXPIRES, ID},
};

/// How often a table that is being created is checked.
const PAUSE: Duration = Duration::from_millis(500);
/// Creation takes DynamoDB some seconds.
const PATIENCE: Duration = Duration::from_secs(180);

impl DynamoDbStore {
    /// Creates the table if it is missing, billed by request, and has DynamoDB remove expired items
    /// from it. Any number of servers may do this at once, each time they start.
    ///
    /// This needs the rights `dynamodb:CreateTable`, `DescribeTable`, `DescribeTimeToLive` and
    /// `UpdateTimeToLive`, which a server does not need otherwise. If you describe your
    /// infrastructure somewhere, create the table there. The [crate's documentation](crate) says
    /// how.
    ///
    /// ```no_run
    /// # async fn f(client: aws_sdk_dynamodb::Client) -> Result<(), silverback::store::StoreError> {
    /// # use silverback_dynamodb::DynamoDbStore;
    /// let store = DynamoDbStore::new(&client, "shop-sessions");
    /// store.create_table().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if these credentials may not do that, or if the table's time to live
    /// uses another attribute. [`StoreError::Unavailable`] if DynamoDB does not answer, or the
    /// table is not ready after three minutes.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        let made = time::timeout(PATIENCE, async {
            self.create_what_is_missing().await?;
            self.wait_until_active().await?;
            self.enable_time_to_live().await
        });
        made.await.unwrap_or_else(|_| {
            let sentence = format!("the table is not ready after {PATIENCE:?}");
            Err(StoreError::unavailable(sentence))
        })
    }

    /// Returns whether DynamoDB removes expired items from the table: whether its time to live is
    /// on and uses the attribute `expires`. Without it, expired sessions are not loaded, but take
    /// up room forever.
    ///
    /// ```no_run
    /// # async fn f(client: aws_sdk_dynamodb::Client) -> Result<(), silverback::store::StoreError> {
    /// # use silverback_dynamodb::DynamoDbStore;
    /// let store = DynamoDbStore::new(&client, "shop-sessions");
    /// if !store.removes_expired().await? {
    ///     eprintln!("the table has no time to live");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if there is no such table, or these credentials may not ask.
    /// [`StoreError::Unavailable`] if DynamoDB does not answer.
    pub async fn removes_expired(&self) -> Result<bool, StoreError> {
        let send = || {
            let question = self.client.describe_time_to_live();
            question.table_name(&*self.table).send()
        };
        let found = self.deadline().ask(send).await?.time_to_live_description;
        Ok(found.is_some_and(|it| {
            let is_on = matches!(
                it.time_to_live_status,
                Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
            );
            is_on && it.attribute_name.as_deref() == Some(EXPIRES)
        }))
    }

    async fn create_what_is_missing(&self) -> Result<(), StoreError> {
        let id = AttributeDefinition::builder().attribute_name(ID);
        let id = id.attribute_type(ScalarAttributeType::S).build();
        let key = KeySchemaElement::builder().attribute_name(ID);
        let key = key.key_type(KeyType::Hash).build();
        let (id, key) = (
            id.map_err(StoreError::refused)?,
            key.map_err(StoreError::refused)?,
        );
        let send = || {
            let question = self.client.create_table().table_name(&*self.table);
            let question = question.attribute_definitions(id.clone());
            let question = question.key_schema(key.clone());
            question.billing_mode(BillingMode::PayPerRequest).send()
        };
        match self.deadline().ask(send).await {
            Ok(_) | Err(Failure::InUse) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn wait_until_active(&self) -> Result<(), StoreError> {
        let send = || {
            let question = self.client.describe_table();
            question.table_name(&*self.table).send()
        };
        loop {
            let found = match self.deadline().ask(send).await {
                Ok(found) => found.table,
                // The description of a new table may take DynamoDB some seconds.
                Err(Failure::NoTable(_)) => None,
                Err(failure) => return Err(failure.into()),
            };
            match found.and_then(|table| table.table_status) {
                Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                _ => time::sleep(PAUSE).await,
            }
        }
    }

    async fn enable_time_to_live(&self) -> Result<(), StoreError> {
        if self.removes_expired().await? {
            return Ok(());
        }
        let on = TimeToLiveSpecification::builder().attribute_name(EXPIRES);
        let on = on.enabled(true).build().map_err(StoreError::refused)?;
        let send = || {
            let question = self.client.update_time_to_live();
            let question = question.table_name(&*self.table);
            question.time_to_live_specification(on.clone()).send()
        };
        match self.deadline().ask(send).await {
            Ok(_) => Ok(()),
            // Another server was faster.
            Err(_) if self.removes_expired().await? => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }
}
