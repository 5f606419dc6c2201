//! Keys that a deployment draws once and all its processes share.

use crate::error::StoreError;
use crate::open::Store;

impl Store {
    /// The key of that name: the stored one, or `fresh`, which is stored then. Whoever comes first
    /// decides; all later callers get the same key.
    pub async fn shared_secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let name = name.to_owned();
        let stored: Vec<u8> = self
            .writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                    )
                    .bind(name.clone())
                    .bind(fresh.to_vec())
                    .execute(&mut *connection)
                    .await?;
                    let value = sqlx::query_scalar("SELECT value FROM secrets WHERE name = $1")
                        .bind(name)
                        .fetch_one(&mut *connection)
                        .await?;
                    Ok(value)
                })
            })
            .await?;
        stored.try_into().map_err(|value: Vec<u8>| StoreError::Corrupt {
            what: "secret",
            detail: format!("{} bytes instead of 32", value.len()),
        })
    }
}
