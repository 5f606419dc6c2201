//! The database engine, named once: everything else speaks SQL that SQLite and PostgreSQL both read.

/// The engine.
pub(crate) type Engine = sqlx::Sqlite;
/// One connection to it.
pub(crate) type Connection = sqlx::SqliteConnection;
/// A pool of connections.
pub(crate) type Pool = sqlx::SqlitePool;

/// Opens a transaction that writes, so that two writers wait for each other at its start and not in its middle.
pub(crate) const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

/// The same for the writer, with the savepoint of the first write.
pub(crate) const BEGIN_BATCH: &str = "BEGIN IMMEDIATE; SAVEPOINT one_write";

/// Result codes of SQLite (without their extension) that mean: another process holds the lock.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
/// The low byte of a result code is the code without its extension.
const PRIMARY_CODE_MASK: i32 = 0xff;

/// Whether the engine refused because somebody else holds the lock.
pub(crate) fn is_lock_conflict(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & PRIMARY_CODE_MASK, BUSY | LOCKED))
}
