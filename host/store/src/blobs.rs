//! Bytes by their SHA-256: uploads, components, telemetry.

use std::collections::BTreeMap;

use prism_domain::ids::Digest;

use crate::codec::{to_column, verified};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;

impl Store {
    /// Stores bytes under their digest; storing them again changes nothing.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        let digest = Digest::of(&bytes);
        self.writer
            .write(move |connection| Box::pin(insert_blob(connection, digest, bytes)))
            .await?;
        Ok(digest)
    }

    /// The bytes of a digest, checked against it; none when they were never stored.
    pub async fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT bytes FROM blobs WHERE digest = $1")
                .bind(digest.to_string())
                .fetch_optional(&self.readers)
                .await?;
        bytes.map(|bytes| verified(digest, bytes)).transpose()
    }

    /// The bytes of several digests; those that were never stored are left out.
    pub async fn blobs(
        &self,
        digests: Vec<Digest>,
    ) -> Result<BTreeMap<Digest, Vec<u8>>, StoreError> {
        let mut found = BTreeMap::new();
        for digest in digests {
            if let Some(bytes) = self.blob(digest).await? {
                found.insert(digest, bytes);
            }
        }
        Ok(found)
    }
}

/// Stores bytes whose digest the caller computed.
pub(crate) async fn insert_blob(
    connection: &mut Connection,
    digest: Digest,
    bytes: Vec<u8>,
) -> Result<(), StoreError> {
    let size_bytes = to_column("size", bytes.len() as u64)?;
    sqlx::query(
        "INSERT INTO blobs (digest, size_bytes, bytes) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING",
    )
    .bind(digest.to_string())
    .bind(size_bytes)
    .bind(bytes)
    .execute(connection)
    .await?;
    Ok(())
}
