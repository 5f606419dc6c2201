//! The review policy's closer look: what is put before it beside the facts, and the language model that is asked for it.
//! What is asked, and how the answer counts, is the policy's.

use std::sync::Arc;

use prism_domain::consult::{
    ModelAnswer, PATIENCE_MAX_SECONDS, Question, RESEMBLANCES_MAX, Reply, Resemblance,
    ReviewContext, SourceText, Unavailable, WrittenRule,
};
use prism_domain::facts::ModuleSource;
use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::policy::{Decided, FaultClass, PolicyFault, PolicySet};
use prism_domain::review::{Neighbour, ReviewInput, Reviewed, Verdict};
use prism_domain::time::Timestamp;
use prism_intake::Project;
use prism_store::{Claim, ModelCall, ResemblingSubmission};

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;

/// Similarity from which a neighbour is compared token by token, parts per million.
const COMPARED_FROM_PPM: u32 = 300_000;
/// The time over which tokens are counted, milliseconds: a day.
const BUDGET_MS: i64 = 24 * 3_600 * 1_000;
/// Times that a question may be put in vain while the model answers others.
const OWN_FAILURES_MAX: u64 = 3;
/// The longest rest between two tries of a question, milliseconds.
const REST_MAX_MS: i64 = 600_000;

/// What the closer look has to keep to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloserConfig {
    /// The operator's rules in words.
    pub rules: Vec<WrittenRule>,
    /// Tokens that the model may be paid for within a day; none for as many as are needed.
    pub tokens_per_day: Option<u64>,
    /// The shortest rest between two tries of a question, milliseconds.
    pub retry_ms: i64,
    /// Reviews at the same time. More than one where a model makes each of them long.
    pub reviews: usize,
}

/// A question that waits for its answer.
struct Waiting<'a> {
    question: &'a Question,
    digest: Digest,
    model: String,
}

impl Pipeline {
    /// What is known beside the facts, before anything was asked.
    pub(crate) async fn review_context(
        &self,
        claim: &Claim,
        neighbours: &[ResemblingSubmission],
    ) -> Result<ReviewContext, StageError> {
        let missing = StageError::Missing { what: "project" };
        let project = self.load_project(&claim.submission).await?.map_err(|_rejection| missing)?;
        let own: Arc<[ModuleSource]> = modules(&project).into();
        let mut resemblances = Vec::new();
        for near in neighbours.iter().filter(|one| is_near(one)).take(RESEMBLANCES_MAX) {
            resemblances.extend(self.resemblance(&own, near.neighbour.submission_id).await?);
        }
        let text = |module: &ModuleSource| SourceText {
            path: module.path.clone(),
            text: String::from_utf8_lossy(&module.source).into_owned(),
        };
        Ok(ReviewContext {
            sources: own.iter().map(text).collect(),
            rules: self.config.closer.rules.clone(),
            resemblances,
            model: self.consultant.model(),
            reply: None,
            asked: None,
        })
    }

    /// A comparison that fails leaves the neighbour without one: what the fingerprints say of it is known all the same.
    async fn resemblance(
        &self,
        own: &Arc<[ModuleSource]>,
        id: SubmissionId,
    ) -> Result<Option<Resemblance>, StageError> {
        let other = match self.load_accepted_project(id).await {
            Ok(other) => modules(&other),
            Err(error @ StageError::Store(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(neighbour = %id, code = error.code(), "a neighbour cannot be compared");
                return Ok(None);
            }
        };
        let (reader, own) = (Arc::clone(&self.reader), Arc::clone(own));
        match on_blocking_thread(move || reader.compare(&own, &other)).await? {
            Ok(comparison) => Ok(Some(Resemblance { submission_id: id, comparison })),
            Err(fault) if fault.class == FaultClass::HostGuard => Err(fault.into()),
            Err(fault) => {
                tracing::warn!(neighbour = %id, code = fault.code, "a neighbour cannot be compared");
                Ok(None)
            }
        }
    }

    /// Puts a question to the model, unless the same one was answered before.
    pub(crate) async fn ask_model(
        &self,
        claim: &Claim,
        question: &Question,
        digest: Digest,
    ) -> Result<Reply, StageError> {
        if let Some(known) = self.store.model_answer(digest).await? {
            return Ok(Reply::Answered(known));
        }
        let model = self.consultant.model().map(|model| model.name).unwrap_or_default();
        let waiting = Waiting { question, digest, model };
        tracing::info!(submission = %claim.submission.id, question = %digest, "asks the language model");
        self.store.let_pass(claim).await?;
        match self.paid_answer(&waiting).await? {
            Ok(answer) => Ok(Reply::Answered(answer.arguments)),
            Err(unavailable) => self.without_answer(&waiting, unavailable).await,
        }
    }

    /// The model's answer within the budget; whatever it cost is written down.
    async fn paid_answer(
        &self,
        waiting: &Waiting<'_>,
    ) -> Result<Result<ModelAnswer, Unavailable>, StageError> {
        let since = self.clock.now().plus_ms(-BUDGET_MS);
        let answer = match self.config.closer.tokens_per_day {
            Some(most) if self.store.model_tokens_since(since).await? >= most => Err(Unavailable {
                code: "llm-budget",
                message: "what the operator pays for a day is used up".to_owned(),
                passing: true,
                spent_tokens: 0,
            }),
            _ => self.consultant.ask(waiting.question).await,
        };
        let (tokens, outcome) = match &answer {
            Ok(answer) => (
                answer.input_tokens.saturating_add(answer.output_tokens),
                Ok(answer.arguments.clone()),
            ),
            Err(none) => (none.spent_tokens, Err(none.code.to_owned())),
        };
        let call =
            ModelCall { question: waiting.digest, model: waiting.model.clone(), tokens, outcome };
        self.store.put_model_call(call, self.clock.now()).await?;
        Ok(answer)
    }

    /// What becomes of a question that has no answer: it waits as long as the policy says, then the policy is told.
    async fn without_answer(
        &self,
        waiting: &Waiting<'_>,
        unavailable: Unavailable,
    ) -> Result<Reply, StageError> {
        let now = self.clock.now();
        let longest = now.plus_ms(-1_000 * i64::from(PATIENCE_MAX_SECONDS));
        let failures = self.store.model_failures(waiting.digest, longest).await?;
        let waited_ms = elapsed_ms(failures.first.unwrap_or(now), now);
        // A project that the model cannot be brought to answer about must not make all later attributions wait.
        let is_its_own = failures.others_answered && failures.count >= OWN_FAILURES_MAX;
        let patience_ms = 1_000 * i64::from(waiting.question.patience_seconds);
        tracing::warn!(
            code = unavailable.code,
            message = unavailable.message,
            waited_ms,
            "the language model gave no answer"
        );
        if unavailable.passing && !is_its_own && waited_ms < patience_ms {
            let rest_ms = (waited_ms / 2).clamp(self.config.closer.retry_ms, REST_MAX_MS);
            return Err(StageError::Waiting { code: unavailable.code, rest_ms });
        }
        Ok(Reply::Unavailable(unavailable.to_string()))
    }
}

fn is_near(one: &ResemblingSubmission) -> bool {
    let Neighbour { same_source, same_architecture, similarity_ppm, .. } = one.neighbour;
    let similarity_ppm = similarity_ppm.max(one.architecture_similarity_ppm);
    same_source || same_architecture || similarity_ppm >= COMPARED_FROM_PPM
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_micros() - from.as_micros()).max(0) / 1_000
}

/// The modules that Python would read.
fn modules(project: &Project) -> Vec<ModuleSource> {
    let python = project.files.iter().filter(|file| file.path.is_python());
    let module = |file: &prism_intake::ProjectFile| ModuleSource {
        path: file.path.as_str().to_owned(),
        source: file.bytes.clone(),
    };
    python.map(module).collect()
}

/// Digest of a question, asked of the model that the policy was told of.
pub(crate) fn question_digest(input: &ReviewInput, question: &Question) -> Digest {
    let model = input.context.as_ref().and_then(|context| context.model.as_ref());
    question.digest(model.map_or("", |model| model.name.as_str()))
}

/// The policy wants an answer to a second question, which the check of its answers does not let through.
pub(crate) fn asks_again() -> PolicyFault {
    PolicyFault {
        class: FaultClass::GuestFault,
        code: "policy-asks-again".to_owned(),
        message: "the review policy asked a second question".to_owned(),
    }
}

/// A stored question of a review, put to a policy again. Where that one asks the model the same, it gets the same reply;
/// where it asks something else, nobody can say what the reply would have been.
pub(crate) fn review_again(
    set: &dyn PolicySet,
    mut input: ReviewInput,
) -> Result<Decided<Verdict>, PolicyFault> {
    let context = input.context.as_mut();
    let kept = context.and_then(|context| Some((context.asked.take()?, context.reply.take()?)));
    let mut decided = set.review(&input)?;
    if let Reviewed::Ask(question) = &decided.answer {
        let digest = question_digest(&input, question);
        let reply = match kept {
            Some((asked, reply)) if asked == digest => reply,
            _ => Reply::Unavailable("this was not asked when it was decided".to_owned()),
        };
        if let Some(context) = input.context.as_mut() {
            (context.asked, context.reply) = (Some(digest), Some(reply));
        }
        decided = set.review(&input)?;
    }
    match decided.answer {
        Reviewed::Verdict(answer) => {
            Ok(Decided { answer, provenance: decided.provenance, question: decided.question })
        }
        Reviewed::Ask(_) => Err(asks_again()),
    }
}
