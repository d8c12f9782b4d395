//! Tables and their items.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
};

use aws_sdk_dynamodb::{
    Client,
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
        ScalarAttributeType,
    },
};
use silverback::store::RecordKey;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A table with this name, and a client that uses it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// Makes a table for one test. `DynamoDbStore::create_table` cannot, because dynalite has no time
/// to live.
pub(crate) async fn create(client: Client) -> Table {
    static TABLES: AtomicU32 = AtomicU32::new(0);
    let name = format!("sessions-{}", TABLES.fetch_add(1, Ordering::Relaxed));
    let id = AttributeDefinition::builder().attribute_name("id");
    let id = id.attribute_type(ScalarAttributeType::S).build().unwrap();
    let key = KeySchemaElement::builder().attribute_name("id");
    let key = key.key_type(KeyType::Hash).build().unwrap();
    let table = client.create_table().table_name(&name);
    let table = table.attribute_definitions(id).key_schema(key);
    let table = table.billing_mode(BillingMode::PayPerRequest);
    table.send().await.unwrap();
    loop {
        let found = client.describe_table().table_name(&name).send().await;
        let status = found.unwrap().table.unwrap().table_status.unwrap();
        if status.as_str() == "ACTIVE" {
            break;
        }
        tokio::task::yield_now().await;
    }
    Table { client, name }
}

pub(crate) fn binary(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(crate) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

impl Table {
    /// The item under a key.
    pub(crate) async fn item(&self, key: &RecordKey) -> Option<Item> {
        let found = self.client.get_item().table_name(&self.name);
        let found = found.key("id", AttributeValue::S(key.to_string()));
        found.consistent_read(true).send().await.unwrap().item
    }

    /// When DynamoDB may remove a record.
    pub(crate) async fn expires(&self, key: &RecordKey) -> Option<u64> {
        let item = self.item(key).await?;
        Some(item["expires"].as_n().unwrap().parse().unwrap())
    }

    /// Inserts another program's item.
    pub(crate) async fn put(&self, id: &str, attributes: &[(&str, AttributeValue)]) {
        let mut put = self.client.put_item().table_name(&self.name);
        put = put.item("id", AttributeValue::S(id.to_owned()));
        for (name, value) in attributes {
            put = put.item(*name, value.clone());
        }
        put.send().await.unwrap();
    }

    /// Removes an attribute of a record.
    pub(crate) async fn remove(&self, key: &RecordKey, attribute: &str) {
        let removed = self.client.update_item().table_name(&self.name);
        let removed = removed.key("id", AttributeValue::S(key.to_string()));
        let removed = removed.update_expression(format!("REMOVE {attribute}"));
        removed.send().await.unwrap();
    }
}
