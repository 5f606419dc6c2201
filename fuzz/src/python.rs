//! CPython as a witness: one interpreter for the whole run, asked over its standard input and output in
//! frames of a length and as many bytes.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the interpreter runs.
const WITNESS: &str = include_str!("witness.py");

/// An interpreter that answers questions.
struct Witness {
    /// Ends by itself when its input does.
    _child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

thread_local! {
    static WITNESS_PROCESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// Every file that CPython's `zipfile` reads, with its bytes, in the order listed.
///
/// # Errors
/// What CPython says where it cannot read the archive.
///
/// # Panics
/// Where there is no interpreter, or it ends.
pub fn archive(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let answer = ask(b'Z', bytes)?;
    let mut rest = &answer[..];
    let mut files = Vec::new();
    while !rest.is_empty() {
        let name = String::from_utf8(chunk(&mut rest)).expect("the witness writes UTF-8");
        files.push((name, chunk(&mut rest)));
    }
    Ok(files)
}

/// What CPython's own parser finds in a module.
#[derive(Debug, serde::Deserialize)]
pub struct Parsed {
    /// Absolute imports: line and dotted name, `.*` for a star.
    pub imports: Vec<(u32, String)>,
    /// Names of attributes that are read, written or deleted, and of keywords in class patterns.
    pub attributes: Vec<String>,
    /// Functions and classes: line and bare name.
    pub definitions: Vec<(u32, String)>,
}

/// What CPython's own parser finds in a module.
///
/// # Errors
/// Why CPython refuses the module.
///
/// # Panics
/// Where there is no interpreter, or it ends.
pub fn parse(source: &[u8]) -> Result<Parsed, String> {
    let answer = ask(b'P', source)?;
    Ok(serde_json::from_slice(&answer).expect("the witness writes JSON"))
}

fn ask(kind: u8, bytes: &[u8]) -> Result<Vec<u8>, String> {
    WITNESS_PROCESS.with_borrow_mut(|witness| {
        let witness = witness.get_or_insert_with(|| start().expect("a Python interpreter starts"));
        let (kind, answer) = witness.ask(kind, bytes).expect("the Python interpreter answers");
        if kind == b'+' { Ok(answer) } else { Err(String::from_utf8_lossy(&answer).into_owned()) }
    })
}

fn start() -> io::Result<Witness> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-B", "-W", "ignore", "-c", WITNESS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    Ok(Witness { _child: child, questions, answers })
}

impl Witness {
    fn ask(&mut self, kind: u8, bytes: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let length = u32::try_from(bytes.len() + 1).map_err(io::Error::other)?;
        self.questions.write_all(&length.to_le_bytes())?;
        self.questions.write_all(&[kind])?;
        self.questions.write_all(bytes)?;
        self.questions.flush()?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.answers.read_exact(&mut answer)?;
        let kind = answer.remove(0);
        Ok((kind, answer))
    }
}

/// Takes a length and as many bytes from the front.
fn chunk(rest: &mut &[u8]) -> Vec<u8> {
    let (length, after) = rest.split_first_chunk::<4>().expect("a length");
    let (taken, after) = after.split_at(u32::from_le_bytes(*length) as usize);
    *rest = after;
    taken.to_vec()
}
