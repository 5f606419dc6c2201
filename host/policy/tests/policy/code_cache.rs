//! Compiled code on disk is used when it is ours, and compiled anew in every other case.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use prism_domain::ids::Digest;
use prism_domain::policy::Policies;
use prism_policy::{Catalog, Sandbox};

use crate::kit::comparison;

fn start(folder: &Path) -> Digest {
    let sandbox = Sandbox::start(Some(folder)).expect("sandbox");
    let (catalog, _reader) = Catalog::embedded(&sandbox, &BTreeMap::new()).expect("embedded");
    let set = catalog.current();
    set.assess(&comparison()).expect("answer");
    set.digest()
}

fn compiled(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .collect();
    files.sort();
    files
}

/// WAS-UPG-02.
#[test]
fn changed_files_are_never_run() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let digest = start(folder);
    let files = compiled(folder);
    assert_eq!(files.len(), 6, "five policies and the reader");
    let genuine: Vec<_> = files.iter().map(|file| fs::read(file).expect("file")).collect();

    // Untouched files are used as they are.
    let written =
        |file: &PathBuf| fs::metadata(file).and_then(|found| found.modified()).expect("time");
    let times: Vec<_> = files.iter().map(written).collect();
    assert_eq!(start(folder), digest);
    assert_eq!(files.iter().map(written).collect::<Vec<_>>(), times);

    // One flipped bit, a cut file, an empty one, and two genuine files in each other's place.
    let mut flipped = genuine[0].clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let spoilt = [
        flipped,
        genuine[1][..1_000].to_vec(),
        Vec::new(),
        genuine[4].clone(),
        genuine[3].clone(),
        b"\x7fELF".to_vec(),
    ];
    for (file, bytes) in files.iter().zip(&spoilt) {
        fs::write(file, bytes).expect("write");
    }
    assert_eq!(start(folder), digest);
    for (file, bytes) in files.iter().zip(&spoilt) {
        assert_ne!(&fs::read(file).expect("file"), bytes, "replaced by a genuine one");
    }
}

#[test]
fn key_that_others_could_read_is_replaced() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    start(folder);
    let key = folder.join("key");
    let before = fs::read(&key).expect("key");
    assert_eq!(fs::metadata(&key).expect("key").permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("mode");
    start(folder);
    assert_ne!(fs::read(&key).expect("key"), before);
    assert_eq!(fs::metadata(&key).expect("key").permissions().mode() & 0o777, 0o600);
}

#[test]
fn folder_that_others_can_write_to_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let error = Sandbox::start(Some(folder.path())).err().expect("refused");
    assert_eq!(error.code(), "sandbox-code-cache");
}
