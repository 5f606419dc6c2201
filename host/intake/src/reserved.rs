//! Module names that a project may not take at an import root: the standard library's and those of
//! the packages that the evaluator imports. A file `os.py` there would hide the real one. Neither may two of its own
//! files be one module: what is read would be the one, and what runs the other.

use std::collections::{BTreeMap, BTreeSet};
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

/// Every file that is imported by the name of another one, or of a directory with modules, from any of the `roots`.
pub(crate) fn ambiguous(paths: &[ProjectPath], roots: &BTreeSet<&str>) -> Vec<Refusal> {
    let modules: Vec<(&ProjectPath, String)> = paths
        .iter()
        .filter(|path| path.is_python())
        .flat_map(|path| roots.iter().filter_map(|root| path.below(root)).map(move |it| (path, it)))
        // A dot in a file's name stands where an import has one.
        .map(|(path, below)| {
            (path, below.as_str().strip_suffix(".py").unwrap_or_default().replace('.', "/"))
        })
        .collect();
    let mut first: BTreeMap<&str, &ProjectPath> = BTreeMap::new();
    let mut refusals = BTreeMap::new();
    let mut refuse = |path: &ProjectPath, other: &ProjectPath, module: &str| {
        let detail = format!("the module `{}` is `{other}` as well", module.replace('/', "."));
        refusals
            .entry(path.clone())
            .or_insert_with(|| Refusal::at(Rule::AmbiguousModule, path.as_str(), detail));
    };
    for (path, stem) in &modules {
        let module = stem.strip_suffix("__init__").map_or(&**stem, |it| it.trim_end_matches('/'));
        let known = *first.entry(module).or_insert(path);
        if known != *path && !module.is_empty() {
            refuse(path, known, module);
        }
    }
    for (path, stem) in &modules {
        for (at, _) in stem.match_indices('/') {
            let directory = stem.get(..at).unwrap_or_default();
            if let Some(module) = first.get(directory).filter(|it| !is_package(it)) {
                refuse(module, path, directory);
            }
        }
    }
    refusals.into_values().collect()
}

fn is_package(path: &ProjectPath) -> bool {
    path.components().next_back() == Some("__init__.py")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ambiguous;
    use crate::ArchiveLimits;
    use crate::path::ProjectPath;

    fn refused(paths: &[&str], roots: &[&str]) -> Vec<String> {
        let paths: Vec<ProjectPath> = paths
            .iter()
            .map(|path| ProjectPath::parse(path, &ArchiveLimits::default()).unwrap())
            .collect();
        let roots: BTreeSet<&str> = roots.iter().copied().collect();
        ambiguous(&paths, &roots).into_iter().filter_map(|refusal| refusal.path).collect()
    }

    #[test]
    fn two_files_that_are_one_module_are_refused() {
        for (paths, roots, expected) in [
            (&["a.py", "a/__init__.py"][..], &[""][..], &["a.py", "a/__init__.py"][..]),
            (&["a.py", "a/b.py"], &[""], &["a.py"]),
            (&["a.b.py", "a/b.py"], &[""], &["a/b.py"]),
            (&["net.py", "src/main.py", "src/net.py"], &["", "src"], &["src/net.py"]),
            (&["net.py", "src/main.py", "src/net/x.py"], &["", "src"], &["net.py"]),
            (&["p/u.py", "q/u.py"], &["", "p", "q"], &["q/u.py"]),
            (
                &["a/__init__.py", "src/a/__init__.py", "src/m.py"],
                &["", "src"],
                &["src/a/__init__.py"],
            ),
        ] {
            assert_eq!(refused(paths, roots), expected, "{paths:?} {roots:?}");
        }
    }

    #[test]
    fn what_has_a_name_of_its_own_is_not() {
        for (paths, roots) in [
            (&["model.py", "a/__init__.py", "a/b.py", "a/b_more.py", "b.py"][..], &[""][..]),
            (&["__init__.py", "src/__init__.py", "src/model.py", "src/parts/x.py"], &["", "src"]),
            (&["p/u.py", "q/u.py", "r/model.py"], &["", "r"]),
        ] {
            assert_eq!(refused(paths, roots), [""; 0], "{paths:?} {roots:?}");
        }
    }
}
