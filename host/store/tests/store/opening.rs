//! Opening and closing.

use std::os::unix::fs::PermissionsExt as _;

use futures_util::future::join_all;
use prism_store::{Store, StoreError, StoreOptions};

use crate::fixture::{Fixture, id, new, url};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_there_after_a_restart() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    fixture.store.ping().await.expect("answers");
    fixture.store.close().await;
    let closed = fixture.store.accept(new(2)).await;
    assert!(matches!(closed, Err(StoreError::Closed)), "{closed:?}");
    assert!(fixture.store.ping().await.is_err());
    let again = Store::open(&url(&fixture.folder), &StoreOptions::default()).await.expect("opens");
    assert!(again.submission(id(1)).await.expect("reads").is_some());
    assert_eq!(again.accept(new(2)).await.expect("accepted").submission.sequence, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_are_carried_out_before_closing() {
    let fixture = Fixture::new().await;
    let uploads = join_all((1..=50).map(|n| fixture.store.accept(new(n))));
    let (answers, ()) = tokio::join!(uploads, fixture.store.close());
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    let again = Store::open(&url(&fixture.folder), &StoreOptions::default()).await.expect("opens");
    assert_eq!(accepted, 50, "all were in the queue before it was closed");
    assert_eq!(again.count_by_status().await.expect("reads").get("pending").copied(), Some(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_may_open_a_new_database_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = StoreOptions::default();
    let address = url(&folder);
    let stores = join_all((0..8).map(|_| Store::open(&address, &options))).await;
    for (n, store) in (1..).zip(stores) {
        let store = store.expect("opens");
        assert_eq!(
            store.accept(new(n)).await.expect("accepted").submission.sequence,
            i64::try_from(n).expect("small")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_build_is_refused() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.stranger().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut stranger)
    .await
    .expect("inserted");
    let refused = Store::open(&url(&fixture.folder), &StoreOptions::default()).await;
    assert!(matches!(refused, Err(StoreError::SchemaTooNew { version: 9999 })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_another_engine_is_refused() {
    let refused = Store::open("postgres://localhost/prism", &StoreOptions::default()).await;
    assert_eq!(refused.map(|_store| ()).map_err(|error| error.code()), Err("invalid-url"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_news_ends_with_the_next_write() {
    let fixture = Fixture::new().await;
    let mut changes = fixture.store.changes();
    changes.borrow_and_update();
    fixture.accept(1).await;
    assert!(changes.has_changed().expect("the store is open"));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_share_the_key_of_the_first() {
    let fixture = Fixture::new().await;
    let other = Store::open(&url(&fixture.folder), &StoreOptions::default()).await.expect("opens");
    let (one, two) = tokio::join!(
        fixture.store.shared_secret("beacon", [1; 32]),
        other.shared_secret("beacon", [2; 32])
    );
    assert_eq!(one.expect("drawn"), two.expect("drawn"));
    assert_eq!(other.shared_secret("another", [3; 32]).await.expect("drawn"), [3; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("new/data");
    let address = format!("sqlite://{}", data.join("prism.db").display());
    let store = Store::open(&address, &StoreOptions::default()).await.expect("opens");
    store.accept(new(1)).await.expect("accepted");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&data).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "the database and its log");
    store.close().await;
    // What somebody opened to others on purpose stays so.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o750)).expect("set");
    Store::open(&address, &StoreOptions::default()).await.expect("opens").close().await;
    assert_eq!(mode(&data), 0o750);
}
