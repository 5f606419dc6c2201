//! Calls of the language model: what they cost, what was answered, and since when none is.

use prism_domain::ids::Digest;
use prism_domain::time::Timestamp;

use crate::error::StoreError;
use crate::open::Store;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCall {
    /// Digest of the question.
    pub question: Digest,
    /// Which model was asked.
    pub model: String,
    /// Tokens paid for.
    pub tokens: u64,
    /// The answer, or the stable code of why there is none.
    pub outcome: Result<String, String>,
}

/// A question that has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFailures {
    /// How often it was put in vain.
    pub count: u64,
    /// When that was first; none where it never was.
    pub first: Option<Timestamp>,
    /// Whether the model answered another question since: then it is not out of reach.
    pub others_answered: bool,
}

impl Store {
    /// Keeps a call.
    pub async fn put_model_call(&self, call: ModelCall, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let (arguments, code) = match call.outcome {
                        Ok(arguments) => (Some(arguments), None),
                        Err(code) => (None, Some(code)),
                    };
                    sqlx::query(
                        "INSERT INTO model_calls (at, question, model, tokens, code, arguments) \
                         VALUES ($1, $2, $3, $4, $5, $6)",
                    )
                    .bind(now.as_micros())
                    .bind(call.question.to_string())
                    .bind(call.model)
                    .bind(i64::try_from(call.tokens).unwrap_or(i64::MAX))
                    .bind(code)
                    .bind(arguments)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// What the model answered to this very question; none where it never did.
    pub async fn model_answer(&self, question: Digest) -> Result<Option<String>, StoreError> {
        let answered = sqlx::query_scalar(
            "SELECT arguments FROM model_calls WHERE question = $1 AND arguments IS NOT NULL \
             ORDER BY sequence DESC LIMIT 1",
        );
        Ok(answered.bind(question.to_string()).fetch_optional(&self.readers).await?)
    }

    /// Tokens paid for since a moment.
    pub async fn model_tokens_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        let spent: i64 =
            sqlx::query_scalar("SELECT COALESCE(SUM(tokens), 0) FROM model_calls WHERE at >= $1")
                .bind(since.as_micros())
                .fetch_one(&self.readers)
                .await?;
        Ok(u64::try_from(spent).unwrap_or(0))
    }

    /// Calls by how they came out, the stable code or `answered`, and the tokens of each.
    pub async fn model_calls(&self) -> Result<Vec<(String, u64, u64)>, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT COALESCE(code, 'answered') AS outcome, COUNT(*), SUM(tokens) FROM model_calls \
             GROUP BY outcome ORDER BY outcome",
        )
        .fetch_all(&self.readers)
        .await?;
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok(rows
            .into_iter()
            .map(|(outcome, calls, tokens)| (outcome, count(calls), count(tokens)))
            .collect())
    }

    /// How often a question was put in vain at `since` or later, and what the model did meanwhile.
    pub async fn model_failures(
        &self,
        question: Digest,
        since: Timestamp,
    ) -> Result<ModelFailures, StoreError> {
        let (count, first): (i64, Option<i64>) = sqlx::query_as(
            "SELECT COUNT(*), MIN(at) FROM model_calls \
             WHERE question = $1 AND code IS NOT NULL AND at >= $2",
        )
        .bind(question.to_string())
        .bind(since.as_micros())
        .fetch_one(&self.readers)
        .await?;
        let others: Option<i64> = sqlx::query_scalar(
            "SELECT sequence FROM model_calls WHERE at >= $1 AND arguments IS NOT NULL LIMIT 1",
        )
        .bind(first.unwrap_or(i64::MAX))
        .fetch_optional(&self.readers)
        .await?;
        Ok(ModelFailures {
            count: u64::try_from(count).unwrap_or(0),
            first: first.map(Timestamp::from_micros),
            others_answered: others.is_some(),
        })
    }
}
