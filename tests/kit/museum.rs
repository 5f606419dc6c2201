//! The projects of the museum, what is expected of them, and how one is laid out for evaluation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The halls, in the order of the table.
const KINDS: [&str; 4] = ["healthy", "weak", "pathology", "cheat"];
/// A project that takes the evaluator's recipe has nothing to show under a recipe of its own.
const EVALUATORS_RECIPE: &str = "from recipe import get_recipe";
const MANIFEST: &str = "kind: architecture_only\narchitecture:\n  entrypoint: model.py\n";

/// One project.
#[derive(Debug)]
pub struct Exhibit {
    /// `kind/name`.
    pub name: String,
    /// The hall.
    pub kind: &'static str,
    /// What `expect.json` says.
    pub expected: Value,
    folder: PathBuf,
}

fn museum() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("museum")
}

/// All projects.
pub fn exhibits() -> Vec<Exhibit> {
    KINDS.into_iter().flat_map(of_kind).collect()
}

fn of_kind(kind: &'static str) -> Vec<Exhibit> {
    let folders = std::fs::read_dir(museum().join(kind)).expect("a hall of the museum");
    let mut found: Vec<Exhibit> = folders
        .map(|entry| {
            let folder = entry.expect("an entry").path();
            let text = std::fs::read_to_string(folder.join("expect.json"))
                .unwrap_or_else(|error| panic!("{}: expect.json: {error}", folder.display()));
            let expected = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: expect.json: {error}", folder.display()));
            let own = folder.file_name().expect("a name").to_string_lossy();
            Exhibit { name: format!("{kind}/{own}"), kind, expected, folder }
        })
        .collect();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

impl Exhibit {
    /// Whether one of the names means this project: its own, its hall's or its set's.
    pub fn answers_to(&self, names: &BTreeSet<String>) -> bool {
        let own = self.name.rsplit('/').next().unwrap_or_default();
        let set = self.expected["set"].as_str().unwrap_or_default();
        [self.name.as_str(), own, self.kind, set].iter().any(|name| names.contains(*name))
    }

    /// A result that was kept, under what is expected today.
    pub fn expected_now(&self, row: &Value) -> Value {
        let mut row = row.clone();
        row["expected"] = self.expected.clone();
        row
    }

    /// Puts the shared blocks and the project side by side, as the one folder that is evaluated.
    pub fn lay(&self, target: &Path) {
        for source in [&museum().join("base"), &self.folder] {
            for entry in std::fs::read_dir(source).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.extension().is_some_and(|ending| ending == "py") {
                    let name = path.file_name().expect("a name");
                    std::fs::copy(&path, target.join(name)).expect("copied");
                }
            }
        }
        let model = std::fs::read_to_string(self.folder.join("model.py")).expect("a model.py");
        if model.contains(EVALUATORS_RECIPE) {
            std::fs::write(target.join("prism.yaml"), MANIFEST).expect("written");
        }
    }
}
