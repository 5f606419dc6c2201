//! `prism policy new`: a project that works, to be changed into what is wanted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use include_dir::{Dir, include_dir};
use prism_domain::policy::Slot;
use prism_policy::{World, wit_files};

use super::project::{DESCRIPTION, Language};
use super::slot::SlotName;
use crate::cli::output;

/// One folder a slot with its cases, its schema and its sources by language; beside them what a language
/// needs in every slot.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
/// The name that the templates have.
const TEMPLATE_NAME: &str = "my-policy";
/// The schema of the settings; JavaScript, which cannot read files while it is built, has it as a module.
const SCHEMA: &str = "settings.schema.json";
const SCHEMA_MODULE: &str = "settings.schema.js";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// What it is written in.
    #[arg(long)]
    lang: Language,
    /// The slot that it is for.
    #[arg(long)]
    slot: SlotName,
    /// The folder to make; one that is there has to be empty.
    folder: PathBuf,
    /// Name of the policy, `[a-z0-9-]`.
    #[arg(long, default_value = TEMPLATE_NAME, value_parser = policy_name)]
    name: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (folder, shown) = (&arguments.folder, arguments.folder.display());
    if folder.exists() {
        let mut entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read `{shown}`"))?;
        ensure!(entries.next().is_none(), "`{shown}` is not empty: nothing was written");
    }
    let made = Made { folder, name: &arguments.name };
    let (slot, language) = (arguments.slot.slot(), arguments.lang);
    let of_slot = template(slot.as_str())?;
    made.copy(template(language.name())?)?;
    made.copy(template(&format!("{}/{}", slot.as_str(), language.name()))?)?;
    made.copy_into("cases", template(&format!("{}/cases", slot.as_str()))?)?;
    made.schema(of_slot, slot, language)?;
    for (path, text) in wit_files(slot) {
        made.write(&Path::new("wit").join(path), &text)?;
    }
    made.write(Path::new(DESCRIPTION), &described(slot, language))?;
    made.write(Path::new("README.md"), &introduced(slot, language)?)?;
    output::line(&format!("`{shown}` is a {} policy in {}", slot.as_str(), language.name()));
    output::line(&format!("build it: prism policy build {shown}"));
    output::line(&format!("try it:   prism policy test {shown}"));
    Ok(ExitCode::SUCCESS)
}

fn template(path: &str) -> anyhow::Result<&'static Dir<'static>> {
    TEMPLATES.get_dir(path).with_context(|| format!("this build has no template `{path}`"))
}

/// Where the files go.
struct Made<'a> {
    folder: &'a Path,
    name: &'a str,
}

impl Made<'_> {
    fn copy(&self, from: &Dir) -> anyhow::Result<()> {
        self.copy_below(Path::new(""), from, from.path())
    }

    fn copy_into(&self, below: &str, from: &Dir) -> anyhow::Result<()> {
        self.copy_below(Path::new(below), from, from.path())
    }

    fn copy_below(&self, below: &Path, from: &Dir, root: &Path) -> anyhow::Result<()> {
        for file in from.files() {
            let text = file.contents_utf8().context("a template is not text")?;
            self.write(&below.join(file.path().strip_prefix(root)?), text)?;
        }
        from.dirs().try_for_each(|folder| self.copy_below(below, folder, root))
    }

    fn schema(&self, from: &Dir, slot: Slot, language: Language) -> anyhow::Result<()> {
        let text = from
            .get_file(Path::new(slot.as_str()).join(SCHEMA))
            .and_then(include_dir::File::contents_utf8)
            .context("this build has no schema for that slot")?;
        match language {
            Language::Rust | Language::Python => self.write(Path::new(SCHEMA), text),
            Language::JavaScript => self.write(
                Path::new(SCHEMA_MODULE),
                &format!("export const schema = {};\n", text.trim_end()),
            ),
        }
    }

    fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let target = self.folder.join(path);
        let failed = || format!("cannot write `{}`", target.display());
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).with_context(failed)?;
        }
        std::fs::write(&target, text.replace(TEMPLATE_NAME, self.name)).with_context(failed)
    }
}

fn described(slot: Slot, language: Language) -> String {
    format!("slot: {}\nlanguage: {}\n", slot.as_str(), language.name())
}

fn introduced(slot: Slot, language: Language) -> anyhow::Result<String> {
    let text = TEMPLATES.get_file("README.md").and_then(include_dir::File::contents_utf8);
    let (source, interface) = match language {
        Language::Rust => ("src/rules.rs", "src/lib.rs"),
        Language::Python => ("policy.py", "policy.py"),
        Language::JavaScript => ("policy.js", "policy.js"),
    };
    Ok(text
        .context("this build has no introduction")?
        .replace("@SLOT@", slot.as_str())
        .replace("@WORLD@", World::from(slot).name())
        .replace("@RULES@", source)
        .replace("@GLUE@", interface))
}

/// A policy's name, as the host takes it.
fn policy_name(given: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&given.len())
        && given.starts_with(|first: char| first.is_ascii_lowercase())
        && given.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(given.to_owned()) } else { Err("1 to 64 of `a-z0-9-`, a letter first".to_owned()) }
}
