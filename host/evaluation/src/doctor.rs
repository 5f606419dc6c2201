//! Looks at the machine: can it evaluate, what is there to be wary of, and what is to be done. Changes
//! nothing.

mod versions;

use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::{BackendKind, EvaluationConfig};
use crate::corpus::{Corpora, Corpus};
use crate::spec::Isolation;
use crate::text::plain;
use crate::{docker, process, spec};

/// How long one check may take.
const CHECK_WITHIN: Duration = Duration::from_mins(1);
/// Free space for staged jobs, bytes: some hundreds of them.
const DISK_FREE_BYTES: u64 = 1 << 30;
/// The longest detail, in bytes.
const DETAIL_MAX_BYTES: usize = 400;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkup {
    /// Stable name.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What is to be wary of where it is: it works, and may be attacked.
    pub warning: Option<String>,
    /// What to do where it is not, or where there is a warning.
    pub remedy: String,
}

impl Checkup {
    /// Something that is as it should be, or not: the detail says which.
    pub fn new(name: &str, found: Result<String, String>, remedy: &str) -> Self {
        let (ok, detail) = match found {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        let detail = plain(detail.trim(), DETAIL_MAX_BYTES);
        Self { name: name.to_owned(), ok, detail, warning: None, remedy: remedy.to_owned() }
    }

    /// The same with something to be wary of.
    #[must_use]
    pub fn with_warning(self, warning: Option<String>) -> Self {
        Self { warning, ..self }
    }
}

/// Looks at what the configured backend needs.
pub async fn doctor(config: &EvaluationConfig) -> Vec<Checkup> {
    let mut checks = match config.backend {
        BackendKind::Process => process_checks(config).await,
        BackendKind::Docker => docker_checks(config).await,
    };
    checks.push(disk_check(config));
    checks.extend(corpus_check(config).await);
    checks
}

/// The corpus of the configured plan, read whole; nothing where it is built in.
async fn corpus_check(config: &EvaluationConfig) -> Option<Checkup> {
    let plan = spec::load_plan(&config.plan).ok()?;
    let name = plan.get("corpus_id")?.as_str()?.to_owned();
    let corpora = Corpora::new(config.corpus_dir.clone());
    let found = tokio::task::spawn_blocking(move || corpora.find(&name)).await;
    let found = match found {
        Ok(Ok(Corpus::Embedded(..))) => return None,
        Ok(Ok(Corpus::Prepared(prepared))) => {
            Ok(format!("`{}` is as its lock says", prepared.lock.id))
        }
        Ok(Err(fault)) => Err(fault.message),
        Err(source) => Err(source.to_string()),
    };
    let remedy = "prism corpus prepare, or another plan with PRISM_TIER; see docs/operations.md";
    Some(Checkup::new("corpus", found, remedy))
}

/// Room for staged jobs. What the engine of `docker` has on its own disk is not seen from here.
fn disk_check(config: &EvaluationConfig) -> Checkup {
    let folder = config.process.staging_dir.clone().unwrap_or_else(std::env::temp_dir);
    let found = match rustix::fs::statvfs(&folder) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let told = format!("{} MiB are free where jobs are staged", free >> 20);
            if free >= DISK_FREE_BYTES { Ok(told) } else { Err(told) }
        }
        Err(source) => Err(format!("the folder for staged jobs cannot be looked at: {source}")),
    };
    Checkup::new("disk", found, "make room, or set process.staging_dir")
}

/// A program's version, and what is known against it.
fn version_check(part: versions::Part, name: &str, found: Result<String, String>) -> Checkup {
    let known = found.as_deref().ok().map(|text| versions::weaknesses(part, text));
    let remedy = "install the version that is named, or a package into which your distribution has put the fix";
    match known {
        Some(versions::Known::Vulnerable(told)) => Checkup::new(name, Err(told), remedy),
        Some(versions::Known::PerhapsPatched(told)) => {
            Checkup::new(name, found, remedy).with_warning(Some(told))
        }
        Some(versions::Known::Fixed) | None => Checkup::new(name, found, remedy),
    }
}

async fn process_checks(config: &EvaluationConfig) -> Vec<Checkup> {
    let mut bwrap = Command::new(&config.process.bwrap);
    bwrap.arg("--version");
    let installed = match output_of(&mut bwrap).await {
        Ok(version) => version_check(versions::Part::Bubblewrap, "bubblewrap", Ok(version)),
        Err(missing) => Checkup::new("bubblewrap", Err(missing), "apt-get install bubblewrap"),
    };
    let mut checks = vec![installed, user_namespaces()];
    // The rest is asked inside a real sandbox: that is where it has to work.
    let works = ask_sandbox(config, "print('works')").await.map(|_| match process::isolation() {
        Isolation::TwoUser => "works, scorer and submission under different users".to_owned(),
        Isolation::SingleUser => {
            "works, scorer and submission under one user (start as root for two)".to_owned()
        }
    });
    let remedy =
        "run as root, or allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1";
    checks.push(Checkup::new("sandbox", works, remedy));
    let torch = "apt-get install python3-torch python3-numpy, or set another interpreter";
    checks.extend(torch_checks(
        &ask_sandbox(config, PROBE).await,
        torch,
        "apt-get install libopenblas0: many times faster",
    ));
    checks
}

async fn ask_sandbox(config: &EvaluationConfig, code: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|source| source.to_string())?;
    let probe = process::probe(config, folder.path(), code);
    output_of(&mut probe.map_err(|source| source.to_string())?).await
}

/// Root needs none; anybody else cannot make a sandbox without.
fn user_namespaces() -> Checkup {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let switches = versions::NamespaceSwitches {
        most: read("/proc/sys/user/max_user_namespaces"),
        unprivileged: read("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    };
    let root = process::isolation() == Isolation::TwoUser;
    let found = match switches.refusal() {
        Some(_) if root => Ok("not needed by root".to_owned()),
        Some(why) => Err(why.to_owned()),
        None => Ok("allowed".to_owned()),
    };
    let remedy = "sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000, an AppArmor profile for bwrap, or start as root";
    Checkup::new("user namespaces", found, remedy)
}

async fn docker_checks(config: &EvaluationConfig) -> Vec<Checkup> {
    let engine = docker::connect(&config.docker).await;
    let reachable = match &engine {
        Ok(engine) => Ok(version_of(engine).await),
        Err(fault) => Err(fault.message.clone()),
    };
    let mut checks = vec![Checkup::new(
        "engine",
        reachable,
        "apt-get install docker.io and start dockerd, or set the engine's address",
    )];
    let Ok(engine) = engine else { return checks };
    checks.extend(engine_checks(&engine, config).await);
    let image = docker::find_image(&engine, &config.docker).await;
    let found = image.as_ref().map(|image| image.id.clone()).map_err(|fault| fault.message.clone());
    let build = "docker build --target evaluator -t prism-evaluator:local . (without a registry: tests/docker/base-image.sh)";
    checks.push(Checkup::new("image", found, build));
    if let Ok(image) = image {
        let answer =
            docker::probe(&engine, config, &image, PROBE).await.map_err(|fault| fault.message);
        checks.extend(torch_checks(&answer, build, build));
    }
    checks
}

async fn version_of(engine: &bollard::Docker) -> String {
    let version = engine.version().await.ok().and_then(|about| about.version);
    format!("version {}", version.as_deref().unwrap_or("unknown"))
}

/// What the engine is made of, and how it confines.
async fn engine_checks(engine: &bollard::Docker, config: &EvaluationConfig) -> Vec<Checkup> {
    let about = engine.version().await.ok();
    let components = about.and_then(|about| about.components).unwrap_or_default();
    let mut checks: Vec<Checkup> = [
        (versions::Part::Engine, "Engine", "docker engine"),
        (versions::Part::Containerd, "containerd", "containerd"),
        (versions::Part::Runc, "runc", "runc"),
    ]
    .into_iter()
    .filter_map(|(part, named, name)| {
        let component = components.iter().find(|component| component.name == named)?;
        Some(version_check(part, name, Ok(format!("version {}", component.version))))
    })
    .collect();
    if config.docker.gpus > 0 {
        let mut toolkit = Command::new("nvidia-ctk");
        toolkit.arg("--version");
        checks.push(match output_of(&mut toolkit).await {
            Ok(text) => version_check(versions::Part::NvidiaToolkit, "nvidia toolkit", Ok(text)),
            Err(missing) => {
                let remedy = "install nvidia-container-toolkit where the engine runs";
                Checkup::new("nvidia toolkit", Err(missing), remedy)
            }
        });
    }
    let options = engine.info().await.ok().and_then(|about| about.security_options);
    let filters = docker::filters_system_calls(&options.unwrap_or_default());
    let found = if filters { Ok("by the engine's profile") } else { Err("no profile") };
    let found = found.map(str::to_owned).map_err(str::to_owned);
    let remedy = "start the engine without `seccomp-profile: unconfined`, on a kernel with seccomp";
    checks.push(Checkup::new("seccomp", found, remedy));
    let pinned = !config.docker.digests.is_empty();
    let told =
        if pinned { "only images of listed digests run" } else { "any image of that name runs" };
    let open = "whoever can tag an image in this engine chooses what evaluates".to_owned();
    let remedy = "list the digests of your images under docker.digests";
    let allowed = Checkup::new("image allow-list", Ok(told.to_owned()), remedy);
    checks.push(allowed.with_warning((!pinned).then_some(open)));
    checks
}

/// Prints the version of PyTorch, then the library behind its matrix product.
const PROBE: &str = "import torch\na = torch.ones(64, 64)\na @ a\nprint(torch.__version__)\n\
    print(next((n for n in ('openblas', 'mkl', 'blis') if n in open('/proc/self/maps').read().lower()), 'none'))";

fn torch_checks(answer: &Result<String, String>, torch: &str, blas: &str) -> [Checkup; 2] {
    let mut lines = answer.as_deref().unwrap_or_default().lines();
    let version = lines.next().map(|version| format!("version {version}"));
    let version =
        version.ok_or_else(|| answer.clone().err().unwrap_or_else(|| "no answer".to_owned()));
    let library = match lines.next() {
        Some("none") | None => Err("no fast linear algebra library".to_owned()),
        Some(library) => Ok(library.to_owned()),
    };
    [Checkup::new("torch", version, torch), Checkup::new("blas", library, blas)]
}

/// Standard output of a command that ends well; otherwise the end of its standard error.
async fn output_of(command: &mut Command) -> Result<String, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(CHECK_WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Ok(output)) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(errors.lines().next_back().unwrap_or("it failed without a word").to_owned())
        }
        Ok(Err(source)) => Err(source.to_string()),
        Err(_elapsed) => Err("it did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torch_without_a_fast_library_is_said() {
        let [torch, blas] = torch_checks(&Ok("1.13\nnone\n".to_owned()), "get torch", "get blas");
        assert!(torch.ok && torch.detail == "version 1.13");
        assert!(!blas.ok && blas.remedy == "get blas");
        let [torch, blas] =
            torch_checks(&Err("No module named 'torch'".to_owned()), "get torch", "get blas");
        assert_eq!(
            (torch.ok, torch.detail.as_str(), blas.ok),
            (false, "No module named 'torch'", false)
        );
    }

    #[tokio::test]
    async fn a_missing_program_comes_with_its_remedy() {
        let mut config = EvaluationConfig::default();
        config.process.bwrap = "no-such-bwrap".into();
        let checks = doctor(&config).await;
        assert_eq!(
            checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(),
            ["bubblewrap", "user namespaces", "sandbox", "torch", "blas", "disk"]
        );
        let needing_it = ["bubblewrap", "sandbox", "torch", "blas"];
        for check in checks.iter().filter(|check| needing_it.contains(&check.name.as_str())) {
            assert!(!check.ok && !check.remedy.is_empty(), "{check:?}");
        }
    }

    #[tokio::test]
    async fn a_missing_corpus_is_told_where_a_plan_needs_one() {
        let mut config = EvaluationConfig::default();
        assert_eq!(corpus_check(&config).await, None);
        config.plan = "proxy".to_owned();
        let told = corpus_check(&config).await.expect("a check");
        assert!(!told.ok && told.detail.contains("fineweb-edu/1"), "{}", told.detail);
    }
}
