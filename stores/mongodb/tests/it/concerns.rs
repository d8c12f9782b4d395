//! The read and write concerns of each command, which a single server cannot show.

use std::sync::{Arc, Mutex};

use mongodb::{
    Client,
    bson::Document,
    event::{EventHandler, command::CommandEvent},
    options::{
        Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
    },
};
use silverback::store::{Browse as _, Bytes, Cursor, Read, Store as _, Sweep as _, Version};
use silverback_mongodb::MongoStore;
use silverback_test_servers::kit::{DATA, create, data, key};

use crate::{PATIENCE, day, server};

type Commands = Arc<Mutex<Vec<Document>>>;

/// A client with the weakest concerns of its own, and what it sends.
async fn careless(url: &str) -> (Client, Commands) {
    let (commands, mut options) = (
        Commands::default(),
        ClientOptions::parse(url).await.unwrap(),
    );
    let seen = Arc::clone(&commands);
    let note = move |event: CommandEvent| {
        if let CommandEvent::Started(event) = event {
            seen.lock().unwrap().push(event.command);
        }
    };
    options.command_event_handler = Some(EventHandler::callback(note));
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Nodes(1)).build());
    options.read_concern = Some(ReadConcern::local());
    let secondary = ReadPreference::SecondaryPreferred { options: None };
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(secondary));
    (Client::with_options(options).unwrap(), commands)
}

fn number(command: &Document, name: &str) -> u64 {
    let number = command.get(name).unwrap();
    let number = number.as_i64().or(number.as_i32().map(i64::from));
    number.unwrap().cast_unsigned()
}

/// Whether the command finds records by their keys.
fn is_by_keys(command: &Document) -> bool {
    let filter = command.get_document("filter").ok();
    let id = filter.and_then(|filter| filter.get_document("_id").ok());
    id.is_some_and(|id| id.contains_key("$in"))
}

fn sent(commands: &Commands) -> Vec<Document> {
    std::mem::take(&mut *commands.lock().unwrap())
}

#[tokio::test]
async fn every_command_asks_for_a_majority() {
    let Some(server) = server() else { return };
    let (client, commands) = careless(&server.url("concerns")).await;
    let store = MongoStore::new(client.database("concerns")).timeout(PATIENCE);
    let version = create(&store, 1, day()).await;
    let new = Bytes::from_static(DATA);
    let newer = store.update(&key(1), version, new.clone(), day()).await;
    store.touch(&key(1), newer.unwrap(), day()).await.unwrap();
    store
        .update(&key(1), version, new, day())
        .await
        .unwrap_err();
    for read in [Read::Current, Read::Recent] {
        store.load(&key(1), read).await.unwrap();
        store.load_many(&[key(1), key(2)], read).await;
    }
    store.browse(&Cursor::default(), 99_999).await.unwrap();
    store.sweep().await;
    store.delete(&key(1), None).await.unwrap();
    store.delete_many(&[(key(2), Some(version))]).await;
    let sent = sent(&commands);
    let (writes, reads): (Vec<_>, Vec<_>) = sent
        .iter()
        .partition(|command| command.contains_key("update") || command.contains_key("delete"));
    assert_eq!((writes.len(), reads.len()), (6, 8), "{sent:?}");
    for command in writes {
        let concern = command.get_document("writeConcern").unwrap();
        assert_eq!(concern.get_str("w").unwrap(), "majority", "{command}");
        assert!(concern.get_bool("j").unwrap(), "{command}");
        assert!(concern.contains_key("wtimeout"), "{command}");
    }
    for command in reads {
        let concern = command.get_document("readConcern").unwrap();
        assert_eq!(concern.get_str("level").unwrap(), "majority", "{command}");
        // A list needs no versions, and holds this many records at once.
        if command.contains_key("sort") {
            let fields = command.get_document("projection").unwrap();
            assert!(fields.keys().eq(["data", "expires"]), "{command}");
            assert_eq!(number(command, "limit"), 10_000, "{command}");
        }
        if is_by_keys(command) {
            let most = number(command, "maxTimeMS");
            assert_eq!(u128::from(most), PATIENCE.as_millis(), "{command}");
            // A second batch would be a second round trip.
            let all = number(command, "limit");
            assert!(number(command, "batchSize") >= all, "{command}");
        }
        // A client of a single server states that the server may be a secondary.
        let preference = command.get_document("$readPreference").ok();
        let mode = preference.map(|preference| preference.get_str("mode").unwrap());
        assert!(
            !matches!(mode, Some("secondary" | "secondaryPreferred")),
            "{command}"
        );
    }
}

/// The server under test accepts such reads. MongoDB does so only in a replica set.
#[tokio::test]
async fn reads_that_must_be_current_are_linearizable_on_request() {
    let Some(server) = server() else { return };
    let (client, commands) = careless(&server.url("linearizable")).await;
    let store = MongoStore::new(client.database("linearizable")).timeout(PATIENCE);
    let store = store.linearizable();
    create(&store, 1, day()).await;
    sent(&commands);
    for (read, level) in [(Read::Current, "linearizable"), (Read::Recent, "majority")] {
        assert!(store.load(&key(1), read).await.unwrap().is_some());
        let sent = sent(&commands).pop().unwrap();
        let concern = sent.get_document("readConcern").unwrap();
        assert_eq!(concern.get_str("level").unwrap(), level, "{sent}");
    }

    // The reason for a refused write is read with the same concern, without the session's bytes.
    let stale = Version::from_u64(7);
    let new = Bytes::from_static(DATA);
    store.update(&key(1), stale, new, day()).await.unwrap_err();
    store.delete(&key(1), Some(stale)).await.unwrap_err();
    let sent = sent(&commands);
    let looks: Vec<_> = sent.iter().filter(|command| is_by_keys(command)).collect();
    assert_eq!((sent.len(), looks.len()), (4, 2), "{sent:?}");
    for look in looks {
        let concern = look.get_document("readConcern").unwrap();
        assert_eq!(concern.get_str("level").unwrap(), "linearizable", "{look}");
        let fields = look.get_document("projection").unwrap();
        assert!(fields.keys().eq(["version"]), "{look}");
    }
}

/// A record that is deleted in any state is not looked up afterwards.
#[tokio::test]
async fn a_deletion_without_a_version_is_one_command() {
    let Some(server) = server() else { return };
    let (client, commands) = careless(&server.url("deletions")).await;
    let store = MongoStore::new(client.database("deletions")).timeout(PATIENCE);
    create(&store, 1, day()).await;
    sent(&commands);
    store.delete(&key(2), None).await.unwrap();
    let records = [(key(1), None), (key(1), None), (key(2), None)];
    for deleted in store.delete_many(&records).await {
        deleted.unwrap();
    }
    assert!(store.delete_many(&[]).await.is_empty());
    assert_eq!(sent(&commands).len(), 2);
    assert_eq!(data(&store, 1).await, None);
}
