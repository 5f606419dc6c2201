//! Projects to send.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::Path;

use zip::write::SimpleFileOptions;

/// Files by path.
pub type Project = BTreeMap<String, Vec<u8>>;

/// A bundled example project.
pub fn bundle(name: &str) -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles").join(name);
    let mut files = Project::new();
    collect(&root, &root, &mut files);
    assert!(!files.is_empty(), "no bundle `{name}`");
    files
}

/// The bundled good small transformer.
pub fn honest() -> Project {
    bundle("01-rotary-transformer")
}

/// A project as an archive.
pub fn zip_of(project: &Project) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in project {
        let options = SimpleFileOptions::default().unix_permissions(0o644);
        archive.start_file(path.as_str(), options).expect("an entry");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

fn collect(root: &Path, folder: &Path, files: &mut Project) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}
