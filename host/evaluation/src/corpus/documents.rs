//! Reads the documents of a shard one after the other, so that memory does not grow with the shard.
//!
//! Parquet is read by the `parquet` crate without Arrow: it saves the footer's Thrift, the encodings,
//! dictionaries and the codecs, of which the two that text shards use are switched on.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde::Deserialize;

use super::CorpusError;
use super::shards::{Kind, Shard};

/// The largest document, bytes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// Rows of Parquet that are held at once.
const ROWS: usize = 256;
/// The column, or the member, that holds the text.
const TEXT: &str = "text";

/// What is done with each document: it gets the text and how far the shard has been read, in bytes.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&str, u64) -> Result<ControlFlow<()>, CorpusError>;

/// Calls `visit` for each document of the shard that holds more than white space, until it breaks.
pub(super) fn read(shard: &Shard, visit: Visit<'_>) -> Result<ControlFlow<()>, CorpusError> {
    let mut visit = |text: &str, at: u64| {
        if text.len() > DOCUMENT_BYTES_MAX {
            let message = format!("holds a document of more than {DOCUMENT_BYTES_MAX} bytes");
            return Err(CorpusError::input(&shard.name, message));
        }
        if text.trim().is_empty() { Ok(ControlFlow::Continue(())) } else { visit(text, at) }
    };
    match shard.kind {
        Kind::Parquet => read_parquet(shard, &mut visit),
        Kind::JsonLines => read_json_lines(shard, &mut visit),
        Kind::Text => read_text(shard, &mut visit),
    }
}

#[derive(Deserialize)]
struct JsonLine {
    text: String,
}

fn read_json_lines(shard: &Shard, visit: Visit<'_>) -> Result<ControlFlow<()>, CorpusError> {
    let mut lines = Lines::open(shard)?;
    while let Some(line) = lines.next()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read: JsonLine = serde_json::from_slice(line).map_err(|error| {
            CorpusError::input(&shard.name, format!("line {}: {error}", lines.number))
        })?;
        if visit(&read.text, lines.bytes)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Blank lines separate documents. Whoever wants a whole file as one document writes JSON lines.
fn read_text(shard: &Shard, visit: Visit<'_>) -> Result<ControlFlow<()>, CorpusError> {
    let mut lines = Lines::open(shard)?;
    let mut document = String::new();
    loop {
        let line = lines.next()?.map(<[u8]>::to_vec);
        let blank = line.as_ref().is_none_or(|line| line.trim_ascii().is_empty());
        if let Some(line) = line.as_ref().filter(|_| !blank) {
            let text = std::str::from_utf8(line).map_err(|error| {
                CorpusError::input(&shard.name, format!("line {}: {error}", lines.number))
            })?;
            document.push_str(text);
        } else {
            if visit(document.trim_end(), lines.bytes)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            document.clear();
        }
        // The visitor refuses what is too large, before it grows further.
        if document.len() > DOCUMENT_BYTES_MAX && visit(&document, lines.bytes)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if line.is_none() {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

/// Lines of a file with their ends, none of them endless.
struct Lines<'a> {
    shard: &'a Shard,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<'a> Lines<'a> {
    fn open(shard: &'a Shard) -> Result<Self, CorpusError> {
        let file = File::open(&shard.path).map_err(CorpusError::io("read", &shard.name))?;
        let reader = BufReader::with_capacity(1 << 20, file);
        Ok(Self { shard, reader, line: Vec::new(), number: 0, bytes: 0 })
    }

    fn next(&mut self) -> Result<Option<&[u8]>, CorpusError> {
        // Escapes make a JSON line longer than its text, at most six times.
        let limit = 6 * DOCUMENT_BYTES_MAX as u64;
        self.line.clear();
        self.number += 1;
        let count = (&mut self.reader)
            .take(limit + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(CorpusError::io("read", &self.shard.name))?;
        self.bytes += count as u64;
        if count as u64 > limit {
            let message = format!("line {} is longer than {limit} bytes", self.number);
            return Err(CorpusError::input(&self.shard.name, message));
        }
        Ok((count > 0).then_some(self.line.as_slice()))
    }
}

fn read_parquet(shard: &Shard, visit: Visit<'_>) -> Result<ControlFlow<()>, CorpusError> {
    let broken = |error: &ParquetError| CorpusError::input(&shard.name, error.to_string());
    let file = File::open(&shard.path).map_err(CorpusError::io("read", &shard.name))?;
    let reader = SerializedFileReader::new(file).map_err(|error| broken(&error))?;
    let about = reader.metadata();
    let schema = about.file_metadata().schema_descr();
    let column = schema.columns().iter().position(|column| {
        column.path().string() == TEXT
            && column.physical_type() == Type::BYTE_ARRAY
            && column.max_rep_level() == 0
    });
    let column = column.ok_or_else(|| {
        CorpusError::input(&shard.name, format!("has no column `{TEXT}` of strings"))
    })?;
    let groups = about.num_row_groups();
    for group in 0..groups {
        let at = shard.bytes.saturating_mul(group as u64) / groups as u64;
        let group = reader.get_row_group(group).map_err(|error| broken(&error))?;
        let ColumnReader::ByteArrayColumnReader(mut texts) =
            group.get_column_reader(column).map_err(|error| broken(&error))?
        else {
            return Err(CorpusError::input(&shard.name, "the column of strings is none"));
        };
        while let Some(rows) = next_rows(&mut texts).map_err(|error| broken(&error))? {
            for row in &rows {
                let text = row.as_utf8().map_err(|error| broken(&error))?;
                if visit(text, at)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The next texts of a row group; rows without one are left out. None at its end.
fn next_rows(
    texts: &mut ColumnReaderImpl<ByteArrayType>,
) -> Result<Option<Vec<ByteArray>>, ParquetError> {
    let (mut rows, mut present) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
    let (records, ..) = texts.read_records(ROWS, Some(&mut present), None, &mut rows)?;
    Ok((records > 0).then_some(rows))
}
