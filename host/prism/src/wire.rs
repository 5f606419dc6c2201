//! Names every adapter once and puts them together.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use prism_domain::consult::{Consultant, NoModel};
use prism_domain::entropy::Entropy as _;
use prism_domain::policy::{Policies, SourceReader};
use prism_domain::submission::Stage;
use prism_intake::ArchiveLimits;
use prism_pipeline::{
    Beacon, Boundary, BoundaryHook, CloserConfig, Pipeline, PipelineConfig, ProgressBoard,
};
use prism_policy::{Catalog, Sandbox, SettingsBySlot};
use prism_store::{Store, StoreOptions};

use crate::administration::Administration;
use crate::clock::{SystemClock, SystemEntropy};
use crate::config::Settings;

/// First rest after the host gave up a policy's call, milliseconds.
const RETRY_MS: i64 = 2_000;
/// First rest after a fault of a machine, milliseconds: an engine needs seconds to come back.
const MACHINE_RETRY_MS: i64 = 5_000;
/// First rest after a question to the language model had no answer, milliseconds.
const MODEL_RETRY_MS: i64 = 2_000;
/// How long a hold waits for an operator, milliseconds: two weeks.
const HOLD_EXPIRY_MS: i64 = 14 * 86_400_000;
/// Paired seeds of an evaluation under a plan that does not say.
const PLAN_SEEDS: usize = 2;
/// Name of the key that seeds are derived from.
const BEACON: &str = "beacon";

/// Policies and reader without a database.
pub(crate) struct Sandboxed {
    /// Where decisions are taken.
    pub policies: Arc<Catalog>,
    /// Reads Python as data.
    pub reader: Arc<dyn SourceReader>,
}

/// Loads the embedded policy set; compiled code is kept in the data folder.
pub(crate) fn sandbox(settings: &Settings) -> anyhow::Result<Sandboxed> {
    sandbox_with(settings, &SettingsBySlot::new())
}

/// The same with other settings in some slots; those that a component does not accept are an error.
pub(crate) fn sandbox_with(
    settings: &Settings,
    chosen: &SettingsBySlot,
) -> anyhow::Result<Sandboxed> {
    let cache = code_cache(settings);
    private_folder(&cache)?;
    let sandbox = Sandbox::start(Some(&cache))?;
    let (policies, reader) = Catalog::embedded(&sandbox, chosen)?;
    Ok(Sandboxed { policies: Arc::new(policies), reader: Arc::new(reader) })
}

/// A server, ready to work.
pub(crate) struct Assembled {
    /// The flow of submissions.
    pub pipeline: Pipeline,
    /// What operators do to policies.
    pub administration: Administration,
}

/// Everything, ready to work, with the policy set in force loaded. Whoever only asks changes nothing by it.
pub(crate) async fn pipeline(settings: &Settings) -> anyhow::Result<Pipeline> {
    let Assembled { pipeline, administration } = assembled(settings).await?;
    administration.adopt().await?;
    Ok(pipeline)
}

/// The same for a server, which also puts the default of this build in force where nothing else is.
pub(crate) async fn server(settings: &Settings) -> anyhow::Result<Assembled> {
    let assembled = assembled(settings).await?;
    assembled.administration.take_up().await?;
    Ok(assembled)
}

async fn assembled(settings: &Settings) -> anyhow::Result<Assembled> {
    private_folder(&settings.data_dir)?;
    let sandboxed = {
        let settings = settings.clone();
        tokio::task::spawn_blocking(move || sandbox(&settings)).await??
    };
    let store = Store::open(&settings.database_url, &StoreOptions::default()).await?;
    let code_cache = code_cache(settings);
    let catalog = Arc::clone(&sandboxed.policies);
    let administration =
        Administration::new(store.clone(), catalog, &code_cache, settings.components.clone());
    let beacon = store.shared_secret(BEACON, SystemEntropy.bytes32()).await?;
    let evaluator = prism_evaluation::evaluator(settings.evaluation.clone())?;
    if settings.workers > 0 {
        prism_evaluation::sweep(&settings.evaluation).await;
    }
    let pipeline = Pipeline {
        store,
        policies: sandboxed.policies as Arc<dyn Policies>,
        reader: sandboxed.reader,
        consultant: consultant(settings)?,
        evaluator,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        beacon: Beacon::new(beacon),
        config: PipelineConfig {
            epoch: settings.epoch,
            plan: settings.evaluation.plan.clone(),
            seeds: plan_seeds(settings),
            lease_ms: settings.lease_ms,
            max_attempts: settings.max_attempts,
            retry_ms: RETRY_MS,
            machine_retry_ms: MACHINE_RETRY_MS,
            hold_expiry_ms: HOLD_EXPIRY_MS,
            self_check_ms: i64::from(settings.self_check_seconds) * 1_000,
            archive_limits: archive_limits(settings.max_upload_bytes),
            closer: CloserConfig {
                rules: settings.llm.rules.clone(),
                tokens_per_day: settings.llm.tokens_per_day,
                retry_ms: MODEL_RETRY_MS,
                reviews: settings.llm.reviews,
            },
        },
        progress: ProgressBoard::default(),
        wake: Arc::default(),
        boundary: crash_hook(settings.crash_at.as_deref())?,
    };
    Ok(Assembled { pipeline, administration })
}

/// The language model that reviews may ask.
fn consultant(settings: &Settings) -> anyhow::Result<Arc<dyn Consultant>> {
    match &settings.llm.endpoint {
        None => Ok(Arc::new(NoModel)),
        Some(endpoint) => Ok(Arc::new(prism_llm::Client::new(endpoint.clone())?)),
    }
}

/// Where compiled code is kept.
fn code_cache(settings: &Settings) -> std::path::PathBuf {
    settings.data_dir.join("compiled")
}

/// How many paired seeds the configured plan measures.
pub(crate) fn plan_seeds(settings: &Settings) -> usize {
    prism_evaluation::plan_seeds(&settings.evaluation.plan).unwrap_or(PLAN_SEEDS)
}

/// The door decides how large an upload may be. What it once let in is still read after the setting
/// was lowered to the default again.
fn archive_limits(max_upload_bytes: usize) -> ArchiveLimits {
    let usual = ArchiveLimits::default();
    ArchiveLimits { archive_bytes: max_upload_bytes.max(usual.archive_bytes), ..usual }
}

/// Makes a folder that nobody else may look into; one that is there already stays as it is.
fn private_folder(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make `{}`", path.display()))
}

/// A name for the worker of this process in claims and logs.
pub(crate) fn worker_name() -> String {
    format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple())
}

/// Production passes every boundary by. A crash test names one, and the process kills itself there
/// as a power cut would: no destructor runs.
fn crash_hook(crash_at: Option<&str>) -> anyhow::Result<BoundaryHook> {
    let Some(text) = crash_at else { return Ok(Arc::new(|_, _| {})) };
    let (stage, boundary) = text.split_once(':').context("PRISM_CRASH_AT is `stage:boundary`")?;
    let stage = Stage::from_name(stage).with_context(|| format!("`{stage}` is no stage"))?;
    let boundary = match boundary {
        "claimed" => Boundary::Claimed,
        "decided" => Boundary::Decided,
        "committed" => Boundary::Committed,
        _ => anyhow::bail!("`{boundary}` is no boundary"),
    };
    Ok(Arc::new(move |at_stage, at_boundary| {
        if at_stage == stage && at_boundary == boundary {
            let me = rustix::process::getpid();
            let _never_returns = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
    }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_plan_says_how_many_seeds_are_drawn() {
        let plans = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../evaluation/plans");
        for name in prism_evaluation::plans() {
            let text = std::fs::read_to_string(plans.join(format!("{name}.json"))).expect(name);
            let plan: serde_json::Value = serde_json::from_str(&text).expect(name);
            let drawn = prism_evaluation::plan_seeds(name).expect(name) as u64;
            // Fewer than two cannot be told from luck.
            assert!(drawn >= 2 && plan["seeds"] == drawn, "{name}");
            for size in plan["sizes"].as_array().expect(name) {
                assert!(size["seeds"].as_u64().unwrap_or(drawn) <= drawn, "{name}: {size}");
            }
        }
    }
}
