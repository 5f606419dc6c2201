//! `prism corpus`: makes and checks the text that tiers beyond smoke are measured on.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use prism_evaluation::corpus::{
    CorpusError, CorpusId, CorpusLock, Preparation, Stage, prepare, verify,
};

use super::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a corpus: split documents, train a tokenizer on the training part, encode both parts and
    /// lock the result. The same inputs give the same bytes.
    Prepare(Prepare),
    /// Read a corpus and hold every file against the lock.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Prepare {
    /// Files, or folders of files: Parquet (column `text`), `.jsonl` or `.ndjson` (member `text`),
    /// `.txt` (blank lines separate documents).
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    from: Vec<PathBuf>,
    /// The folder to make. Left out, the corpus is put where evaluations look for it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the corpus as plans have it, `name/version`.
    #[arg(long, value_name = "NAME")]
    id: String,
    /// Different tokens, 258 to 65,536.
    #[arg(long, default_value_t = 4_096, value_name = "N")]
    vocab: u32,
    /// Share of documents that is held out.
    #[arg(long, default_value_t = 0.005, value_name = "SHARE")]
    val_fraction: f64,
    /// Stop before the document that would go beyond this many bytes of text.
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
    /// Answer with the lock.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Verify {
    /// Folder of the corpus.
    dir: PathBuf,
    /// Answer with the lock.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.verb {
        Verb::Prepare(wanted) => run_prepare(settings, wanted),
        Verb::Verify(wanted) => run_verify(wanted),
    }
}

fn run_prepare(settings: &Settings, wanted: &Prepare) -> anyhow::Result<ExitCode> {
    let id = CorpusId::parse(&wanted.id)?;
    let out = match (&wanted.out, &settings.evaluation.corpus_dir) {
        (Some(out), _) => out.clone(),
        (None, Some(folder)) => id.below(folder),
        (None, None) => anyhow::bail!("say where the corpus goes: --out DIR"),
    };
    let preparation = Preparation {
        from: wanted.from.clone(),
        out: out.clone(),
        id,
        vocab_size: wanted.vocab,
        val_fraction: wanted.val_fraction,
        max_bytes: wanted.max_bytes,
    };
    let bar = Bar::new();
    let lock = prepare(&preparation, &|stage, done, total| bar.show(stage.as_str(), done, total))
        .with_context(|| format!("`{}` was not made", out.display()))?;
    bar.clear();
    tell(&lock, wanted.json)?;
    if !wanted.json {
        output::line(&format!("made in `{}`", out.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_verify(wanted: &Verify) -> anyhow::Result<ExitCode> {
    let bar = Bar::new();
    let outcome = verify(&wanted.dir, &|done, total| bar.show("reading", done, total));
    bar.clear();
    match outcome {
        Ok(lock) => {
            tell(&lock, wanted.json)?;
            if !wanted.json {
                output::line("every file is as its lock says");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(CorpusError::Changed { file, message }) => {
            output::line(&format!("`{file}` {message}"));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error).with_context(|| format!("`{}`", wanted.dir.display())),
    }
}

fn tell(lock: &CorpusLock, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(lock);
    }
    output::line(&format!("corpus `{}`, {} tokens in the vocabulary", lock.id, lock.vocab_size));
    let mut rows = vec![["", "documents", "bytes", "tokens"].map(str::to_owned).to_vec()];
    for (name, part) in [("training", lock.train), ("held out", lock.val)] {
        let counts = [part.documents, part.bytes, part.tokens].map(|count| count.to_string());
        rows.push([vec![name.to_owned()], counts.to_vec()].concat());
    }
    output::table(&rows);
    for file in &lock.files {
        output::line(&format!("{}  {}", file.sha256, file.name));
    }
    Ok(())
}

/// One bar for all stages; it begins anew with each.
struct Bar {
    bar: ProgressBar,
    stage: RefCell<&'static str>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = "{bar:30} {percent:>3}% {bytes}/{total_bytes} {msg}, {elapsed}";
        let style = ProgressStyle::with_template(style);
        bar.set_style(style.unwrap_or_else(|_invalid| ProgressStyle::default_bar()));
        Self { bar, stage: RefCell::new(Stage::Hashing.as_str()) }
    }

    fn show(&self, stage: &'static str, done: u64, total: u64) {
        if self.stage.replace(stage) != stage {
            self.bar.reset();
        }
        self.bar.set_length(total);
        self.bar.set_message(stage);
        self.bar.set_position(done);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
