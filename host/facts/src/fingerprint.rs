//! Fingerprints of a project. Each definition has a digest of its normal form; a reference counts as
//! the digest of what it refers to, some rounds deep, so that no name of the project matters and any
//! change in what is reached does.

use std::collections::{BTreeMap, BTreeSet};

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ExprContext, Stmt};

use crate::Fingerprints;
use crate::definitions::{Body, Definitions, Member};
use crate::entry::{ARCHITECTURE, EntryModules, TRAINING};
use crate::key::Key;
use crate::known_names::is_dunder;
use crate::normalise::normalise;
use crate::project::Project;
use crate::sketch::Sketch;
use crate::stream::Stream;

/// How many references deep a change is felt.
const ROUNDS: u32 = 6;
/// Names that a framework gives a meaning, so that renaming them is a change.
const MEANINGFUL_MEMBERS: &[&str] =
    &["forward", "training", "step", "zero_grad", "backward", "extra_repr"];

/// A sixth of the work of SHA-256 where no processor helps, as in the sandbox.
type Blake2b256 = Blake2b<U32>;
type Hash = [u8; 32];
/// What the digested bytes begin with that are no stream: no stream begins so.
const WITH_REFERENCES: u8 = 0xFE;
const GROUP: u8 = 0xFF;

/// Fingerprints and sketches of a project.
pub(crate) struct Prints {
    /// The three fingerprints.
    pub(crate) fingerprints: Fingerprints,
    /// Signature of what `build_model` and the inference hooks reach.
    pub(crate) architecture_sketch: Vec<u32>,
    /// Signature of all definitions.
    pub(crate) source_sketch: Vec<u32>,
}

/// Computes them all.
pub(crate) fn fingerprint<'a>(
    project: &Project<'a>,
    definitions: &Definitions<'a>,
    entry: EntryModules,
) -> Prints {
    let members = members(project);
    let indices = 0..definitions.all.len();
    let streams: Vec<Stream> =
        indices.clone().map(|index| normalise(project, definitions, &members, index)).collect();
    let hashes = hash_with_references(definitions, &streams);
    let reach = |names: &[&str]| {
        // Which hook a function serves is part of what is done.
        let roots: BTreeMap<&str, Vec<usize>> =
            names.iter().map(|name| (*name, entry.defined(project, definitions, name))).collect();
        let reached = closure(definitions, &streams, roots.values().flatten().copied());
        (print(&reached, &hashes, &roots), reached)
    };
    let (architecture, built) = reach(ARCHITECTURE);
    let (training, _) = reach(TRAINING);
    let all: BTreeSet<usize> = indices.collect();
    let mut sketch = Sketch::new();
    let mut add = |indices: BTreeSet<usize>| {
        for stream in indices.into_iter().filter_map(|index| streams.get(index)) {
            sketch.add(&stream.loose);
        }
        sketch.signature()
    };
    let rest = all.difference(&built).copied().collect();
    Prints {
        architecture_sketch: add(built),
        source_sketch: add(rest),
        fingerprints: Fingerprints {
            source: print(&all, &hashes, &BTreeMap::new()),
            architecture,
            training,
        },
    }
}

/// The digest of each definition and, some rounds deep, of what it refers to. Who refers to nothing keeps his own;
/// whose references did not change in a round keeps his for the next, so that only circles need all rounds.
fn hash_with_references(definitions: &Definitions<'_>, streams: &[Stream]) -> Vec<Hash> {
    let own: Vec<Hash> =
        streams.iter().map(|stream| Blake2b256::digest(&stream.exact).into()).collect();
    let mut hashes = own.clone();
    let mut groups = hash_groups(definitions, &hashes);
    let mut changed = vec![true; groups.len()];
    for _ in 0..ROUNDS {
        if !changed.contains(&true) {
            break;
        }
        let is_changed = |group: &usize| changed.get(*group).copied().unwrap_or(false);
        let next = own.iter().zip(streams).zip(&hashes).map(|((own, stream), hash)| {
            if !stream.references.iter().any(is_changed) {
                return *hash;
            }
            let mut digest = Blake2b256::new_with_prefix([WITH_REFERENCES]);
            digest.update(own);
            for reference in stream.references.iter().filter_map(|group| groups.get(*group)) {
                digest.update(reference);
            }
            digest.finalize().into()
        });
        hashes = next.collect();
        let next = hash_groups(definitions, &hashes);
        changed = next.iter().zip(&groups).map(|(next, hash)| next != hash).collect();
        groups = next;
    }
    hashes
}

/// The digests of what names stand for: of one definition its own, of several or of parts that of all of them.
fn hash_groups(definitions: &Definitions<'_>, hashes: &[Hash]) -> Vec<Hash> {
    let of_group = |group: &Vec<Member>| {
        if let [Member { definition, position: 0 }] = group.as_slice()
            && let Some(hash) = hashes.get(*definition)
        {
            return *hash;
        }
        let mut digest = Blake2b256::new_with_prefix([GROUP]);
        for member in group {
            if let Some(hash) = hashes.get(member.definition) {
                digest.update(hash);
                digest.update(member.position.to_le_bytes());
            }
        }
        digest.finalize().into()
    };
    definitions.groups.iter().map(of_group).collect()
}

/// All definitions that the roots refer to, directly or not.
fn closure(
    definitions: &Definitions<'_>,
    streams: &[Stream],
    roots: impl Iterator<Item = usize>,
) -> BTreeSet<usize> {
    let mut waiting: Vec<usize> = roots.collect();
    let mut reached = BTreeSet::new();
    let mut groups = BTreeSet::new();
    while let Some(index) = waiting.pop() {
        if !reached.insert(index) {
            continue;
        }
        let references = streams.get(index).map_or(&[][..], |stream| &stream.references);
        for group in references {
            if groups.insert(*group) {
                waiting.extend(definitions.group(*group));
            }
        }
    }
    reached
}

/// One digest of a set of definitions, whatever their order and however often each is there, and of the part that
/// roots play in it.
fn print(indices: &BTreeSet<usize>, hashes: &[Hash], roots: &BTreeMap<&str, Vec<usize>>) -> String {
    let mut sorted: Vec<&Hash> = indices.iter().filter_map(|index| hashes.get(*index)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut digest = Blake2b256::new_with_prefix(b"prism.fingerprint/2");
    for hash in sorted {
        digest.update(hash);
    }
    for (name, indices) in roots {
        for hash in indices.iter().filter_map(|index| hashes.get(*index)) {
            digest.update(name.as_bytes());
            digest.update(hash);
        }
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Names of attributes that the project itself gives: what is stored on objects and what classes define.
pub(crate) fn members<'a>(project: &Project<'a>) -> BTreeSet<Key<'a>> {
    let mut members = Members::default();
    for module in &project.modules {
        members.visit_body(module.body);
    }
    let meaningful = |name: &str| MEANINGFUL_MEMBERS.contains(&name) || is_dunder(name);
    members.names.into_iter().filter(|name| !meaningful(name.text())).collect()
}

#[derive(Default)]
struct Members<'a> {
    names: BTreeSet<Key<'a>>,
}

impl<'a> Members<'a> {
    fn insert(&mut self, name: &'a str) {
        self.names.insert(Key::new(name));
    }
}

impl<'a> Visitor<'a> for Members<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::ClassDef(class) = statement {
            for inner in &class.body {
                match inner {
                    Stmt::FunctionDef(function) => {
                        self.insert(function.name.as_str());
                    }
                    Stmt::Assign(assign) => {
                        let names = assign.targets.iter().filter_map(Expr::as_name_expr);
                        names.for_each(|name| self.insert(name.id.as_str()));
                    }
                    Stmt::AnnAssign(assign) => {
                        if let Some(name) = assign.target.as_name_expr() {
                            self.insert(name.id.as_str());
                        }
                    }
                    _ => {}
                }
            }
        }
        visitor::walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Attribute(attribute) = expression
            && attribute.ctx == ExprContext::Store
        {
            self.insert(attribute.attr.as_str());
        }
        visitor::walk_expr(self, expression);
    }
}

/// Whether a definition only gives another name to something.
pub(crate) fn is_alias(body: Body<'_>) -> bool {
    matches!(body, Body::Value(value) if crate::scope::is_dotted(value))
}
