//! Looks at the machine: can it evaluate, and if not, what is to be done. Changes nothing.

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
    /// What to do where it is not.
    pub remedy: String,
}

/// Looks at what the configured backend needs.
pub async fn doctor(config: &EvaluationConfig) -> Vec<Checkup> {
    let mut checks = match config.backend {
        BackendKind::Process => process_checks(config).await,
        BackendKind::Docker => docker_checks(config).await,
    };
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
    Some(check("corpus", found, remedy))
}

fn check(name: &str, found: Result<String, String>, remedy: &str) -> Checkup {
    let (ok, detail) = match found {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    let detail = plain(detail.trim(), DETAIL_MAX_BYTES);
    Checkup { name: name.to_owned(), ok, detail, remedy: remedy.to_owned() }
}

async fn process_checks(config: &EvaluationConfig) -> Vec<Checkup> {
    let mut bwrap = Command::new(&config.process.bwrap);
    bwrap.arg("--version");
    let installed = check("bubblewrap", output_of(&mut bwrap).await, "apt-get install bubblewrap");
    let mut checks = vec![installed];
    // The rest is asked inside a real sandbox: that is where it has to work.
    let works = ask_sandbox(config, "print('works')").await.map(|_| match process::isolation() {
        Isolation::TwoUser => "works, scorer and submission under different users".to_owned(),
        Isolation::SingleUser => {
            "works, scorer and submission under one user (start as root for two)".to_owned()
        }
    });
    let remedy =
        "run as root, or allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1";
    checks.push(check("sandbox", works, remedy));
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
    output_of(&mut process::probe(config, folder.path(), code)).await
}

async fn docker_checks(config: &EvaluationConfig) -> Vec<Checkup> {
    let engine = docker::connect(&config.docker).await;
    let reachable = match &engine {
        Ok(engine) => Ok(version_of(engine).await),
        Err(fault) => Err(fault.message.clone()),
    };
    let mut checks = vec![check(
        "engine",
        reachable,
        "apt-get install docker.io and start dockerd, or set the engine's address",
    )];
    let Ok(engine) = engine else { return checks };
    let image = docker::find_image(&engine, &config.docker).await;
    let found = image.as_ref().map(|image| image.id.clone()).map_err(|fault| fault.message.clone());
    let build = "docker build --target evaluator -t prism-evaluator:local . (without a registry: tests/docker/base-image.sh)";
    checks.push(check("image", found, build));
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
    [check("torch", version, torch), check("blas", library, blas)]
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
            ["bubblewrap", "sandbox", "torch", "blas"]
        );
        assert!(checks.iter().all(|check| !check.ok && !check.remedy.is_empty()));
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
