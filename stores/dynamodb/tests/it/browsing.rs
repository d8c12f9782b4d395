//! Browsing a table.

use std::collections::BTreeMap;

use silverback::store::{Browse as _, Cursor, RecordKind, StoreError};
use silverback_test_servers::kit::{create, key};

use crate::{
    NOW, day, fresh,
    table::{binary, number},
};

#[tokio::test]
async fn every_record_is_on_a_page_and_nothing_else_is() {
    let Some((store, table)) = fresh().await else {
        return;
    };
    for number in 0..50 {
        create(&store, number, day()).await;
    }
    for id in ["cart", "A", &"f".repeat(64), &"F".repeat(64)] {
        table.put(id, &[("content", binary(b"\x01data"))]).await;
    }
    let foreign = [
        ("version", binary(&[7; 16])),
        ("expires", number(9_000_000_000)),
    ];
    table.put(&key(99).to_string(), &foreign).await;
    for limit in [0, 1, 7, 1_000] {
        let (mut cursor, mut seen, mut pages) = (Some(Cursor::default()), BTreeMap::new(), 0);
        while let Some(from) = cursor {
            let page = store.browse(&from, limit).await.unwrap();
            assert!(page.entries.len() <= limit.max(1));
            for entry in page.entries {
                *seen.entry(entry.key).or_insert(0) += 1;
                assert_eq!(entry.kind, Some(RecordKind::Session));
                assert_eq!(
                    (entry.expires.as_secs(), entry.size),
                    (NOW.as_secs() + 86_400, 5)
                );
            }
            cursor = page.next;
            pages += 1;
        }
        assert_eq!(
            seen,
            (0..50).map(|number| (key(number), 1)).collect(),
            "{limit}"
        );
        assert!(pages >= 55 / limit.max(1), "{pages} of {limit}");
    }
    let refused = store.browse(&Cursor::new(&b"17"[..]), 10).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
}
