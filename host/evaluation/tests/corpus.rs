//! Corpora end to end: made from real text, held against their lock, measured on, and out of the
//! reach of what is measured.

#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::indexing_slicing, reason = "a failed expectation is a failed test")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "counts are small here")]

mod kit;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use prism_domain::evaluation::{EvaluationJob, ProjectTree};
use prism_domain::submission::Blame;
use prism_evaluation::BackendKind;
use prism_evaluation::corpus::{CorpusError, CorpusId, CorpusLock, Preparation, prepare, verify};
use tempfile::TempDir;

use crate::kit::Lab;

const ID: &str = "smoke-bpe/1";
const FILES: [&str; 5] =
    ["train.bin", "val.bin", "tokenizer.json", "token_bytes.bin", "corpus.lock"];

/// Documents of real text, some of them twice.
fn documents() -> Vec<String> {
    let text = include_str!("../corpus/smoke/val.txt");
    let mut documents: Vec<String> =
        text.split("\n\n").map(|text| text.trim().to_owned()).collect();
    documents.retain(|text| !text.is_empty());
    documents.extend_from_within(..40);
    documents
}

fn write_json_lines(path: &Path, documents: &[String]) {
    let line = |text: &String| format!("{}\n", serde_json::json!({"id": 7, "text": text}));
    fs::write(path, documents.iter().map(line).collect::<String>()).expect("written");
}

/// As data sets have it: a column before it, rows without text, several row groups.
fn write_parquet(path: &Path, documents: &[String], compression: Compression) {
    let schema = "message m { REQUIRED INT64 n; OPTIONAL BYTE_ARRAY text (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let file = fs::File::create(path).expect("created");
    let mut writer = SerializedFileWriter::new(file, schema, properties).expect("a writer");
    for group in documents.chunks(documents.len().div_ceil(3)) {
        let texts: Vec<ByteArray> = group.iter().map(|text| text.as_str().into()).collect();
        let mut rows = writer.next_row_group().expect("a group");
        let mut numbers = rows.next_column().expect("valid").expect("a column");
        let count: Vec<i64> = (0..=group.len() as i64).collect();
        let written = numbers.typed::<parquet::data_type::Int64Type>();
        written.write_batch(&count, None, None).expect("written");
        numbers.close().expect("closed");
        let mut column = rows.next_column().expect("valid").expect("a column");
        // The last row of each group has no text.
        let mut present = vec![1; group.len()];
        present.push(0);
        let written = column.typed::<ByteArrayType>();
        written.write_batch(&texts, Some(&present), None).expect("written");
        column.close().expect("closed");
        rows.close().expect("closed");
    }
    writer.close().expect("closed");
}

fn preparation(from: &Path, out: &Path) -> Preparation {
    Preparation {
        from: vec![from.to_owned()],
        out: out.to_owned(),
        id: CorpusId::parse(ID).expect("a name"),
        vocab_size: 512,
        val_fraction: 0.1,
        max_bytes: None,
    }
}

/// The corpus of the plan `proxy-tiny`, with the folder that it lies in.
fn prepared() -> (TempDir, PathBuf, CorpusLock) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("documents.jsonl");
    write_json_lines(&input, &documents());
    let corpus = folder.path().join("corpora").join(ID);
    let lock = prepare(&preparation(&input, &corpus), &|_, _, _| {}).expect("prepared");
    (folder, corpus, lock)
}

fn lab_on(folder: &TempDir) -> Lab {
    let mut lab = Lab::real(BackendKind::Process);
    "proxy-tiny".clone_into(&mut lab.config.plan);
    lab.config.corpus_dir = Some(folder.path().join("corpora"));
    lab
}

fn ids(path: &Path) -> Vec<u16> {
    let raw = fs::read(path).expect("read");
    raw.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The texts in a token file, decoded by the tokenizer beside it.
fn decoded(corpus: &Path, name: &str) -> Vec<String> {
    let tokenizer = tokenizers::Tokenizer::from_file(corpus.join("tokenizer.json")).expect("read");
    ids(&corpus.join(name))
        .split(|id| *id == 0)
        .skip(1)
        .map(|ids| {
            let ids: Vec<u32> = ids.iter().map(|id| u32::from(*id)).collect();
            tokenizer.decode(&ids, false).expect("decoded")
        })
        .collect()
}

#[test]
fn every_document_is_on_one_side_and_whole() {
    let (_folder, corpus, lock) = prepared();
    let (train, val) = (decoded(&corpus, "train.bin"), decoded(&corpus, "val.bin"));
    let mut both: Vec<String> = train.iter().chain(&val).cloned().collect();
    let mut wanted = documents();
    both.sort();
    wanted.sort();
    assert_eq!(both, wanted);
    let sides = [&train, &val].map(|side| side.iter().collect::<BTreeSet<_>>());
    assert_eq!(sides[0].intersection(&sides[1]).count(), 0);
    let share = val.len() as f64 / both.len() as f64;
    assert!((0.05..0.15).contains(&share), "{share}");
    let bytes_of = ids(&corpus.join("token_bytes.bin"));
    for (name, part) in [("train.bin", lock.train), ("val.bin", lock.val)] {
        let ids = ids(&corpus.join(name));
        let bytes: u64 = ids.iter().map(|id| u64::from(bytes_of[usize::from(*id)])).sum();
        assert_eq!((part.tokens, part.bytes), (ids.len() as u64, bytes));
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (folder, corpus, _) = prepared();
    let again = folder.path().join("again");
    let input = folder.path().join("documents.jsonl");
    prepare(&preparation(&input, &again), &|_, _, _| {}).expect("prepared");
    for name in FILES {
        assert!(
            fs::read(corpus.join(name)).expect("one") == fs::read(again.join(name)).expect("two"),
            "{name}"
        );
    }
}

#[test]
fn parquet_and_json_lines_and_plain_text_give_the_same_tokens() {
    let (folder, corpus, _) = prepared();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for (name, compression) in [("s.parquet", Compression::SNAPPY), ("z.parquet", zstd)] {
        write_parquet(&folder.path().join(name), &documents(), compression);
    }
    // Half in one file and half in another, in a folder.
    let all = documents();
    let (first, second) = all.split_at(all.len() / 2);
    let parts = folder.path().join("parts");
    fs::create_dir(&parts).expect("made");
    fs::write(parts.join("a.txt"), first.join("\n\n\n")).expect("written");
    fs::write(parts.join("b.txt"), second.join("\n\n") + "\n").expect("written");
    fs::write(parts.join("c.md"), "passed over").expect("written");
    for name in ["s.parquet", "z.parquet", "parts"] {
        let out = folder.path().join(format!("from-{name}"));
        let lock = prepare(&preparation(&folder.path().join(name), &out), &|_, _, _| {});
        let lock = lock.expect(name);
        assert_eq!(lock.inputs.len(), if name == "parts" { 2 } else { 1 });
        for file in ["train.bin", "val.bin", "tokenizer.json"] {
            assert!(
                fs::read(corpus.join(file)).expect("one") == fs::read(out.join(file)).expect("two"),
                "{name} {file}"
            );
        }
    }
}

#[test]
fn reading_stops_at_the_limit_and_bad_inputs_are_named() {
    let (folder, _, whole) = prepared();
    let input = folder.path().join("documents.jsonl");
    let mut wanted = preparation(&input, &folder.path().join("less"));
    wanted.max_bytes = Some(100_000);
    let lock = prepare(&wanted, &|_, _, _| {}).expect("prepared");
    let bytes = lock.train.bytes + lock.val.bytes;
    assert!((90_000..=100_000).contains(&bytes), "{bytes}");
    assert!(lock.tokenizer.trained_bytes == lock.train.bytes && bytes < whole.train.bytes);

    for (name, text, told) in [
        ("a.jsonl", "{\"text\": \"x\"}\n{\"body\": \"y\"}\n", "line 2"),
        ("b.jsonl", "{\"text\": \"x\"\n", "line 1"),
        ("c.parquet", "PAR1", "c.parquet"),
        ("d.csv", "x", "d.csv"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        let out = folder.path().join("bad");
        let refused = prepare(&preparation(&path, &out), &|_, _, _| {}).expect_err(name);
        assert!(refused.to_string().contains(told), "{refused}");
        assert!(!out.exists(), "{name}");
    }
    let unfinished = fs::read_dir(folder.path()).expect("readable").flatten();
    let unfinished = unfinished.filter(|e| e.file_name().to_string_lossy().contains("unfinished"));
    assert_eq!(unfinished.count(), 0);
}

/// Writes to a file as if nothing had happened: same size, same time of modification.
fn tamper(path: &Path, at: usize) {
    let before = fs::metadata(path).and_then(|about| about.modified()).expect("a time");
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("opened");
    fs::write(path, bytes).expect("written");
    let file = fs::File::options().append(true).open(path).expect("open");
    file.set_modified(before).expect("dated");
}

#[tokio::test]
async fn a_corpus_that_changed_is_the_platforms_fault_and_named() {
    let (folder, corpus, _) = prepared();
    let mut lab = lab_on(&folder);
    // Nothing needs to run: the sandbox does not even start.
    lab.config.process.bwrap = "no-such-bwrap".into();
    let evaluator = lab.evaluator();
    let job = EvaluationJob { plan: "proxy-tiny".to_owned(), ..kit::job() };
    let ask = async || evaluator.evaluate(&job, &|_| {}).await.expect_err("a fault");
    assert_eq!(ask().await.code, "P-SANDBOX", "the corpus itself is well");
    verify(&corpus, &|_, _| {}).expect("well");

    let expect = async |told: &str| {
        let fault = ask().await;
        assert_eq!((fault.blame, fault.code.as_str()), (Blame::Platform, "P-DATA"));
        assert!(fault.message.contains(ID) && fault.message.contains(told), "{}", fault.message);
        let path = folder.path().to_str().expect("text");
        assert!(!fault.message.contains(path), "{}", fault.message);
    };
    tamper(&corpus.join("val.bin"), 1_000);
    expect("`val.bin` has the SHA-256").await;
    assert!(matches!(verify(&corpus, &|_, _| {}), Err(CorpusError::Changed { .. })));
    tamper(&corpus.join("val.bin"), 1_000);
    assert_eq!(ask().await.code, "P-SANDBOX", "it was mended");
    fs::rename(corpus.join("train.bin"), folder.path().join("kept")).expect("moved");
    expect("cannot find `train.bin`").await;
    fs::write(corpus.join("train.bin"), "short").expect("written");
    expect("`train.bin` has 5 bytes").await;
    fs::rename(folder.path().join("kept"), corpus.join("train.bin")).expect("moved");
    let lock = fs::read_to_string(corpus.join("corpus.lock")).expect("read");
    fs::remove_file(corpus.join("corpus.lock")).expect("removed");
    expect("corpus.lock").await;
    fs::write(corpus.join("corpus.lock"), lock.replace(ID, "another/1")).expect("written");
    expect("is of the corpus `another/1`").await;
}

#[tokio::test]
async fn a_corpus_of_another_vocabulary_is_refused() {
    let (folder, corpus, _) = prepared();
    fs::remove_dir_all(&corpus).expect("removed");
    let mut wanted = preparation(&folder.path().join("documents.jsonl"), &corpus);
    wanted.vocab_size = 600;
    prepare(&wanted, &|_, _, _| {}).expect("prepared");
    let fault = lab_on(&folder).run().await.expect_err("a fault");
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Platform, "P-DATA"));
    assert!(fault.message.contains("`--vocab 512`"), "{}", fault.message);
}

/// The whole way: text to documents to tokens to a trained model to bits per byte.
#[tokio::test]
async fn a_project_is_measured_on_tokens_in_bits_per_byte() {
    let (folder, _, lock) = prepared();
    let measured = lab_on(&folder).run().await.expect("measured");
    let raw: serde_json::Value = serde_json::from_slice(&measured.raw).expect("JSON");
    let (data, digest) = (&raw["data"], |name: &str| {
        lock.files.iter().find(|file| file.name == name).expect(name).sha256.clone()
    });
    assert_eq!((&data["vocab_size"], &data["corpus_id"]), (&512.into(), &ID.into()));
    for (member, file) in [
        ("train_sha256", "train.bin"),
        ("val_sha256", "val.bin"),
        ("tokenizer_sha256", "tokenizer.json"),
    ] {
        assert_eq!(data[member], digest(file), "{member}");
    }
    assert_eq!(raw["tier"], "proxy");
    let ratio = lock.train.bytes as f64 / lock.train.tokens as f64;
    assert!(
        ratio > 1.5 && (data["bytes_per_token"].as_f64().expect("a number") - ratio).abs() < 1e-9
    );
    assert_eq!(data["perm_revealed"].as_str().expect("text").len(), 512 * 2 * 2);
    for run in &measured.telemetry.runs {
        let sum = |column: &[u32]| column.iter().map(|n| f64::from(*n)).sum::<f64>();
        let found = sum(&run.cols.n_bytes) / sum(&run.cols.n_tok);
        assert!((found / ratio - 1.0).abs() < 0.15, "{}: {found} of {ratio}", run.run_id);
        // Eight steps of training know little: the loss is near that of a uniform guess over 512
        // tokens, which is 9 bits for each token and not for each byte.
        let bpb = run.val.as_ref().and_then(|val| val.full_bpb).expect("a held-out loss");
        let guess = 9.0 / ratio;
        assert!((0.6 * guess..1.15 * guess).contains(&bpb), "{}: {bpb} of {guess}", run.run_id);
    }
    let strict = measured.telemetry.runs.iter().filter_map(|run| run.val.as_ref()?.strict_bpb);
    assert!(strict.count() > 0);
}

/// A project that looks for the text where it lies, inside and outside.
fn spy(folder: &TempDir) -> ProjectTree {
    let outside = folder.path().join("corpora").join(ID).join("val.bin");
    let outside = outside.display();
    let source = format!(
        r#"
import errno, json, mmap, os

def outcome(action):
    try:
        action()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]

def opened(path):
    return lambda: os.close(os.open(path, os.O_RDONLY))

def build_model(ctx):
    found = {{name: outcome(opened("/job/data/" + name)) for name in ("train.bin", "val.bin", "token_bytes.bin")}}
    found["job"] = outcome(opened("/job/job.json"))
    found["folder"] = outcome(lambda: os.listdir("/job/data"))
    found["outside"] = outcome(opened("{outside}"))
    found["scorer"] = outcome(lambda: os.listdir("/proc/1/fd"))
    found["own"] = outcome(opened(os.path.abspath(__file__)))
    raise RuntimeError("told " + json.dumps(found))
"#
    );
    let files = BTreeMap::from([("model.py".to_owned(), source.into_bytes())]);
    ProjectTree { entrypoint: "model.py".to_owned(), files }
}

#[tokio::test]
async fn a_project_cannot_open_the_text_it_is_measured_on() {
    let (folder, ..) = prepared();
    let mut job = EvaluationJob { plan: "proxy-tiny".to_owned(), ..kit::job() };
    job.project = spy(&folder);
    job.training_entrypoint = None;
    let lab = lab_on(&folder);
    let fault = lab.evaluator().evaluate(&job, &|_| {}).await.expect_err("it tells by a fault");
    assert_eq!(fault.code, "M-BUILD", "{}", fault.message);
    let (_, told) = fault.message.split_once("told ").expect("what it found");
    let told: BTreeMap<String, String> =
        serde_json::Deserializer::from_str(told).into_iter().next().expect("one").expect("JSON");
    assert_eq!(told.len(), 8);
    for (what, outcome) in &told {
        assert_eq!(outcome == "done", what == "own", "{told:?}");
    }
}

/// Without Landlock, without seccomp: permissions alone keep the submission's user away, although
/// the files themselves may be read by everybody.
#[tokio::test]
async fn permissions_alone_hide_the_text_from_the_submission() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, corpus, _) = prepared();
    let mode = fs::metadata(corpus.join("val.bin")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    let mut lab = Lab::with_script(BackendKind::Process, kit::REACH);
    "proxy-tiny".clone_into(&mut lab.config.plan);
    lab.config.corpus_dir = Some(folder.path().join("corpora"));
    lab.config.tmp_bytes = 8 << 20;
    kit::assert_no_reach(&lab.told().await);
}

/// The same as an ordinary user, where scorer and submission are one user.
#[test]
fn an_ordinary_user_can_measure_on_a_corpus() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = kit::program_for_anybody(folder.path());
    for test in [
        "a_project_is_measured_on_tokens_in_bits_per_byte",
        "a_project_cannot_open_the_text_it_is_measured_on",
    ] {
        kit::assert_passes_as_an_ordinary_user(&program, test);
    }
}
