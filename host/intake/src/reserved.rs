//! Module names that a project may not take at an import root: the standard library's and those of
//! the packages that the evaluator imports. A file `os.py` there would hide the real one.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::path::ProjectPath;
use crate::refusal::{Refusal, Rule};

static RESERVED: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    include_str!("reserved_modules.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
});

/// Every file that would be imported in place of a reserved module. `roots` are the directories
/// from which modules may be imported, the project itself being the empty one.
pub(crate) fn shadowing(paths: &[ProjectPath], roots: &BTreeSet<&str>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for path in paths.iter().filter(|path| path.is_python()) {
        let taken = roots.iter().filter_map(|root| path.below(root)).find_map(|below| {
            let module = below.components().next()?;
            let module = module.strip_suffix(".py").unwrap_or(module);
            RESERVED.get(module).copied()
        });
        if let Some(module) = taken {
            refusals.push(Refusal::at(
                Rule::ReservedName,
                path.as_str(),
                format!("the name hides the module `{module}`"),
            ));
        }
    }
    refusals
}
