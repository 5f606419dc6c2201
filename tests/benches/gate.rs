//! What it costs to take a project in: the archive, the facts, the review, as the server does it, in the
//! sandbox. CPU time of the one thread that does it; the aims are 5 ms for a project of 300 lines, where the
//! service that PRISM replaces took 110 ms, and 20 MB of Python a second.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use prism_domain::consult::{ReviewContext, SourceText};
use prism_domain::facts::{FileFacts, ModuleSource, ProjectFacts};
use prism_domain::ids::Digest;
use prism_domain::policy::{Policies as _, SourceReader as _};
use prism_domain::review::{ReviewDecision, ReviewInput, Reviewed};
use prism_intake::{ArchiveLimits, Project, ProjectFile, unpack_archive};
use prism_policy::{Catalog, PythonReader, Sandbox};

/// What the Python service took for the same, as measured before PRISM was begun, CPU milliseconds.
const BASELINE_MS: f64 = 110.0;
/// Projects taken in, after a tenth as many to warm up.
const ROUNDS: u32 = 300;
/// A transformer of the museum and the modules round it.
const FILES: &[&str] = &[
    "healthy/alibi/model.py",
    "base/attention.py",
    "base/decoder.py",
    "base/feedforward.py",
    "base/norms.py",
    "base/dense.py",
    "base/recipe.py",
    "base/convolution.py",
];
/// Python that is read at once, in bytes.
const BULK_BYTES: usize = 1_000_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = Sandbox::start(Some(folder.path())).expect("a sandbox");
    let (catalog, reader) = Catalog::embedded(&sandbox, &BTreeMap::new()).expect("policies");
    let (archive, lines) = project();
    println!("a project of {lines} lines, {} bytes packed", archive.len());

    let limits = ArchiveLimits::default();
    let unpacked = mean_ms(|| drop(unpack_archive(&archive, &limits).expect("a project")));
    let project = unpack_archive(&archive, &limits).expect("a project");
    let read = mean_ms(|| drop(facts(&project, &reader)));
    let submission_id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".parse().expect("an identifier");
    let facts = facts(&project, &reader);
    let context = Some(context(&project));
    let input = ReviewInput { submission_id, facts, neighbours: Vec::new(), context };
    let set = catalog.current();
    let reviewed = mean_ms(|| {
        let Reviewed::Verdict(verdict) = set.review(&input).expect("an answer").answer else {
            panic!("there is no model to ask");
        };
        assert_eq!(verdict.decision, ReviewDecision::Accept, "{:?}", verdict.findings);
    });
    println!(
        "archive {unpacked:.2} ms, facts {read:.2} ms, review {reviewed:.2} ms of CPU: together {:.2} ms (aim 5; the Python service: {BASELINE_MS:.0})",
        unpacked + read + reviewed
    );
    bulk(&reader);
}

/// CPU milliseconds of one round, over many: the kernel counts in ticks.
fn mean_ms(mut action: impl FnMut()) -> f64 {
    (0..ROUNDS / 10).for_each(|_| action());
    let began = cpu_ms();
    (0..ROUNDS).for_each(|_| action());
    (cpu_ms() - began) / f64::from(ROUNDS)
}

/// What is known about a project, as the pipeline finds it.
fn facts(project: &Project, reader: &PythonReader) -> ProjectFacts {
    let module = |file: &ProjectFile| ModuleSource {
        path: file.path.as_str().to_owned(),
        source: file.bytes.clone(),
    };
    let modules: Vec<ModuleSource> = project.modules().map(module).collect();
    let entrypoints = [project.manifest.entrypoint().to_owned()];
    let source = reader.read(&modules, &entrypoints).expect("facts");
    let file = |file: &ProjectFile| FileFacts {
        path: file.path.as_str().to_owned(),
        size_bytes: file.bytes.len() as u64,
        line_count: u32::try_from(file.text().lines().count()).expect("few"),
        sha256: Digest::of(&file.bytes),
    };
    ProjectFacts {
        kind: project.manifest.kind,
        entrypoint: project.manifest.entrypoint().to_owned(),
        training_entrypoint: project.manifest.training_entrypoint().map(str::to_owned),
        target_family: None,
        files: project.files.iter().map(file).collect(),
        source,
    }
}

/// What a review that looks closer is given beside the facts, where no earlier work is near and no model set up.
fn context(project: &Project) -> ReviewContext {
    let text = |file: &ProjectFile| SourceText {
        path: file.path.as_str().to_owned(),
        text: file.text().to_owned(),
    };
    ReviewContext { sources: project.modules().map(text).collect(), ..ReviewContext::default() }
}

/// The project packed as a miner would, and its lines.
fn project() -> (Vec<u8>, usize) {
    let museum = Path::new(env!("CARGO_MANIFEST_DIR")).join("museum");
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut lines = 0;
    for path in FILES {
        let text = std::fs::read_to_string(museum.join(path)).expect("a file of the museum");
        lines += text.lines().count();
        let name = path.rsplit('/').next().expect("a name");
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(name, options).expect("into memory");
        writer.write_all(text.as_bytes()).expect("into memory");
    }
    (writer.finish().expect("into memory").into_inner(), lines)
}

/// What reading Python comes to in megabytes a second of CPU, natively and in the sandbox: published models, each
/// project by itself, where `./dev real-models` has fetched them; and our own short models in a heap, which have
/// hardly a comment and a definition every few lines.
fn bulk(reader: &PythonReader) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let published = root.join(".prism/real-models/projects");
    if published.is_dir() {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(&published)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        folders.sort();
        let projects = folders.iter().map(|folder| {
            let mut files = Vec::new();
            collect(folder, &mut files);
            let module = |(path, source): (PathBuf, Vec<u8>)| {
                let path = path.strip_prefix(folder).expect("inside").display().to_string();
                ModuleSource { path, source }
            };
            files.into_iter().map(module).collect()
        });
        rate("published models", &projects.collect::<Vec<_>>(), "model.py", reader);
    } else {
        println!("facts of published models: not measured, ./dev real-models fetches them");
    }
    let mut files = Vec::new();
    for folder in ["tests/museum", "tests/bundles", "plugins/review/tests/honest"] {
        collect(&root.join(folder), &mut files);
    }
    let mut modules = Vec::new();
    let mut bytes = 0;
    for (number, (_, source)) in files.iter().cycle().enumerate() {
        if bytes >= BULK_BYTES {
            break;
        }
        bytes += source.len();
        modules.push(ModuleSource { path: format!("m{number}.py"), source: source.clone() });
    }
    rate("short models", &[modules], "m0.py", reader);
}

fn rate(what: &str, projects: &[Vec<ModuleSource>], entrypoint: &str, reader: &PythonReader) {
    let native: Vec<Vec<prism_facts::Module>> = projects
        .iter()
        .map(|modules| {
            let module = |it: &ModuleSource| prism_facts::Module {
                path: it.path.clone(),
                source: it.source.clone(),
            };
            modules.iter().map(module).collect()
        })
        .collect();
    let entrypoints = [entrypoint.to_owned()];
    let bytes: usize = projects.iter().flatten().map(|module| module.source.len()).sum();
    let megabytes = f64::from(u32::try_from(bytes).expect("few")) / 1e6;
    let best = |action: &dyn Fn()| {
        let once = || {
            let began = cpu_ms();
            action();
            cpu_ms() - began
        };
        (0..7).map(|_| once()).fold(f64::INFINITY, f64::min) / 1e3
    };
    let outside = best(&|| {
        for modules in &native {
            drop(prism_facts::extract(modules, &entrypoints));
        }
    });
    let inside = best(&|| {
        for modules in projects {
            drop(reader.read(modules, &entrypoints).expect("facts"));
        }
    });
    println!(
        "facts of {what}, {megabytes:.1} MB in {} projects: {:.1} MB/s in the sandbox (aim 20), {:.1} MB/s natively",
        projects.len(),
        megabytes / inside,
        megabytes / outside
    );
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|suffix| suffix == "py") {
            let source = std::fs::read(&path).expect("a file");
            files.push((path, source));
        }
    }
}

/// CPU time of this thread so far, milliseconds: what other processes do does not count.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split(' ').next().expect("a field").parse::<f64>();
    nanoseconds.expect("a number") / 1e6
}
