//! The reference's runs of earlier evaluations: a bounded cache that may lose anything at any time. It
//! knows nothing of what the bytes say.

use prism_domain::ids::Digest;
use prism_domain::time::Timestamp;

use crate::codec::{parsed, verified};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;

/// Reference runs of one evaluation, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRuns {
    /// Digest of what is known before an evaluation: plan, seeds, backend.
    pub asked: Digest,
    /// Digest of what it ran on: corpus, image, device, versions.
    pub stack: Digest,
    /// The runs as the scorer reads them, JSON.
    pub bytes: Vec<u8>,
}

impl Store {
    /// The newest runs that were kept for `asked`; none when there are none, or none any more.
    pub async fn reference_runs(&self, asked: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT digest, bytes FROM reference_runs WHERE asked = $1 ORDER BY at DESC, stack LIMIT 1",
        )
        .bind(asked.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(digest, bytes)| verified(parsed("reference digest", &digest)?, bytes)).transpose()
    }

    /// Forgets runs from before `before`, and all but the newest `keep`; answers how many.
    pub async fn prune_reference_runs(
        &self,
        before: Timestamp,
        keep: u32,
    ) -> Result<u64, StoreError> {
        let (oldest, kept): (Option<i64>, i64) =
            sqlx::query_as("SELECT MIN(at), COUNT(*) FROM reference_runs")
                .fetch_one(&self.readers)
                .await?;
        // A look without the writer first: most of the time there is nothing to forget.
        if kept <= i64::from(keep) && oldest.is_none_or(|oldest| oldest >= before.as_micros()) {
            return Ok(0);
        }
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let pruned = sqlx::query(
                        "DELETE FROM reference_runs WHERE at < $1 OR (asked, stack) NOT IN \
                         (SELECT asked, stack FROM reference_runs ORDER BY at DESC, asked, stack LIMIT $2)",
                    )
                    .bind(before.as_micros())
                    .bind(i64::from(keep))
                    .execute(connection)
                    .await?;
                    Ok(pruned.rows_affected())
                })
            })
            .await
    }
}

/// Keeps runs; they take the place of older ones of the same kind.
pub(crate) async fn insert_reference_runs(
    connection: &mut Connection,
    runs: ReferenceRuns,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO reference_runs (asked, stack, digest, bytes, at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (asked, stack) DO UPDATE SET digest = excluded.digest, bytes = excluded.bytes, \
         at = excluded.at",
    )
    .bind(runs.asked.to_string())
    .bind(runs.stack.to_string())
    .bind(Digest::of(&runs.bytes).to_string())
    .bind(runs.bytes)
    .bind(now.as_micros())
    .execute(connection)
    .await?;
    Ok(())
}
