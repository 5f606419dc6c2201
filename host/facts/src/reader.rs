//! The whole reading: decode, guard, parse, resolve, report, fingerprint. Total: every input has an
//! answer, and what cannot be read is an observation.

use ruff_python_ast::{ModModule, Stmt};
use ruff_python_parser::{ParseError, parse_module};

use crate::definitions::Definitions;
use crate::entry::{EntryModules, entry_functions};
use crate::fingerprint::fingerprint;
use crate::lines::Lines;
use crate::mangle::mangle;
use crate::observe::observe;
use crate::project::Project;
use crate::report::{Place, Report, Seen};
use crate::scope::NAME_BYTES_MAX;
use crate::source::{Unreadable, check_depth, decode};
use crate::{Facts, Module, ObservationKind};

/// Reads all modules of a project. `build_model` is looked for in the first of the entry modules, the
/// recipe and the training hooks in the last.
pub fn extract(modules: &[Module], entrypoints: &[String]) -> Facts {
    let mut report = Report::default();
    let mut readable = Vec::with_capacity(modules.len());
    for module in modules {
        match read(&module.source) {
            Ok((text, tree)) => readable.push((module.path.as_str(), text, tree)),
            Err(unreadable) => report_unreadable(&mut report, &module.path, &unreadable),
        }
    }
    let complete = readable.len() == modules.len();
    let sources: Vec<(&str, &[Stmt])> =
        readable.iter().map(|(path, _, tree)| (*path, &*tree.body)).collect();
    let project = Project::new(&sources, entrypoints);
    for (index, (_, text, _)) in readable.iter().enumerate() {
        observe(&project, index, &Lines::new(text), &mut report);
    }
    let definitions = Definitions::collect(&project);
    let module_at = |path: &String| project.module_at(path);
    let entry = EntryModules {
        architecture: entrypoints.first().and_then(module_at),
        training: entrypoints.last().and_then(module_at),
    };
    let entries = entry_functions(&project, &definitions, entry, |module, offset| {
        readable.get(module).map_or(0, |(_, text, _)| Lines::new(text).position(offset).0)
    });
    let prints = complete.then(|| fingerprint(&project, &definitions, entry));
    let (architecture_sketch, source_sketch, fingerprints) = match prints {
        Some(prints) => {
            (prints.architecture_sketch, prints.source_sketch, Some(prints.fingerprints))
        }
        None => (Vec::new(), Vec::new(), None),
    };
    let observations = report.finish();
    leave(definitions);
    leave(project);
    leave(readable);
    Facts {
        observations,
        entry_functions: entries,
        fingerprints,
        architecture_sketch,
        source_sketch,
    }
}

/// Does away with a value. In the sandbox an instance serves one call and its memory goes with it: taking trees
/// down node by node would be for nothing.
fn leave<T>(value: T) {
    if cfg!(target_arch = "wasm32") {
        std::mem::forget(value);
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<(&str, ModModule), Unreadable> {
    let text = decode(bytes)?;
    check_depth(text)?;
    let parsed = parse_module(text).map_err(|error| syntax_error(text, &error))?;
    let mut module = parsed.into_syntax();
    mangle(text, &mut module.body).map_err(|place| class_name_too_long(text, place))?;
    Ok((text, module))
}

fn class_name_too_long(text: &str, place: u32) -> Unreadable {
    let (line, column) = Lines::new(text).position(place);
    let why = format!("more than {NAME_BYTES_MAX} bytes in the name of a class with private names");
    Unreadable { way: "size", why, line, column }
}

fn syntax_error(text: &str, error: &ParseError) -> Unreadable {
    let (line, column) = Lines::new(text).position(error.location.start().to_u32());
    Unreadable { way: "syntax", why: error.error.to_string(), line, column }
}

fn report_unreadable<'a>(report: &mut Report<'a>, path: &'a str, unreadable: &Unreadable) {
    let place = Place { line: unreadable.line, column: unreadable.column, at_import: true };
    let seen = Seen::new(ObservationKind::Unreadable, unreadable.way).detail(&unreadable.why);
    report.begin_file(path);
    report.add(place, seen);
}
