//! Makes a corpus: hashes the inputs, splits documents, trains the tokenizer on training text, and
//! encodes both sides. Memory is bounded whatever the inputs' size; the same inputs give the same bytes.

use std::fs::Permissions;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::lock::{
    CorpusId, CorpusLock, DOCUMENT_TOKEN, InputFile, LOCK_FILE, LockedFile, Part, SCHEMA,
    SPLIT_RULE, Split, TOKEN_BYTES_FILE, TOKENIZER_FILE, TRAIN_FILE, TokenizerFacts, VAL_FILE,
};
use super::sample::{Keys, Sample};
use super::shards::Shard;
use super::tokenizer::{ByteBpe, VOCAB_MAX, VOCAB_MIN};
use super::verify::sha256_of_file;
use super::writer::LockedWriter;
use super::{CorpusError, documents, shards};

/// Training text that merges are counted on, at most, bytes.
const TOKENIZER_TEXT_BYTES: u64 = 64 << 20;
/// Text that is encoded at once, bytes.
const BATCH_BYTES: usize = 4 << 20;
/// Only its owner may look into the folder of a corpus.
const FOLDER_MODE: u32 = 0o700;

/// What to make.
#[derive(Debug, Clone)]
pub struct Preparation {
    /// Files, or folders of files, in order.
    pub from: Vec<PathBuf>,
    /// The folder to make; it must not exist.
    pub out: PathBuf,
    /// Name of the corpus.
    pub id: CorpusId,
    /// Token ids, 258 to 65,536.
    pub vocab_size: u32,
    /// Share of documents that is held out.
    pub val_fraction: f64,
    /// After how many bytes of text to stop; none reads everything.
    pub max_bytes: Option<u64>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Inputs are hashed.
    Hashing,
    /// Text for the tokenizer is gathered.
    Sampling,
    /// Merges are counted.
    Training,
    /// Documents are encoded and written.
    Encoding,
}

impl Stage {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hashing => "hashing inputs",
            Self::Sampling => "reading text for the tokenizer",
            Self::Training => "training the tokenizer",
            Self::Encoding => "encoding",
        }
    }
}

/// Makes a corpus; `told` hears what is done, and how many bytes of the inputs of how many.
pub fn prepare(
    wanted: &Preparation,
    told: &dyn Fn(Stage, u64, u64),
) -> Result<CorpusLock, CorpusError> {
    let val_below = check(wanted)?;
    let shards = shards::find(&wanted.from)?;
    let (folder, name) = unfinished_folder(&wanted.out)?;
    let job = Job { wanted, val_below, total: shards.iter().map(|shard| shard.bytes).sum(), told };
    let mut inputs = job.hash(&shards)?;
    let (bpe, trained_bytes) = job.train(&shards)?;
    let (parts, mut files) = job.encode(&shards, &mut inputs, &bpe, folder.path())?;
    files.extend(write_tokenizer(&bpe, folder.path())?);
    let [train, val] = parts;
    if train.documents == 0 || val.documents == 0 {
        return Err(CorpusError::Request(format!(
            "{} documents are for training and {} are held out: take more text or another --val-fraction",
            train.documents, val.documents
        )));
    }
    let lock = CorpusLock {
        schema: SCHEMA.to_owned(),
        id: wanted.id.clone(),
        vocab_size: wanted.vocab_size,
        document_token: DOCUMENT_TOKEN,
        split: Split {
            rule: SPLIT_RULE.to_owned(),
            val_fraction: wanted.val_fraction,
            val_below: format!("{val_below:016x}"),
        },
        tokenizer: TokenizerFacts { kind: "byte-level-bpe".to_owned(), trained_bytes },
        train,
        val,
        files,
        inputs,
        max_bytes: wanted.max_bytes,
        made_by: concat!("prism ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    finish(&lock, folder, &wanted.out, &name)?;
    Ok(lock)
}

/// The bound of the split.
fn check(wanted: &Preparation) -> Result<u64, CorpusError> {
    let refused = |message: String| Err(CorpusError::Request(message));
    if !(VOCAB_MIN..=VOCAB_MAX).contains(&wanted.vocab_size) {
        return refused(format!("a vocabulary has {VOCAB_MIN} to {VOCAB_MAX} tokens"));
    }
    if !(wanted.val_fraction > 0.0 && wanted.val_fraction < 1.0) {
        return refused("the share that is held out lies between 0 and 1".to_owned());
    }
    if wanted.out.exists() {
        return refused("the folder of the new corpus exists already".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 2^64; the lock tells the bound as it is used"
    )]
    Ok((wanted.val_fraction * u64::MAX as f64) as u64)
}

/// A corpus is complete or not there: it is made beside its place and moved at the end.
fn unfinished_folder(out: &Path) -> Result<(tempfile::TempDir, String), CorpusError> {
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| CorpusError::Request("the new folder has no name".to_owned()))?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(CorpusError::io("create the folder of", &name))?;
    let folder = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(Permissions::from_mode(FOLDER_MODE))
        .tempdir_in(parent)
        .map_err(CorpusError::io("create", &name))?;
    Ok((folder, name))
}

fn write_tokenizer(bpe: &ByteBpe, folder: &Path) -> Result<[LockedFile; 2], CorpusError> {
    let mut tokenizer = LockedWriter::create(folder, TOKENIZER_FILE)?;
    tokenizer.write(bpe.to_json()?.as_bytes())?;
    let mut table = LockedWriter::create(folder, TOKEN_BYTES_FILE)?;
    table.write_ids(bpe.token_bytes())?;
    Ok([tokenizer.finish()?, table.finish()?])
}

fn finish(
    lock: &CorpusLock,
    folder: tempfile::TempDir,
    out: &Path,
    name: &str,
) -> Result<(), CorpusError> {
    let mut text = serde_json::to_string_pretty(lock)
        .map_err(|error| CorpusError::Request(format!("the lock cannot be written: {error}")))?;
    text.push('\n');
    let mut writer = LockedWriter::create(folder.path(), LOCK_FILE)?;
    writer.write(text.as_bytes())?;
    writer.finish()?;
    std::fs::rename(folder.path(), out).map_err(CorpusError::io("create", name))?;
    // It has another name now, so there is nothing to remove.
    let _moved = folder.keep();
    Ok(())
}

/// One preparation under way.
struct Job<'a> {
    wanted: &'a Preparation,
    val_below: u64,
    total: u64,
    told: &'a dyn Fn(Stage, u64, u64),
}

impl Job<'_> {
    fn hash(&self, shards: &[Shard]) -> Result<Vec<InputFile>, CorpusError> {
        let mut done = 0;
        let mut inputs = Vec::with_capacity(shards.len());
        for shard in shards {
            let sha256 = sha256_of_file(&shard.path, &shard.name, &mut |bytes| {
                done += bytes;
                (self.told)(Stage::Hashing, done, self.total);
            })?;
            inputs.push(InputFile {
                name: shard.name.clone(),
                kind: shard.kind.as_str().to_owned(),
                bytes: shard.bytes,
                sha256,
                documents: 0,
            });
        }
        Ok(inputs)
    }

    /// The tokenizer, and on how many bytes it was trained.
    fn train(&self, shards: &[Shard]) -> Result<(ByteBpe, u64), CorpusError> {
        let mut sample = Sample::of_at_most(TOKENIZER_TEXT_BYTES);
        self.documents(shards, Stage::Sampling, &mut |_, text| {
            let keys = Keys::of(text);
            if keys.split >= self.val_below {
                sample.offer(text, keys.sample);
            }
            Ok(())
        })?;
        (self.told)(Stage::Training, 0, 0);
        let trained_bytes = sample.bytes();
        Ok((ByteBpe::train(sample.into_texts(), self.wanted.vocab_size)?, trained_bytes))
    }

    /// Both sides with their files: training first.
    fn encode(
        &self,
        shards: &[Shard],
        inputs: &mut [InputFile],
        bpe: &ByteBpe,
        folder: &Path,
    ) -> Result<([Part; 2], Vec<LockedFile>), CorpusError> {
        let train = Side { part: Part::default(), file: LockedWriter::create(folder, TRAIN_FILE)? };
        let val = Side { part: Part::default(), file: LockedWriter::create(folder, VAL_FILE)? };
        let mut encoder = Encoder { bpe, sides: [train, val], texts: Vec::new(), bytes: 0 };
        self.documents(shards, Stage::Encoding, &mut |at, text| {
            if let Some(input) = inputs.get_mut(at) {
                input.documents += 1;
            }
            encoder.take(text, Keys::of(text).split < self.val_below)
        })?;
        encoder.flush()?;
        let [train, val] = encoder.sides;
        let parts = [train.part, val.part];
        Ok((parts, vec![train.file.finish()?, val.file.finish()?]))
    }

    /// All documents of all shards, as far as they are wanted; each with the index of its shard.
    fn documents(
        &self,
        shards: &[Shard],
        stage: Stage,
        visit: &mut dyn FnMut(usize, &str) -> Result<(), CorpusError>,
    ) -> Result<(), CorpusError> {
        let mut left = self.wanted.max_bytes.unwrap_or(u64::MAX);
        let mut before = 0;
        for (at, shard) in shards.iter().enumerate() {
            let end = documents::read(shard, &mut |text, read| {
                // The document that would go beyond the limit is the first that is left out.
                let Some(rest) = left.checked_sub(text.len() as u64) else {
                    return Ok(ControlFlow::Break(()));
                };
                left = rest;
                (self.told)(stage, before + read, self.total);
                visit(at, text)?;
                Ok(ControlFlow::Continue(()))
            })?;
            before += shard.bytes;
            if end.is_break() {
                break;
            }
        }
        Ok(())
    }
}

struct Side {
    part: Part,
    file: LockedWriter,
}

/// Encodes in batches, so that all cores work, and writes in the order of the documents.
struct Encoder<'a> {
    bpe: &'a ByteBpe,
    sides: [Side; 2],
    texts: Vec<(String, bool)>,
    bytes: usize,
}

impl Encoder<'_> {
    fn take(&mut self, text: &str, held_out: bool) -> Result<(), CorpusError> {
        self.texts.push((text.to_owned(), held_out));
        self.bytes += text.len();
        if self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CorpusError> {
        self.bytes = 0;
        let (texts, held_out): (Vec<String>, Vec<bool>) =
            std::mem::take(&mut self.texts).into_iter().unzip();
        let sizes: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
        let encoded = self.bpe.encode(texts)?;
        let [train, val] = &mut self.sides;
        for ((ids, bytes), held_out) in encoded.iter().zip(sizes).zip(held_out) {
            let side = if held_out { &mut *val } else { &mut *train };
            side.file.write_ids(ids)?;
            side.part.documents += 1;
            side.part.bytes += bytes;
            side.part.tokens += ids.len() as u64;
        }
        Ok(())
    }
}
