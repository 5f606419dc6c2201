//! Who brought which component, and whose signature it bears. Rows are only ever added, each with a hash over
//! itself and the one before.

use prism_domain::ids::Digest;
use prism_domain::time::Timestamp;
use serde::Serialize;

use crate::codec::{bounded, parsed};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;
use crate::policy_log::{Act, BEGINNING};

/// A signature that was verified before it came here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredSignature {
    /// Name of the key, as the settings had it then.
    pub key_name: String,
    /// The public key, hex.
    pub key: String,
    /// The signature, hex.
    pub signature: String,
}

/// A row of the log of components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentLogEntry {
    /// Position, rising.
    pub sequence: i64,
    /// Which component.
    pub component: Digest,
    /// Whose signature it bore; none where nobody signed.
    pub signature: Option<StoredSignature>,
    /// Who brought it.
    pub actor: String,
    /// What they said about it.
    pub note: String,
    /// When.
    pub at: Timestamp,
    /// Hash of the row before.
    pub previous: String,
    /// Hash of this row.
    pub hash: String,
}

impl Store {
    /// Notes that a stored component was brought once more under a signature; answers whether that key had not
    /// signed it before.
    pub async fn put_component_signature(
        &self,
        component: Digest,
        signature: StoredSignature,
        act: Act,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let known: i64 = sqlx::query_scalar(
                        "SELECT COUNT(*) FROM component_log WHERE component = $1 AND key = $2",
                    )
                    .bind(component.to_string())
                    .bind(&signature.key)
                    .fetch_one(&mut *connection)
                    .await?;
                    if known > 0 {
                        return Ok(false);
                    }
                    append(connection, component, Some(signature), act).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// How a component came in, oldest first.
    pub async fn pushes_of(&self, component: Digest) -> Result<Vec<ComponentLogEntry>, StoreError> {
        let rows: Vec<LogRow> =
            sqlx::query_as("SELECT * FROM component_log WHERE component = $1 ORDER BY sequence")
                .bind(component.to_string())
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The log of components after a position, oldest first.
    pub async fn component_log_after(
        &self,
        sequence: i64,
        limit: u32,
    ) -> Result<Vec<ComponentLogEntry>, StoreError> {
        let rows: Vec<LogRow> = sqlx::query_as(
            "SELECT * FROM component_log WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        )
        .bind(sequence)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

pub(crate) async fn append(
    connection: &mut Connection,
    component: Digest,
    signature: Option<StoredSignature>,
    act: Act,
) -> Result<(), StoreError> {
    let previous: Option<String> =
        sqlx::query_scalar("SELECT hash FROM component_log ORDER BY sequence DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let previous = previous.unwrap_or_else(|| BEGINNING.to_owned());
    let hash = hash_of(&previous, component, signature.as_ref(), &act);
    let (key_name, key, signature) = match signature {
        Some(signed) => (Some(signed.key_name), Some(signed.key), Some(signed.signature)),
        None => (None, None, None),
    };
    sqlx::query(
        "INSERT INTO component_log \
         (component, key_name, key, signature, actor, note, at, previous, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(component.to_string())
    .bind(key_name)
    .bind(key)
    .bind(signature)
    .bind(act.actor)
    .bind(act.reason)
    .bind(act.at.as_micros())
    .bind(previous)
    .bind(hash)
    .execute(connection)
    .await?;
    Ok(())
}

/// SHA-256 over a JSON array of the row, the hash of the row before first.
fn hash_of(
    previous: &str,
    component: Digest,
    signature: Option<&StoredSignature>,
    act: &Act,
) -> String {
    let row = serde_json::json!([
        previous,
        component,
        signature,
        act.actor,
        act.reason,
        act.at.as_micros()
    ]);
    Digest::of(row.to_string().as_bytes()).to_string()
}

/// Whether a run of rows is whole and unchanged. `previous` is the hash before the first of them.
pub fn component_log_is_whole(previous: &str, entries: &[ComponentLogEntry]) -> bool {
    let mut before = previous;
    entries.iter().all(|entry| {
        let act = Act { actor: entry.actor.clone(), reason: entry.note.clone(), at: entry.at };
        let hash = hash_of(before, entry.component, entry.signature.as_ref(), &act);
        let whole = entry.previous == before && entry.hash == hash;
        before = &entry.hash;
        whole
    })
}

#[derive(sqlx::FromRow)]
struct LogRow {
    sequence: i64,
    component: String,
    key_name: Option<String>,
    key: Option<String>,
    signature: Option<String>,
    actor: String,
    note: String,
    at: i64,
    previous: String,
    hash: String,
}

impl TryFrom<LogRow> for ComponentLogEntry {
    type Error = StoreError;

    fn try_from(row: LogRow) -> Result<Self, StoreError> {
        let signature = match (row.key_name, row.key, row.signature) {
            (Some(key_name), Some(key), Some(signature)) => {
                Some(StoredSignature { key_name, key, signature })
            }
            _ => None,
        };
        Ok(Self {
            sequence: row.sequence,
            component: parsed("component digest", &row.component)?,
            signature,
            actor: row.actor,
            note: row.note,
            at: Timestamp::from_micros(row.at),
            previous: row.previous,
            hash: row.hash,
        })
    }
}
