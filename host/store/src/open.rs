//! Opening a database: the URL, the schema, the writer and the readers.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::watch;

use crate::dialect::{BEGIN_WRITING, Connection, Pool};
use crate::error::StoreError;
use crate::writer::Writer;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Tries to open a database that others are opening, and the pause between them: ten seconds in all.
const OPEN_TRIES: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(50);
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages that the write-ahead log may hold before a commit folds it into the database: 16 MiB.
const WAL_AUTOCHECKPOINT_PAGES: u32 = 4_096;
/// The write-ahead log is cut back to this size after it was folded in.
const JOURNAL_SIZE_LIMIT_BYTES: u32 = 67_108_864;

/// Settings of a [`Store`]; the defaults fit a small machine.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Connections for reading.
    pub read_connections: u32,
    /// Writes that may wait; one more is refused as busy.
    pub queue_capacity: usize,
    /// Writes that share one transaction.
    pub batch_max: usize,
    /// How long to wait for a lock that another process holds, milliseconds.
    pub busy_timeout_ms: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { read_connections: 4, queue_capacity: 1_024, batch_max: 64, busy_timeout_ms: 5_000 }
    }
}

/// The database. Cloning it is cheap; all clones share one writer.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) writer: Arc<Writer>,
    pub(crate) readers: Pool,
    path: Arc<Path>,
}

impl Store {
    /// Opens the database and brings its schema up to date, creating it where there is none.
    ///
    /// `sqlite:///absolute/path` and `sqlite:path` name the file as they stand; `sqlite+aiosqlite:///path`
    /// is read as `SQLAlchemy` reads it, where a fourth slash makes the path absolute. The parent
    /// folder is created. What is created can be read by its owner alone, for the database holds the key
    /// that coming seeds follow from. Must be called inside a Tokio runtime.
    pub async fn open(url: &str, options: &StoreOptions) -> Result<Self, StoreError> {
        let path = path_of(url).ok_or_else(|| StoreError::InvalidUrl(url.to_owned()))?;
        create_private(&path).map_err(|source| StoreError::from(sqlx::Error::Io(source)))?;
        let base = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(options.busy_timeout_ms))
            .pragma("temp_store", "memory");
        let writing = base
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES.to_string())
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES.to_string());
        let connection = connect_migrated(&writing).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.read_connections.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(base.read_only(true));
        let writer = Writer::start(connection, writing, options);
        Ok(Self { writer: Arc::new(writer), readers, path: path.into() })
    }

    /// Finishes the writes that wait, then closes all connections. Later calls fail as closed.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    /// Proves that the database can be read and written: a page goes to the disk, with what stands on it already.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(&self.readers).await?;
        self.writer
            .write(|connection| {
                Box::pin(async move {
                    // Nobody reads this number; SQLite writes its page also when it is the same.
                    sqlx::query("PRAGMA user_version = 0").execute(connection).await?;
                    Ok(())
                })
            })
            .await
    }

    /// A number that rises with each write of this process: who waits for work or for news waits for it.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.writer.changes()
    }

    /// The file of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Connects and migrates. Switching a new file to its write-ahead log answers "busy" at once, without the
/// busy timeout, when several processes do it together; so the whole is tried again for a while.
async fn connect_migrated(options: &SqliteConnectOptions) -> Result<Connection, StoreError> {
    let mut tries_left = OPEN_TRIES;
    loop {
        tries_left -= 1;
        match try_connect_migrated(options).await {
            Err(StoreError::Busy) if tries_left > 0 => tokio::time::sleep(OPEN_PAUSE).await,
            outcome => return outcome,
        }
    }
}

async fn try_connect_migrated(options: &SqliteConnectOptions) -> Result<Connection, StoreError> {
    let mut connection = options.connect().await?;
    migrate(&mut connection).await?;
    Ok(connection)
}

/// Creates the file and its folder for their owner alone, where they are missing. SQLite gives the files
/// beside it the permissions of the database.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_empty) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Two processes that start together migrate one after the other: the lock is taken before the look.
async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(BEGIN_WRITING).await?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            StoreError::SchemaTooNew { version }
        }
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        other => StoreError::corrupt("schema", other),
    })?;
    transaction.commit().await?;
    Ok(())
}

/// The file that a URL names; none when it names no SQLite file.
fn path_of(url: &str) -> Option<PathBuf> {
    let path = if let Some(rest) = url.strip_prefix("sqlite+aiosqlite:///") {
        rest
    } else {
        let rest = url.strip_prefix("sqlite:")?;
        rest.strip_prefix("//").unwrap_or(rest)
    };
    let named = !path.is_empty()
        && !path.ends_with('/')
        && !path.contains(['?', '\0'])
        && path != ":memory:";
    named.then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files() {
        let cases = [
            ("sqlite:///var/lib/prism.db", Some("/var/lib/prism.db")),
            ("sqlite:prism.db", Some("prism.db")),
            ("sqlite://prism.db", Some("prism.db")),
            ("sqlite+aiosqlite:////data/challenge.sqlite3", Some("/data/challenge.sqlite3")),
            ("sqlite+aiosqlite:///./prism.sqlite3", Some("./prism.sqlite3")),
            ("sqlite::memory:", None),
            ("sqlite:", None),
            ("sqlite:///a.db?mode=memory", None),
            ("postgres://host/db", None),
        ];
        for (url, path) in cases {
            assert_eq!(path_of(url).as_deref(), path.map(Path::new), "{url}");
        }
    }
}
