//! What each command asks of the servers beside its work: a server that is alone cannot show it.

use std::sync::{Arc, Mutex};

use mongodb::{
    Client,
    bson::Document,
    event::{EventHandler, command::CommandEvent},
    options::{
        Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
    },
};
use silverback::store::{Browse as _, Bytes, Cursor, Read, Store as _, Sweep as _};
use silverback_mongodb::MongoStore;
use silverback_test_servers::kit::{DATA, create, key};

use crate::{PATIENCE, day, server};

type Commands = Arc<Mutex<Vec<Document>>>;

/// A client that wants as little as possible by itself, and what it sends.
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
    store.browse(&Cursor::default(), 9).await.unwrap();
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
        // To one server alone, the client says that it may be a secondary.
        let preference = command.get_document("$readPreference").ok();
        let mode = preference.map(|preference| preference.get_str("mode").unwrap());
        assert!(
            !matches!(mode, Some("secondary" | "secondaryPreferred")),
            "{command}"
        );
    }
}

/// The server that is tested on takes such reads. MongoDB does so in a replica set alone.
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
}
