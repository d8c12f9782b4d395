//! Writes to the table, inside a transaction of the writer.

use redb::{ReadableTable, StorageError, Table, TableDefinition};
use silverback::{
    Timestamp,
    store::{Bytes, RecordKey, StoreError, Version},
};

use crate::record::Head;

/// The table with the records.
pub(crate) const TABLE: TableDefinition<'static, &[u8; 32], &[u8]> =
    TableDefinition::new("silverback_sessions");

pub(crate) type Records<'a> = Table<'a, &'static [u8; 32], &'static [u8]>;

/// One write of one record.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) key: RecordKey,
    pub(crate) change: Change,
}

#[derive(Debug)]
pub(crate) enum Change {
    Create {
        head: Head,
        data: Bytes,
    },
    Update {
        expected: Version,
        head: Head,
        data: Bytes,
    },
    Touch {
        expected: Version,
        expires: Timestamp,
    },
    Delete {
        expected: Option<Version>,
    },
    /// Removes the record if it has expired.
    Sweep,
}

/// The outcome of an operation: whether it changed anything, or why it failed.
pub(crate) type Outcome = Result<bool, StoreError>;

impl Operation {
    /// Applies the operation. The inner result is about the record, the outer one about the file.
    pub(crate) fn apply(
        &self,
        table: &mut Records<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StorageError> {
        let key = self.key.as_bytes();
        let found = match table.get(key)? {
            Some(value) => Found::of(value.value(), now),
            None => Found::Nothing,
        };
        Ok(match &self.change {
            Change::Create { head, data } => match found.living() {
                Ok(Some(_)) => Err(StoreError::Exists),
                Ok(None) | Err(StoreError::Corrupt(_)) => put(table, key, *head, data)?,
                Err(error) => Err(error),
            },
            Change::Update {
                expected,
                head,
                data,
            } => match found.expect(*expected) {
                Err(error) => Err(error),
                Ok(_) => put(table, key, *head, data)?,
            },
            Change::Touch { expected, expires } => match found.expect(*expected) {
                Err(error) => Err(error),
                Ok(head) => touch(table, key, head, *expires)?,
            },
            Change::Delete { expected } => match (found, expected) {
                (Found::Nothing, _) => Ok(false),
                (found, Some(expected)) => match found.expect(*expected) {
                    Err(StoreError::Gone) => remove(table, key)?,
                    Err(error) => Err(error),
                    Ok(_) => remove(table, key)?,
                },
                (_, None) => remove(table, key)?,
            },
            Change::Sweep => match found {
                Found::Over => remove(table, key)?,
                Found::Nothing | Found::Living(_) => Ok(false),
                Found::NoRecord(error) => Err(error),
            },
        })
    }
}

/// The value under a key.
enum Found {
    Nothing,
    Over,
    Living(Head),
    NoRecord(StoreError),
}

impl Found {
    fn of(value: &[u8], now: Timestamp) -> Self {
        match Head::read(value) {
            Ok((head, _)) if head.is_over(now) => Self::Over,
            Ok((head, _)) => Self::Living(head),
            Err(error) => Self::NoRecord(error),
        }
    }

    fn living(self) -> Result<Option<Head>, StoreError> {
        match self {
            Self::Nothing | Self::Over => Ok(None),
            Self::Living(head) => Ok(Some(head)),
            Self::NoRecord(error) => Err(error),
        }
    }

    fn expect(self, expected: Version) -> Result<Head, StoreError> {
        match self.living()? {
            None => Err(StoreError::Gone),
            Some(head) if head.version == expected => Ok(head),
            Some(_) => Err(StoreError::Conflict),
        }
    }
}

fn put(
    table: &mut Records<'_>,
    key: &[u8; 32],
    head: Head,
    data: &[u8],
) -> Result<Outcome, StorageError> {
    table.insert(key, head.write(data).as_slice())?;
    Ok(Ok(true))
}

fn touch(
    table: &mut Records<'_>,
    key: &[u8; 32],
    head: Head,
    expires: Timestamp,
) -> Result<Outcome, StorageError> {
    let head = Head { expires, ..head };
    let Some(value) = table
        .get(key)?
        .and_then(|value| Some(head.write(Head::read(value.value()).ok()?.1)))
    else {
        return Ok(Err(StoreError::Gone));
    };
    table.insert(key, value.as_slice())?;
    Ok(Ok(true))
}

fn remove(table: &mut Records<'_>, key: &[u8; 32]) -> Result<Outcome, StorageError> {
    Ok(Ok(table.remove(key)?.is_some()))
}
