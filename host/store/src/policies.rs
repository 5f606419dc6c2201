//! Policy sets and their components, kept so that every decision can be taken again.

use std::collections::BTreeMap;

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_domain::time::Timestamp;

use crate::codec::parsed;
use crate::decisions::slot;
use crate::error::StoreError;
use crate::open::Store;

/// A policy set as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicySet {
    /// Digest of the set.
    pub digest: Digest,
    /// Components and settings as canonical JSON.
    pub canonical: String,
    /// The component of each slot.
    pub components: BTreeMap<Slot, Digest>,
    /// When it was stored first.
    pub created_at: Timestamp,
}

impl Store {
    /// Stores the bytes of a component; they are read back with [`Store::blob`].
    pub async fn put_component(&self, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        self.put_blob(bytes).await
    }

    /// Stores a policy set whose components are stored; storing it again changes nothing.
    pub async fn put_policy_set(
        &self,
        digest: Digest,
        canonical: String,
        components: BTreeMap<Slot, Digest>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let inserted = sqlx::query(
                        "INSERT INTO policy_sets (digest, canonical, created_at) VALUES ($1, $2, $3) \
                         ON CONFLICT (digest) DO NOTHING",
                    )
                    .bind(digest.to_string())
                    .bind(canonical)
                    .bind(now.as_micros())
                    .execute(&mut *connection)
                    .await?;
                    if inserted.rows_affected() == 0 {
                        return Ok(());
                    }
                    for (slot, component) in components {
                        sqlx::query(
                            "INSERT INTO policy_set_components (policy_set, slot, component) \
                             VALUES ($1, $2, $3)",
                        )
                        .bind(digest.to_string())
                        .bind(slot.as_str())
                        .bind(component.to_string())
                        .execute(&mut *connection)
                        .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// A policy set by its digest.
    pub async fn policy_set(&self, digest: Digest) -> Result<Option<StoredPolicySet>, StoreError> {
        let mut reading = self.readers.begin().await?;
        let head: Option<(String, i64)> =
            sqlx::query_as("SELECT canonical, created_at FROM policy_sets WHERE digest = $1")
                .bind(digest.to_string())
                .fetch_optional(&mut *reading)
                .await?;
        let Some((canonical, created_at)) = head else { return Ok(None) };
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT slot, component FROM policy_set_components WHERE policy_set = $1",
        )
        .bind(digest.to_string())
        .fetch_all(&mut *reading)
        .await?;
        let components = rows
            .into_iter()
            .map(|(name, component)| Ok((slot(&name)?, parsed("component digest", &component)?)))
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(StoredPolicySet {
            digest,
            canonical,
            components,
            created_at: Timestamp::from_micros(created_at),
        }))
    }
}
