//! Lists the harness, the plans and the corpora for embedding. What is found decides, so that adding
//! a probe or a plan needs no change here; the harness's own tests stay out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const SKIPPED: [&str; 3] = ["tests", "__pycache__", ".pytest_cache"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut source = String::new();
    for (name, folder, suffixes) in [
        ("HARNESS", "harness", ["py", "json"]),
        ("PLANS", "plans", ["json", "json"]),
        ("CORPUS", "corpus", ["txt", "bin"]),
    ] {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        if folder.is_dir() {
            collect(&folder, &suffixes, &mut files)?;
        }
        files.sort();
        let _infallible = writeln!(source, "static {name}: &[(&str, &[u8])] = &[");
        for path in &files {
            let relative = path.strip_prefix(&folder).unwrap_or(path);
            let _infallible = writeln!(
                source,
                "    ({:?}, include_bytes!({:?})),",
                relative.to_string_lossy(),
                path.to_string_lossy()
            );
        }
        source.push_str("];\n");
    }
    fs::write(out.join("embedded.rs"), source)
}

fn collect(folder: &Path, suffixes: &[&str], files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&path, suffixes, files)?;
        } else if path
            .extension()
            .is_some_and(|found| suffixes.iter().any(|suffix| found == *suffix))
        {
            files.push(path);
        }
    }
    Ok(())
}
