//! Any bytes as `prism.yaml`: the entry points of an accepted manifest are files of the project.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prism_fuzz::reading::check_rejection;
use prism_intake::{ArchiveLimits, assemble};

/// Files that a manifest may name.
const FILES: &[&str] = &["model.py", "train.py", "src/model.py", "src/deep/train.py", "notes.md"];

fuzz_target!(|manifest: &[u8]| {
    let files = FILES.iter().map(|path| ((*path).to_owned(), b"X = 1\n".to_vec()));
    let manifest = ("prism.yaml".to_owned(), manifest.to_vec());
    match assemble(files.chain([manifest]), &ArchiveLimits::default()) {
        Err(rejection) => check_rejection(&rejection),
        Ok(project) => {
            let manifest = &project.manifest;
            let named = [Some(manifest.entrypoint()), manifest.training_entrypoint()];
            for path in named.into_iter().flatten() {
                assert!(path.ends_with(".py") && FILES.contains(&path), "{path}");
            }
            let family = manifest.target_family().unwrap_or_default();
            assert!(family.chars().count() <= 128 && !family.contains(char::is_control));
        }
    }
});
