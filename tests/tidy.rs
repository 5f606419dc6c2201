//! The house in order: what no compiler checks.

use std::path::{Path, PathBuf};

use wit_parser::{Docs, Resolve, TypeDefKind, WorldItem};

/// The longest source file, in lines.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

#[test]
fn every_wit_item_is_documented() {
    let mut resolve = Resolve::new();
    resolve.push_dir(root().join("wit")).expect("the WIT is valid");
    let mut bare = Vec::new();
    let mut check = |docs: &Docs, name: String| {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            bare.push(name);
        }
    };
    for (_, world) in &resolve.worlds {
        check(&world.docs, format!("world {}", world.name));
    }
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.clone().unwrap_or_default();
        check(&interface.docs, format!("interface {name}"));
        for (function, item) in &interface.functions {
            check(&item.docs, format!("{name}.{function}"));
        }
    }
    for (_, item) in &resolve.types {
        let Some(name) = &item.name else { continue };
        match &item.kind {
            TypeDefKind::Record(record) => {
                check(&item.docs, name.clone());
                record.fields.iter().for_each(|f| check(&f.docs, format!("{name}.{}", f.name)));
            }
            TypeDefKind::Enum(all) => {
                check(&item.docs, name.clone());
                all.cases.iter().for_each(|c| check(&c.docs, format!("{name}.{}", c.name)));
            }
            TypeDefKind::Variant(all) => {
                check(&item.docs, name.clone());
                all.cases.iter().for_each(|c| check(&c.docs, format!("{name}.{}", c.name)));
            }
            // A `use` of a type that is documented where it is defined.
            _ => {}
        }
    }
    assert!(bare.is_empty(), "undocumented WIT items: {bare:?}");
}

/// WAS-FLT-03: the only function that the host offers takes text and gives nothing, so no call from the host into
/// a policy can lead back into the host and from there into a policy. Two more interfaces come along with the types
/// that worlds take from them; a component that imports their functions is refused (`component-forbidden-import`).
#[test]
fn worlds_import_the_log_and_nothing_else() {
    let mut resolve = Resolve::new();
    resolve.push_dir(root().join("wit")).expect("the WIT is valid");
    let mut imported = std::collections::BTreeSet::new();
    for (_, world) in &resolve.worlds {
        for (key, item) in &world.imports {
            let WorldItem::Interface { id, .. } = item else { panic!("{key:?} is no interface") };
            let name = resolve.name_world_key(key);
            let functions = resolve.interfaces[*id].functions.values();
            imported.extend(functions.map(|function| format!("{name}.{}", function.name)));
        }
    }
    let for_their_types =
        ["prism:review/review@1.0.0.judge", "prism:thresholds/thresholds@1.0.0.assess"];
    imported.retain(|function| !for_their_types.contains(&function.as_str()));
    assert_eq!(imported.into_iter().collect::<Vec<_>>(), ["prism:plugin/log@1.0.0.write"]);
}

#[test]
fn files_begin_by_saying_what_they_are_for_and_stay_short() {
    let mut faults = Vec::new();
    for folder in ["host", "plugins", "tests"] {
        for path in files_below(&root().join(folder), "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let shown = path.strip_prefix(root()).expect("below").display().to_string();
            if !text.starts_with("//!") {
                faults.push(format!("{shown} does not begin with `//!`"));
            }
            if text.lines().count() > LINES_MAX {
                faults.push(format!("{shown} has more than {LINES_MAX} lines"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn layers_are_kept() {
    let allowed = [
        ("domain", &[][..]),
        ("facts", &[]),
        ("intake", &["domain"]),
        ("store", &["domain"]),
        ("policy", &["domain"]),
        ("evaluation", &["domain"]),
        ("pipeline", &["domain", "intake", "store"]),
    ];
    for (name, may) in allowed {
        let text = std::fs::read_to_string(root().join("host").join(name).join("Cargo.toml"))
            .expect("text");
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_else(|| panic!("{name}"));
        let own = dependencies.split("\n[").next().unwrap_or_default();
        for line in own.lines().filter(|line| line.starts_with("prism-")) {
            let edge =
                line.split([' ', '=']).next().unwrap_or_default().trim_start_matches("prism-");
            assert!(may.contains(&edge), "`{name}` must not depend on `{edge}`");
        }
    }
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found
}
