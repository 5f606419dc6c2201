//! Released interfaces are never edited, and what stands in `wit/deps` under a released version is that version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wit_component::WitPrinter;
use wit_parser::{Resolve, UnresolvedPackageGroup};

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("wit")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn released_files_are_those_of_the_list() {
    let frozen = wit().join("frozen");
    let list = std::fs::read_to_string(frozen.join("SHA256SUMS")).expect("the list");
    let listed: BTreeMap<&str, &str> = list
        .lines()
        .map(|line| line.split_once("  ").expect("digest and name"))
        .map(swapped)
        .collect();
    let mut there = BTreeSet::new();
    for path in files_below(&frozen) {
        let name = path.strip_prefix(&frozen).expect("below").to_string_lossy().into_owned();
        if name == "SHA256SUMS" || name == "README.md" {
            continue;
        }
        let digest = hex::encode(Sha256::digest(std::fs::read(&path).expect("a file")));
        assert_eq!(listed.get(name.as_str()), Some(&digest.as_str()), "{name} was released");
        there.insert(name);
    }
    let named: BTreeSet<String> = listed.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(there, named, "nothing is missing");
}

fn swapped<'a>((digest, name): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (name, digest)
}

/// Each package of the folder by its versioned name, as text without comments.
fn packages(files: &[PathBuf]) -> BTreeMap<String, String> {
    let groups: Vec<_> = files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("text");
            UnresolvedPackageGroup::parse(path, &text).expect("valid WIT")
        })
        .collect();
    let mut groups = groups.into_iter();
    let main = groups.next().expect("a package");
    let mut resolve = Resolve::default();
    resolve.push_groups(main, groups.collect()).expect("valid together");
    let ids: Vec<_> =
        resolve.packages.iter().map(|(id, package)| (id, package.name.to_string())).collect();
    ids.into_iter()
        .map(|(id, name)| {
            let mut printer = WitPrinter::default();
            printer.emit_docs(false);
            printer.print(&resolve, id, &[]).expect("printable");
            (name, printer.output.to_string())
        })
        .collect()
}

fn with_host_first(folder: &Path, host: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = files_below(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "wit") && path != host)
        .collect();
    files.sort();
    files.insert(0, host.to_owned());
    files
}

#[test]
fn a_package_of_a_released_version_is_the_released_one() {
    let host = wit().join("host.wit");
    let today = packages(&with_host_first(&wit().join("deps"), &host));
    let mut compared = 0;
    for entry in std::fs::read_dir(wit().join("frozen")).expect("a folder") {
        let folder = entry.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let released = packages(&with_host_first(&folder, &folder.join("host.wit")));
        for (name, text) in &released {
            let Some(own) = today.get(name) else { continue };
            assert_eq!(own, text, "{name} was released: a change is a new version");
            compared += 1;
        }
    }
    assert!(compared >= 8 || today.keys().any(|name| !name.ends_with("@1.0.0")), "{today:?}");
}
