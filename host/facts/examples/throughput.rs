//! How fast Python is read: `cargo run --release -p prism-facts --example throughput -- FOLDER [TIMES]`.
//! Prints bytes, the best time and MB/s for all modules of a folder, read as one project.

#![allow(clippy::disallowed_methods, reason = "a benchmark takes the time")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail and talks")]

use std::path::Path;
use std::time::Instant;

use prism_facts::{Module, extract};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let times: u32 = arguments.next().map_or(5, |text| text.parse().unwrap());
    let mut modules = Vec::new();
    collect(Path::new(&folder), &mut modules);
    let bytes: usize = modules.iter().map(|module| module.source.len()).sum();
    let mut best = f64::INFINITY;
    let mut observations = 0;
    for _ in 0..times {
        let start = Instant::now();
        observations = extract(&modules, &[String::new()]).observations.len();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let rate = f64::from(u32::try_from(bytes).unwrap()) / best / 1e6;
    println!("{} modules, {bytes} bytes, {observations} observations", modules.len());
    println!("{:.2} ms, {rate:.1} MB/s", best * 1e3);
}

fn collect(folder: &Path, modules: &mut Vec<Module>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, modules);
        } else if path.extension().is_some_and(|suffix| suffix == "py") {
            let source = std::fs::read(&path).unwrap();
            modules.push(Module { path: path.to_string_lossy().into_owned(), source });
        }
    }
}
