//! Where two projects say the same: runs of tokens of the normal form that stand in both, found by greedy string
//! tiling over shingles (Wise 1993, running Karp-Rabin matching). Nothing is executed. Linear in the tokens: every
//! shingle is looked up once, has a bounded number of places, and a run that was taken is not gone over again.

use std::collections::BTreeMap;

use ruff_python_ast::Stmt;

use crate::definitions::Definitions;
use crate::fingerprint::members;
use crate::lines::Lines;
use crate::normalise::normalise;
use crate::project::Project;
use crate::reader::read;
use crate::sketch::mix;
use crate::{Comparison, MatchedSpan, Module};

/// The most runs that are told.
pub const SPANS_MAX: usize = 16;
/// The shortest run that counts, in tokens: about three lines.
pub const SPAN_TOKENS_MIN: usize = 24;
/// Tokens of a shingle.
const SHINGLE: usize = 12;
/// Places of one shingle that are tried.
const PLACES_MAX: usize = 8;

/// The tokens of a definition, and the line of each.
struct Text<'m> {
    path: &'m str,
    tokens: Vec<u64>,
    lines: Vec<u32>,
    /// Which of the tokens stand in the other project too.
    shared: Vec<bool>,
}

/// A run: definition and token in both, and its length.
#[derive(Clone, Copy)]
struct Run {
    own: (usize, usize),
    other: (usize, usize),
    length: usize,
}

/// Compares two projects. Modules that cannot be read are left out.
pub fn compare(modules: &[Module], others: &[Module]) -> Comparison {
    let (mut own, mut other) = (texts(modules), texts(others));
    let index = index(&other);
    let mut runs = Vec::new();
    for at in 0..own.len() {
        runs.extend(runs_of(&own, at, &other, &index));
    }
    for run in &runs {
        mark(&mut own, run.own, run.length);
        mark(&mut other, run.other, run.length);
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.length));
    let spans = runs.iter().take(SPANS_MAX).filter_map(|run| span(&own, &other, *run)).collect();
    Comparison { share_ppm: share_ppm(&own), other_share_ppm: share_ppm(&other), spans }
}

fn texts(modules: &[Module]) -> Vec<Text<'_>> {
    let mut readable = Vec::with_capacity(modules.len());
    for module in modules {
        if let Ok((text, tree)) = read(&module.source) {
            readable.push((module.path.as_str(), Lines::new(text), tree));
        }
    }
    let sources: Vec<(&str, &[Stmt])> =
        readable.iter().map(|(path, _, tree)| (*path, &*tree.body)).collect();
    let project = Project::new(&sources, &[]);
    let definitions = Definitions::collect(&project);
    let members = members(&project);
    let texts = definitions.all.iter().enumerate().filter_map(|(index, definition)| {
        let (path, lines, _) = readable.get(definition.module)?;
        let stream = normalise(&project, &definitions, &members, index);
        let lines = stream.places.iter().map(|place| lines.position(*place).0).collect();
        let shared = vec![false; stream.loose.len()];
        Some(Text { path, tokens: stream.loose, lines, shared })
    });
    texts.collect()
}

fn index(texts: &[Text<'_>]) -> BTreeMap<u64, Vec<(usize, usize)>> {
    let mut index: BTreeMap<u64, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, text) in texts.iter().enumerate() {
        for (place, window) in text.tokens.windows(SHINGLE).enumerate() {
            let places = index.entry(shingle(window)).or_default();
            if places.len() < PLACES_MAX {
                places.push((at, place));
            }
        }
    }
    index
}

fn shingle(tokens: &[u64]) -> u64 {
    tokens.iter().fold(0x9E37_79B9_7F4A_7C15, |hash, token| mix(hash ^ *token))
}

/// The runs of one definition, from its beginning on, the longest at each place.
fn runs_of(
    own: &[Text<'_>],
    at: usize,
    other: &[Text<'_>],
    index: &BTreeMap<u64, Vec<(usize, usize)>>,
) -> Vec<Run> {
    let Some(text) = own.get(at) else { return Vec::new() };
    let mut runs = Vec::new();
    let mut place = 0;
    while let Some(window) = text.tokens.get(place..place + SHINGLE) {
        let places = index.get(&shingle(window)).map_or(&[][..], Vec::as_slice);
        let rest = text.tokens.get(place..).unwrap_or_default();
        let found = places.iter().map(|there| (alike(rest, other, *there), *there));
        match found
            .max_by_key(|(length, (text, place))| (*length, std::cmp::Reverse((*text, *place))))
        {
            Some((length, there)) if length >= SPAN_TOKENS_MIN => {
                runs.push(Run { own: (at, place), other: there, length });
                place += length;
            }
            _ => place += 1,
        }
    }
    runs
}

/// For how many tokens two texts are alike.
fn alike(own: &[u64], other: &[Text<'_>], (at, place): (usize, usize)) -> usize {
    let other = other.get(at).and_then(|text| text.tokens.get(place..)).unwrap_or_default();
    own.iter().zip(other).take_while(|(own, other)| own == other).count()
}

fn mark(texts: &mut [Text<'_>], (at, place): (usize, usize), length: usize) {
    let shared = texts.get_mut(at).and_then(|text| text.shared.get_mut(place..place + length));
    if let Some(shared) = shared {
        shared.fill(true);
    }
}

fn share_ppm(texts: &[Text<'_>]) -> u32 {
    let all: usize = texts.iter().map(|text| text.shared.len()).sum();
    let shared: usize =
        texts.iter().map(|text| text.shared.iter().filter(|shared| **shared).count()).sum();
    u32::try_from(shared * 1_000_000 / all.max(1)).unwrap_or(0)
}

fn span(own: &[Text<'_>], other: &[Text<'_>], run: Run) -> Option<MatchedSpan> {
    let place = |texts: &[Text<'_>], (at, place): (usize, usize)| {
        let text = texts.get(at)?;
        let lines = text.lines.get(place..place + run.length)?;
        Some((text.path.to_owned(), *lines.iter().min()?, *lines.iter().max()?))
    };
    let (path, first_line, last_line) = place(own, run.own)?;
    let (other_path, other_first_line, other_last_line) = place(other, run.other)?;
    let tokens = u32::try_from(run.length).unwrap_or(u32::MAX);
    Some(MatchedSpan {
        path,
        first_line,
        last_line,
        other_path,
        other_first_line,
        other_last_line,
        tokens,
    })
}
