//! Looking through the table, for operators.

use aws_sdk_dynamodb::types::AttributeValue;
use silverback::store::{Browse, Cursor, Listed, Page, StoreError};

use crate::{
    DynamoDbStore,
    item::{self, ID, Item},
};

/// Pages are in no meaningful order. Each costs the reading of its items, up to 1 MB.
impl Browse for DynamoDbStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let after = after(from)?;
        let limit = i32::try_from(limit.max(1)).unwrap_or(i32::MAX);
        let send = || {
            let question = self.client.scan().table_name(&*self.table).limit(limit);
            let question = question.set_exclusive_start_key(after.clone());
            question.consistent_read(true).send()
        };
        let page = self.deadline().ask(send).await?;
        let entries = page.items.into_iter().flatten().filter_map(listed);
        let last = page.last_evaluated_key;
        let next = last.as_ref().and_then(item::id).map(cursor);
        Ok(Page::new(entries.collect(), next))
    }
}

/// The beginning of a cursor. The ID of the page's last item follows, even if another program wrote
/// that item.
const CURSOR: &str = "after ";

fn cursor(id: &str) -> Cursor {
    Cursor::new(format!("{CURSOR}{id}"))
}

fn after(cursor: &Cursor) -> Result<Option<Item>, StoreError> {
    if *cursor == Cursor::default() {
        return Ok(None);
    }
    let text = str::from_utf8(cursor.as_bytes()).ok();
    let id = text.and_then(|text| text.strip_prefix(CURSOR));
    let id = id.ok_or_else(|| StoreError::refused("the cursor does not belong to this store"))?;
    let id = AttributeValue::S(id.to_owned());
    Ok(Some(Item::from([(ID.to_owned(), id)])))
}

/// Returns `None` for another program's item.
fn listed(item: Item) -> Option<Listed> {
    let key = item::key(&item)?;
    let record = item::read(item).ok()?;
    let data = record.data();
    Some(Listed::new(key, data, record.expires(), data.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_store_is_refused() {
        for bytes in [&b"17"[..], b"after", &[0xff; 32]] {
            let refused = after(&Cursor::new(bytes));
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{bytes:?}");
        }
        let next = after(&cursor("cart")).unwrap().unwrap();
        assert_eq!(item::id(&next), Some("cart"));
    }
}
