//! Turns the lists of allowed names into one perfect hash map keyed by the full name, so that judging a
//! name takes a look-up or two instead of several searches through sorted text: they were most of the
//! cost of a call.

#[path = "src/library_names.rs"]
mod library_names;
#[path = "src/torch_names.rs"]
mod torch_names;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for list in ["src/library_names.rs", "src/torch_names.rs"] {
        println!("cargo::rerun-if-changed={list}");
    }
    let names = names();
    let mut map = phf_codegen::Map::new();
    for (name, listed) in &names {
        map.entry(name.as_str(), listed);
    }
    fs::write(out_dir()?.join("names.rs"), map.build().to_string())?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "this is how cargo speaks to a build script")]
fn out_dir() -> Result<PathBuf, env::VarError> {
    env::var("OUT_DIR").map(PathBuf::from)
}

/// What each full name stands for. A module outranks a member of the same name, a folder is what is no
/// module itself but holds some.
fn names() -> BTreeMap<String, &'static str> {
    let mut names = BTreeMap::new();
    let modules = torch_names::TORCH.iter().chain(library_names::LIBRARIES);
    for (module, members) in modules.clone() {
        for member in *members {
            names.insert(format!("{module}.{member}"), "Listed::Member");
        }
    }
    for (module, _) in modules.clone() {
        for (at, _) in module.match_indices('.') {
            names.insert(module.split_at(at).0.to_owned(), "Listed::Folder");
        }
    }
    for (module, _) in modules {
        names.insert((*module).to_owned(), "Listed::Module");
    }
    for builtin in library_names::BUILTINS {
        names.entry((*builtin).to_owned()).or_insert("Listed::Builtin");
    }
    names
}
