//! What both backends share: a job as a tree of small files with owners and modes. Knows nothing of
//! how the tree reaches the sandbox.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use prism_domain::evaluation::{EvaluationFault, EvaluationJob, ProjectTree, REFERENCE_MAX_BYTES};
use serde_json::{Value, json};

use crate::config::{BackendKind, EvaluationConfig};
use crate::corpus::{Corpus, Prepared};
use crate::{embedded, fault};

/// Where the job lies inside the sandbox.
pub(crate) const JOB_DIR: &str = "/job";
/// The most files of one project.
pub(crate) const PROJECT_FILES_MAX: usize = 4_096;
/// The most bytes of one project.
pub(crate) const PROJECT_BYTES_MAX: usize = 64 << 20;
/// The most files of a harness folder given by the operator.
const HARNESS_FILES_MAX: usize = 1_000;

/// How the sandbox separates the scorer from the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Each under its own user.
    TwoUser,
    /// All under one; the harness hides the scorer's memory and files by other means.
    SingleUser,
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody in the sandbox.
    Everybody,
    /// The scorer: root, as which it starts, and the group of the user that it becomes.
    Scorer,
}

/// A folder or a file of the job.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Path relative to the job.
    pub(crate) path: String,
    /// Who may read it.
    pub(crate) access: Access,
    /// Bytes of a file; none for a folder.
    pub(crate) bytes: Option<Cow<'static, [u8]>>,
}

impl Entry {
    /// Permission bits. Nothing is writable, not even by its owner.
    pub(crate) const fn mode(&self, isolation: Isolation) -> u32 {
        let file = match (self.access, isolation) {
            (Access::Everybody, _) => 0o444,
            (Access::Scorer, Isolation::TwoUser) => 0o440,
            (Access::Scorer, Isolation::SingleUser) => 0o400,
        };
        if self.bytes.is_some() { file } else { file | file >> 2 }
    }
}

/// A file too large to copy: it stays where it is and is shown at its path in the job, read-only.
/// **What hides it from a submission is the folder that it is shown in**, whoever owns the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Path relative to the job; its folder is the scorer's.
    pub(crate) path: &'static str,
    /// The file on this machine.
    pub(crate) source: PathBuf,
}

/// A staged job: folders come before what they hold.
#[derive(Debug)]
pub(crate) struct JobTree {
    /// All folders and files.
    pub(crate) entries: Vec<Entry>,
    /// Files that are shown rather than copied.
    pub(crate) bound: Vec<Bound>,
    /// How the sandbox separates the scorer from the submission.
    pub(crate) isolation: Isolation,
    /// The group of what only the scorer may read.
    pub(crate) scorer_gid: u32,
}

impl JobTree {
    /// The group of an entry; none when it stays with whoever stages it.
    pub(crate) fn group_of(&self, entry: &Entry) -> Option<u32> {
        (entry.access == Access::Scorer && self.isolation == Isolation::TwoUser)
            .then_some(self.scorer_gid)
    }
}

/// The plan of a job, and the name of the corpus that it measures on. A plan that needs a GPU where
/// the sandbox shows none ends here, before anything large is read.
pub(crate) fn plan_of(
    job: &EvaluationJob,
    config: &EvaluationConfig,
) -> Result<(Value, String), EvaluationFault> {
    let plan = load_plan(&job.plan)?;
    let wants_gpu = plan.get("device").and_then(Value::as_str).unwrap_or("cpu") != "cpu";
    let why = match config.backend {
        BackendKind::Process => "the `process` backend shows none to its sandbox",
        BackendKind::Docker => "`docker.gpus` is 0",
    };
    if wants_gpu && (config.backend == BackendKind::Process || config.docker.gpus == 0) {
        let message = format!("plan `{}` needs a GPU, and {why}", job.plan);
        return Err(fault::platform(fault::DEVICE, message));
    }
    let corpus = plan.get("corpus_id").and_then(Value::as_str).map(str::to_owned);
    let corpus = corpus.ok_or_else(|| {
        fault::platform(fault::PLAN, format!("plan `{}` names no corpus", job.plan))
    })?;
    Ok((plan, corpus))
}

/// Where the token files are, relative to the job.
const TRAIN_PATH: &str = "data/train.bin";
const VAL_PATH: &str = "data/val.bin";
const TOKEN_BYTES_PATH: &str = "data/token_bytes.bin";

/// What a job is made of beside the submission.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) config: &'a EvaluationConfig,
    pub(crate) isolation: Isolation,
    pub(crate) plan: &'a Value,
    pub(crate) corpus: Corpus,
    /// Digest of the container image, where there is one.
    pub(crate) image_digest: Option<&'a str>,
}

/// Builds the tree of a job.
pub(crate) fn job_tree(
    job: &EvaluationJob,
    setting: &Setting<'_>,
) -> Result<JobTree, EvaluationFault> {
    let Setting { config, isolation, corpus, .. } = setting;
    let mut tree = TreeBuilder::default();
    let description = describe(job, setting)?;
    tree.file("job.json", Access::Scorer, description.to_string().into_bytes());
    let bound = match corpus {
        Corpus::Embedded(train, val) => {
            tree.file(TRAIN_PATH, Access::Scorer, *train);
            tree.file(VAL_PATH, Access::Scorer, *val);
            Vec::new()
        }
        Corpus::Prepared(prepared) => {
            tree.file(TOKEN_BYTES_PATH, Access::Scorer, prepared.token_bytes.clone());
            let [train, val] = prepared.train_and_val();
            vec![Bound { path: TRAIN_PATH, source: train }, Bound { path: VAL_PATH, source: val }]
        }
    };
    tree.harness(config)?;
    tree.project("project", &job.project)?;
    if let Some(architecture) = &job.architecture {
        tree.project("architecture", architecture)?;
    }
    let entries = tree.entries;
    Ok(JobTree { entries, bound, isolation: *isolation, scorer_gid: config.uids.scorer })
}

/// The harness as it is staged.
pub(crate) fn harness_entries(config: &EvaluationConfig) -> Result<Vec<Entry>, EvaluationFault> {
    let mut tree = TreeBuilder::default();
    tree.harness(config)?;
    Ok(tree.entries)
}

/// An earlier evaluation's reference runs. Without them the scorer measures the reference itself, so
/// what cannot be read is left out.
fn offered(reference: Option<&[u8]>) -> Option<Value> {
    let bytes = reference.filter(|bytes| bytes.len() <= REFERENCE_MAX_BYTES)?;
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}

pub(crate) fn load_plan(name: &str) -> Result<Value, EvaluationFault> {
    let unknown = || fault::platform(fault::PLAN, format!("there is no probe plan `{name}`"));
    let raw = embedded::plan(name).ok_or_else(unknown)?;
    serde_json::from_slice(raw).map_err(|source| {
        fault::logged(fault::platform(fault::PLAN, format!("plan `{name}` is not JSON")), &source)
    })
}

/// The description that the scorer reads: schema `prism.job/1`.
fn describe(job: &EvaluationJob, setting: &Setting<'_>) -> Result<Value, EvaluationFault> {
    let Setting { config, isolation, plan, corpus, image_digest } = setting;
    if job.seeds.is_empty() || job.seeds.iter().any(|seed| i64::try_from(*seed).is_err()) {
        return Err(fault::platform(fault::JOB, "an evaluation needs seeds below 2^63"));
    }
    let part = |folder: &str, entrypoint: &str| json!({"dir": format!("{JOB_DIR}/{folder}"), "entrypoint": entrypoint});
    let architecture = job.architecture.as_ref().map_or_else(
        || part("project", &job.project.entrypoint),
        |tree| part("architecture", &tree.entrypoint),
    );
    let training = job.training_entrypoint.as_ref().map(|entrypoint| part("project", entrypoint));
    let uids = config.uids;
    let (mode, worker, auditor) = match isolation {
        Isolation::TwoUser => ("two_user", uids.worker, uids.auditor),
        Isolation::SingleUser => ("single_user", uids.scorer, uids.scorer),
    };
    Ok(json!({
        "schema": "prism.job/1",
        "submission_id": job.submission_id.to_string(),
        "eval_id": job.evaluation_id.to_string(),
        "kind": job.kind.as_str(),
        "tier": plan.get("tier").and_then(Value::as_str).unwrap_or(&job.plan),
        "architecture": architecture,
        "training": training,
        "plan": plan,
        "seeds": job.seeds,
        "secret": hex::encode(job.secret),
        "isolation": {"mode": mode, "scorer_uid": uids.scorer, "worker_uid": worker, "auditor_uid": auditor},
        "limits": {"wall_ms": config.wall_ms, "memory_bytes": config.memory_bytes, "log_bytes": config.log_bytes},
        "data": describe_data(plan, corpus)?,
        "reference": offered(job.reference.as_deref()),
        "image_digest": image_digest,
    }))
}

/// Where the scorer finds the text, and what is known of it. Digests of the built-in text it computes
/// itself; those of a large one were compared here, before it was shown.
fn describe_data(plan: &Value, corpus: &Corpus) -> Result<Value, EvaluationFault> {
    let inside = |path: &str| format!("{JOB_DIR}/{path}");
    let mut data = json!({
        "corpus_id": plan.get("corpus_id"),
        "train": inside(TRAIN_PATH),
        "val": inside(VAL_PATH),
    });
    if let (Corpus::Prepared(prepared), Some(data)) = (corpus, data.as_object_mut()) {
        check_vocabulary(plan, prepared)?;
        let [train, val, tokenizer] = prepared.digests();
        data.extend([
            ("token_bytes".to_owned(), json!(inside(TOKEN_BYTES_PATH))),
            ("train_sha256".to_owned(), json!(train)),
            ("val_sha256".to_owned(), json!(val)),
            ("tokenizer_sha256".to_owned(), json!(tokenizer)),
            ("bytes_per_token".to_owned(), json!(prepared.lock.bytes_per_token())),
        ]);
    }
    Ok(data)
}

fn check_vocabulary(plan: &Value, prepared: &Prepared) -> Result<(), EvaluationFault> {
    let planned = plan.get("vocab_size").and_then(Value::as_u64);
    let found = u64::from(prepared.lock.vocab_size);
    if planned == Some(found) {
        return Ok(());
    }
    let planned = planned.unwrap_or(0);
    let message = format!(
        "corpus `{}` has {found} different tokens and the plan is for {planned}: prepare it with `--vocab {planned}`",
        prepared.lock.id
    );
    Err(fault::platform(fault::DATA, message))
}

#[derive(Default)]
struct TreeBuilder {
    entries: Vec<Entry>,
    folders: BTreeSet<String>,
}

impl TreeBuilder {
    fn file(&mut self, path: &str, access: Access, bytes: impl Into<Cow<'static, [u8]>>) {
        if let Some((parents, _)) = path.rsplit_once('/') {
            self.folder(parents, access);
        }
        self.entries.push(Entry { path: path.to_owned(), access, bytes: Some(bytes.into()) });
    }

    fn folder(&mut self, path: &str, access: Access) {
        if self.folders.contains(path) {
            return;
        }
        if let Some((parents, _)) = path.rsplit_once('/') {
            self.folder(parents, access);
        }
        self.folders.insert(path.to_owned());
        self.entries.push(Entry { path: path.to_owned(), access, bytes: None });
    }

    fn harness(&mut self, config: &EvaluationConfig) -> Result<(), EvaluationFault> {
        match &config.harness_dir {
            None => embedded::harness().for_each(|(path, bytes)| {
                self.file(&format!("harness/{path}"), Access::Everybody, bytes);
            }),
            Some(folder) => self.folder_of_files(folder, Path::new("harness"))?,
        }
        Ok(())
    }

    /// Intake has checked the paths; they are checked again, because here they become files.
    fn project(&mut self, folder: &str, project: &ProjectTree) -> Result<(), EvaluationFault> {
        let bytes: usize = project.files.values().map(Vec::len).sum();
        if project.files.len() > PROJECT_FILES_MAX || bytes > PROJECT_BYTES_MAX {
            return Err(fault::platform(fault::JOB, "the project is larger than a sandbox takes"));
        }
        self.folder(folder, Access::Everybody);
        for (path, bytes) in &project.files {
            let plain =
                Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if path.is_empty() || !plain || path.contains(['\0', '\\']) || path.ends_with('/') {
                return Err(fault::platform(fault::JOB, "a path of the project leads out of it"));
            }
            self.file(&format!("{folder}/{path}"), Access::Everybody, bytes.clone());
        }
        Ok(())
    }

    fn folder_of_files(&mut self, from: &Path, to: &Path) -> Result<(), EvaluationFault> {
        let unreadable = |source: std::io::Error| {
            fault::logged(fault::platform(fault::JOB, "the harness folder cannot be read"), &source)
        };
        for entry in std::fs::read_dir(from).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            let target = to.join(entry.file_name());
            if kind.is_dir() && entry.file_name() != "__pycache__" && entry.file_name() != "tests" {
                self.folder_of_files(&entry.path(), &target)?;
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).map_err(unreadable)?;
                self.file(&target.to_string_lossy(), Access::Everybody, bytes);
            }
            if self.entries.len() > HARNESS_FILES_MAX {
                return Err(fault::platform(fault::JOB, "the harness folder holds too many files"));
            }
        }
        Ok(())
    }
}

/// Environment of the scorer: nothing of ours, and one thread unless told otherwise.
pub(crate) fn environment(config: &EvaluationConfig) -> Vec<(&'static str, String)> {
    let threads = config.threads.to_string();
    let mut environment: Vec<_> =
        ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"]
            .map(|name| (name, threads.clone()))
            .into();
    environment.extend(
        [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/tmp"),
            ("USER", "prism"),
            ("LANG", "C.UTF-8"),
            ("TZ", "UTC"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    environment
}

/// The scorer's command after the interpreter. `-I`: neither environment nor user folders matter;
/// `-B`: nothing is written beside the sources.
pub(crate) const SCORER_ARGUMENTS: [&str; 4] =
    ["-I", "-B", "/job/harness/main.py", "/job/job.json"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prism_domain::ids::{EvaluationId, SubmissionId};
    use prism_domain::submission::{Blame, ProjectKind};

    use super::*;

    fn tree_of(files: &[(&str, &str)]) -> ProjectTree {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        ProjectTree { entrypoint: "model.py".to_owned(), files }
    }

    fn job(kind: ProjectKind, architecture: Option<ProjectTree>) -> EvaluationJob {
        EvaluationJob {
            submission_id: SubmissionId::new(uuid::Uuid::nil()),
            evaluation_id: EvaluationId::new(uuid::Uuid::nil()),
            kind,
            plan: "smoke".to_owned(),
            project: tree_of(&[("model.py", "x"), ("lib/deep/layer.py", "y")]),
            training_entrypoint: (kind != ProjectKind::ArchitectureOnly)
                .then(|| "train.py".to_owned()),
            architecture,
            seeds: vec![1, 2],
            secret: [7; 32],
            reference: None,
        }
    }

    fn built(job: &EvaluationJob, isolation: Isolation) -> Result<JobTree, EvaluationFault> {
        let config = EvaluationConfig::default();
        let (plan, name) = plan_of(job, &config)?;
        let corpus = crate::corpus::Corpora::new(None).find(&name)?;
        let image_digest = Some("sha256:1");
        job_tree(job, &Setting { config: &config, isolation, plan: &plan, corpus, image_digest })
    }

    fn staged(
        job: &EvaluationJob,
        isolation: Isolation,
    ) -> BTreeMap<String, (u32, Option<Vec<u8>>)> {
        let tree = built(job, isolation).expect("staged");
        let paths: Vec<_> = tree.entries.iter().map(|e| e.path.clone()).collect();
        for (at, path) in paths.iter().enumerate() {
            let parent = path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
            assert!(
                parent.is_none_or(|parent| paths[..at].contains(&parent)),
                "{path} before its folder"
            );
        }
        tree.entries
            .into_iter()
            .map(|e| (e.path.clone(), (e.mode(isolation), e.bytes.map(Cow::into_owned))))
            .collect()
    }

    #[test]
    fn secrets_are_for_the_scorer_only_and_nothing_is_writable() {
        let staged = staged(&job(ProjectKind::Full, None), Isolation::TwoUser);
        for (path, mode) in [
            ("job.json", 0o440),
            ("data", 0o550),
            ("data/train.bin", 0o440),
            ("data/val.bin", 0o440),
            ("project", 0o555),
            ("project/lib/deep", 0o555),
            ("project/lib/deep/layer.py", 0o444),
            ("harness/main.py", 0o444),
        ] {
            assert_eq!(staged.get(path).map(|(mode, _)| *mode), Some(mode), "{path}");
        }
        assert!(staged.values().all(|(mode, _)| mode & 0o222 == 0));
    }

    #[test]
    fn the_description_follows_the_kind() {
        let parts = |job: &EvaluationJob| {
            let staged = staged(job, Isolation::SingleUser);
            let raw = staged["job.json"].1.clone().expect("a file");
            let read: Value = serde_json::from_slice(&raw).expect("JSON");
            assert_eq!(read["isolation"]["worker_uid"], read["isolation"]["scorer_uid"]);
            assert_eq!(read["secret"], "07".repeat(32));
            assert_eq!(read["image_digest"], "sha256:1");
            assert!(read["training"].is_null() || read["training"]["entrypoint"] == "train.py");
            (read["architecture"]["dir"].clone(), read["training"]["dir"].clone())
        };
        let own = json!("/job/project");
        assert_eq!(parts(&job(ProjectKind::Full, None)), (own.clone(), own.clone()));
        assert_eq!(parts(&job(ProjectKind::ArchitectureOnly, None)), (own.clone(), Value::Null));
        let family = Some(tree_of(&[("model.py", "z")]));
        assert_eq!(
            parts(&job(ProjectKind::TrainingForArch, family)),
            (json!("/job/architecture"), own)
        );
    }

    #[test]
    fn reference_runs_are_offered_as_they_are_or_not_at_all() {
        let described = |reference: Option<&[u8]>| {
            let mut job = job(ProjectKind::Full, None);
            job.reference = reference.map(<[u8]>::to_vec);
            let staged = staged(&job, Isolation::TwoUser);
            let raw = staged["job.json"].1.clone().expect("a file");
            serde_json::from_slice::<Value>(&raw).expect("JSON")["reference"].clone()
        };
        assert_eq!(
            described(Some(br#"{"runs": [{"nll": 0.1234567890123456789}]}"#)),
            json!({"runs": [{"nll": 0.123_456_789_012_345_68_f64}]})
        );
        let large = format!(r#"{{"runs": "{}"}}"#, "x".repeat(REFERENCE_MAX_BYTES));
        for none in [None, Some(&b"[]"[..]), Some(b"{"), Some(large.as_bytes())] {
            assert_eq!(described(none), Value::Null);
        }
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        for path in ["../x", "/etc/x", "a/../b", "", "a\\b", "a/", "./a"] {
            let mut bad = job(ProjectKind::Full, None);
            bad.project.files.insert(path.to_owned(), Vec::new());
            let refused = built(&bad, Isolation::TwoUser);
            assert_eq!(refused.expect_err(path).code, fault::JOB);
        }
    }

    #[test]
    fn an_unknown_plan_or_seed_is_the_platforms_fault() {
        let mut bad = job(ProjectKind::Full, None);
        bad.plan = "nope".to_owned();
        assert_eq!(built(&bad, Isolation::TwoUser).expect_err("plan").code, fault::PLAN);
        let mut bad = job(ProjectKind::Full, None);
        bad.seeds = vec![u64::MAX];
        assert_eq!(built(&bad, Isolation::TwoUser).expect_err("seed").code, fault::JOB);
    }

    #[test]
    fn a_plan_for_a_gpu_ends_at_once_where_there_is_none() {
        let mut wanting = job(ProjectKind::Full, None);
        wanting.plan = "proxy".to_owned();
        let mut config = EvaluationConfig::default();
        for backend in [BackendKind::Process, BackendKind::Docker] {
            config.backend = backend;
            let fault = plan_of(&wanting, &config).expect_err("no GPU");
            assert_eq!((fault.blame, fault.code.as_str()), (Blame::Platform, fault::DEVICE));
        }
        config.docker.gpus = 1;
        assert_eq!(plan_of(&wanting, &config).expect("a GPU").1, "fineweb-edu/1");
    }

    #[test]
    fn a_missing_corpus_is_the_platforms_fault_and_named() {
        let mut wanting = job(ProjectKind::Full, None);
        wanting.plan = "proxy-tiny".to_owned();
        let fault = built(&wanting, Isolation::TwoUser).expect_err("no corpus");
        assert_eq!((fault.blame, fault.code.as_str()), (Blame::Platform, fault::DATA));
        assert!(fault.message.contains("smoke-bpe/1"), "{}", fault.message);
    }
}
