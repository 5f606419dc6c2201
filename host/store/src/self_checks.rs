//! How often all decisions were taken again, and what came.

use prism_domain::time::Timestamp;

use crate::codec::{from_column, to_column};
use crate::error::StoreError;
use crate::open::Store;

/// All decisions taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfCheck {
    /// When it began.
    pub at: Timestamp,
    /// When it ended; none while it is under way, or when its process was lost.
    pub ended_at: Option<Timestamp>,
    /// Derived again, byte for byte.
    pub same: u64,
    /// Not.
    pub differs: u64,
    /// Not tried, because something is missing.
    pub unknown: u64,
}

impl Store {
    /// Begins a self-check unless one began after `since`; answers its number.
    pub async fn begin_self_check(
        &self,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let id = sqlx::query_scalar(
                        "INSERT INTO self_checks (at, same, differs, unknown) SELECT $1, 0, 0, 0 \
                         WHERE NOT EXISTS (SELECT 1 FROM self_checks WHERE at > $2) RETURNING sequence",
                    )
                    .bind(now.as_micros())
                    .bind(since.as_micros())
                    .fetch_optional(connection)
                    .await?;
                    Ok(id)
                })
            })
            .await
    }

    /// Ends a self-check.
    pub async fn end_self_check(&self, id: i64, check: SelfCheck) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE self_checks SET ended_at = $1, same = $2, differs = $3, unknown = $4 \
                         WHERE sequence = $5",
                    )
                    .bind(check.ended_at.map(Timestamp::as_micros))
                    .bind(to_column("count", check.same)?)
                    .bind(to_column("count", check.differs)?)
                    .bind(to_column("count", check.unknown)?)
                    .bind(id)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// The last self-check that ended.
    pub async fn last_self_check(&self) -> Result<Option<SelfCheck>, StoreError> {
        let row: Option<(i64, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT at, ended_at, same, differs, unknown FROM self_checks \
             WHERE ended_at IS NOT NULL ORDER BY sequence DESC LIMIT 1",
        )
        .fetch_optional(&self.readers)
        .await?;
        let read = |(at, ended_at, same, differs, unknown)| {
            Ok(SelfCheck {
                at: Timestamp::from_micros(at),
                ended_at: Some(Timestamp::from_micros(ended_at)),
                same: from_column("count", same)?,
                differs: from_column("count", differs)?,
                unknown: from_column("count", unknown)?,
            })
        };
        row.map(read).transpose()
    }
}
