//! Questions about the documents of a collection, and the meaning of the answers.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use silverback::store::{RecordKey, Version};

use crate::{
    address::Address,
    clock::{Moment, ServerClock},
    document::{Document, Fields, Found, OF_RECORD, OF_TOUCH},
    fault::{Fault, Kind, Status},
    link::Link,
};

/// The documents of one collection. Clones share the connection and the clock.
#[derive(Clone)]
pub(crate) struct Collection {
    link: Arc<Link>,
    pub(crate) clock: Arc<ServerClock>,
    database: Arc<str>,
    name: Arc<str>,
}

#[derive(Debug, Serialize)]
struct Writes<'a> {
    writes: &'a [Write<'a>],
}

/// A write of one document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Write<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_mask: Option<Mask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_document: Option<Current>,
}

#[derive(Debug, Serialize)]
struct Update<'a> {
    name: String,
    fields: &'a Fields,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mask {
    field_paths: &'static [&'static str],
}

/// The required state of the document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Current {
    Exists(bool),
    UpdateTime(String),
}

impl Current {
    fn at(updated: Moment) -> Self {
        Self::UpdateTime(updated.to_text())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitResponse {
    write_results: [WriteResult; 1],
    commit_time: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteResult {
    update_time: String,
}

#[derive(Debug, Deserialize)]
struct BatchWriteResponse {
    #[serde(default)]
    status: Vec<Status>,
}

/// One answer to a question about several documents. An error may follow other answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    found: Option<Document>,
    missing: Option<String>,
    document: Option<Document>,
    read_time: Option<String>,
    error: Option<Status>,
}

impl Collection {
    pub(crate) fn new(link: Arc<Link>, database: &Address, name: &str) -> Self {
        Self {
            link,
            clock: Arc::default(),
            database: database.as_str().into(),
            name: name.into(),
        }
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The resource name of a record's document.
    fn document(&self, key: &RecordKey) -> String {
        self.named_document(&key.to_string())
    }

    pub(crate) fn named_document(&self, id: &str) -> String {
        format!("{}/{}/{id}", self.database, self.name)
    }

    /// Creates a document.
    pub(crate) fn create<'a>(&self, key: &RecordKey, fields: &'a Fields) -> Write<'a> {
        self.write(key, fields, Current::Exists(false))
    }

    /// Replaces a document in this state.
    pub(crate) fn update<'a>(&self, key: &RecordKey, fields: &'a Fields, at: Moment) -> Write<'a> {
        self.write(key, fields, Current::at(at))
    }

    /// Moves the end of a document in this state.
    pub(crate) fn touch<'a>(&self, key: &RecordKey, fields: &'a Fields, at: Moment) -> Write<'a> {
        Write {
            update_mask: Some(Mask {
                field_paths: &OF_TOUCH,
            }),
            ..self.write(key, fields, Current::at(at))
        }
    }

    fn write<'a>(&self, key: &RecordKey, fields: &'a Fields, current: Current) -> Write<'a> {
        let name = self.document(key);
        Write {
            update: Some(Update { name, fields }),
            delete: None,
            update_mask: None,
            current_document: Some(current),
        }
    }

    fn delete(&self, key: &RecordKey, at: Option<Moment>) -> Write<'static> {
        Write {
            update: None,
            delete: Some(self.document(key)),
            update_mask: None,
            current_document: at.map(Current::at),
        }
    }

    /// Reads the documents under these keys, all at once.
    pub(crate) async fn look(
        &self,
        keys: &[RecordKey],
    ) -> Result<HashMap<RecordKey, Found>, Fault> {
        let documents: Vec<_> = keys.iter().map(|key| self.document(key)).collect();
        let question = json!({
            "documents": documents,
            "mask": { "fieldPaths": OF_RECORD },
        });
        let asked = Moment::of_system();
        let answers: Vec<Answer> = self.link.ask("batchGet", &question).await?;
        let answered = Moment::of_system();
        let names = documents.into_iter().zip(keys);
        let mut asked_for: HashMap<_, _> = names.collect();
        let mut all = HashMap::new();
        for answer in answers {
            let Some((name, found, read)) = interpret(answer)? else {
                continue;
            };
            self.clock.hear(read, asked, answered);
            let key = asked_for.remove(&name).ok_or_else(Fault::nonsense)?;
            all.insert(*key, found);
        }
        if asked_for.is_empty() {
            Ok(all)
        } else {
            Err(Fault::nonsense())
        }
    }

    /// Reads one document.
    pub(crate) async fn look_at(&self, key: &RecordKey) -> Result<Found, Fault> {
        let mut found = self.look(std::slice::from_ref(key)).await?;
        found.remove(key).ok_or_else(Fault::nonsense)
    }

    /// Writes a document, and returns its new update time.
    pub(crate) async fn commit(&self, write: &Write<'_>) -> Result<Moment, Fault> {
        let question = Writes {
            writes: std::slice::from_ref(write),
        };
        for attempt in 1.. {
            let asked = Moment::of_system();
            let committed: CommitResponse = match self.link.ask("commit", &question).await {
                Err(fault) if fault.kind == Kind::Contention => {
                    pause(attempt).await?;
                    continue;
                }
                committed => committed?,
            };
            let time = Moment::parse(&committed.commit_time).ok_or_else(Fault::nonsense)?;
            self.clock.hear(time, asked, Moment::of_system());
            let [written] = &committed.write_results;
            return Moment::parse(&written.update_time).ok_or_else(Fault::nonsense);
        }
        Err(Fault::nonsense())
    }

    /// Deletes documents, each on its own. A document with a state is deleted only in that state.
    /// No two may be the same.
    pub(crate) async fn delete_each(
        &self,
        documents: &[(RecordKey, Option<Moment>)],
    ) -> Result<Vec<Result<(), Fault>>, Fault> {
        let write = |(key, at): &(RecordKey, Option<Moment>)| self.delete(key, *at);
        let writes: Vec<_> = documents.iter().map(write).collect();
        let question = Writes { writes: &writes };
        let each: BatchWriteResponse = self.link.ask("batchWrite", &question).await?;
        if each.status.len() != documents.len() {
            return Err(Fault::nonsense());
        }
        Ok(each.status.into_iter().map(Status::into_result).collect())
    }

    /// Lists documents by a
    /// [query](https://firebase.google.com/docs/firestore/reference/rest/v1/StructuredQuery).
    pub(crate) async fn query(&self, query: Map<String, Value>) -> Result<Vec<Document>, Fault> {
        let question = json!({ "structuredQuery": query });
        let answers: Vec<Answer> = self.link.ask("runQuery", &question).await?;
        let mut documents = Vec::new();
        for answer in answers {
            if let Some(error) = answer.error {
                return Err(error.into());
            }
            documents.extend(answer.document);
        }
        Ok(documents)
    }
}

/// The name of a document, its content, and when it was read. `None` if the answer is about no
/// document.
fn interpret(answer: Answer) -> Result<Option<(String, Found, Moment)>, Fault> {
    if let Some(error) = answer.error {
        return Err(error.into());
    }
    let read = answer.read_time.as_deref().and_then(Moment::parse);
    let read = read.ok_or_else(Fault::nonsense)?;
    Ok(match (answer.found, answer.missing) {
        (Some(document), _) => {
            let found = document.found(read).ok_or_else(Fault::nonsense)?;
            Some((document.name, found, read))
        }
        (None, Some(name)) => Some((name, Found::Nothing, read)),
        (None, None) => None,
    })
}

/// The upper bound of a pause, in milliseconds.
const LONGEST: u32 = 64;

/// Waits for other writes to end. The pauses are random, so that two writers do not meet again, and
/// get longer.
pub(crate) async fn pause(attempt: u32) -> Result<(), Fault> {
    let random = Version::random().map_err(Fault::refused)?;
    let [part, ..] = *random.as_bytes();
    let most = Duration::from_millis(u64::from((1 << attempt.min(16)).min(LONGEST)));
    tokio::time::sleep(most * u32::from(part) / 256).await;
    Ok(())
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("link", &self.link)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
