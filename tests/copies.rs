//! Copies and what is none: the work of another hotkey is found under a disguise, with the lines; one's own is not held
//! against anybody, and neither is other work.

use std::time::Duration;

use prism_tests::{Prism, Project, Settings, bundle, honest, zip_of};
use serde_json::Value;

const SETTLES: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);
/// Files of the museum that have nothing to do with the honest project.
const OTHER_WORK: [&str; 8] = [
    "attention.py",
    "convolution.py",
    "decoder.py",
    "dense.py",
    "feedforward.py",
    "incremental.py",
    "norms.py",
    "recurrence.py",
];

/// The project with every name of it changed, other constants, no comments, and a function that nothing calls.
fn disguised(project: &Project) -> Project {
    let mut project = renamed(project);
    let unused = "\n\ndef unused(values):\n    total = 0\n    for value in values:\n        total = total * 3 + len(str(value))\n    return total\n";
    project.get_mut("model.py").expect("a model").extend_from_slice(unused.as_bytes());
    project
}

/// The project with as much as half of it again that does nothing.
fn padded(project: &Project) -> Project {
    let mut project = project.clone();
    let unused = r#"

def quantised(values, levels):
    low, high = min(values), max(values)
    step = (high - low) / max(levels - 1, 1)
    kept = []
    for value in values:
        kept.append(low + step * round((value - low) / step) if step else low)
    return kept


def described(table, width=12):
    lines = []
    for name, row in sorted(table.items()):
        cells = [str(cell).rjust(width) for cell in row]
        lines.append(name.ljust(width) + "".join(cells))
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def halved(sequence):
    left, right = [], []
    for place, item in enumerate(sequence):
        (left if place % 2 else right).append(item)
    return left[::-1] + right
"#;
    project.get_mut("model.py").expect("a model").extend_from_slice(unused.as_bytes());
    project
}

fn museum_base(file: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("museum/base");
    std::fs::read(folder.join(file)).expect("a file of the museum")
}

/// The same without anything that was not there.
fn renamed(project: &Project) -> Project {
    let source = String::from_utf8(project["model.py"].clone()).expect("text");
    let mut text = without_docstrings(&source);
    for (from, to) in [
        ("ScaleNorm", "UnitPower"),
        ("CausalAttention", "Blend"),
        ("GatedFeedForward", "Switch"),
        ("RotaryTransformer", "Network"),
        ("rotary_table", "angles"),
        ("HEAD_WIDTH", "LANES"),
        ("ROTARY_BASE", "SLOWEST"),
        ("attention_norm", "pre_blend"),
        ("feed_norm", "pre_switch"),
        ("weights", "shares"),
        ("scores", "strengths"),
        ("later", "hidden_from_view"),
        ("10_000.0", "20_000.0"),
        ("1e-6", "1e-5"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Project::from([
        ("prism.yaml".to_owned(), project["prism.yaml"].clone()),
        ("model.py".to_owned(), text.into_bytes()),
    ])
}

fn without_docstrings(source: &str) -> String {
    let mut parts = source.split("\"\"\"");
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let (Some(_docstring), Some(code)) = (parts.next(), parts.next()) {
        text.push_str("\"x\"");
        text.push_str(code);
    }
    text
}

/// The project with another activation and a normalisation more: work that builds on other work.
fn developed(project: &Project) -> Project {
    let source = String::from_utf8(project["model.py"].clone()).expect("text");
    let changed = source
        .replace("F.silu(", "F.gelu(")
        .replace("x = x + self.attention(", "x = x + 0.5 * self.attention(");
    assert_ne!(changed, source);
    let mut project = project.clone();
    project.insert("model.py".to_owned(), changed.into_bytes());
    project
}

/// Waits until the review has said something; the submission's detail.
async fn reviewed(prism: &Prism, id: &str) -> Value {
    let waiting = async {
        loop {
            let detail = prism.get(&format!("/v1/submissions/{id}")).await;
            let stage = detail["stage"].as_str().unwrap_or_default();
            if !["facts", "review"].contains(&stage) || detail["status"] == "held" {
                return detail;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(SETTLES, waiting).await.expect("a review")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_found_under_its_disguise_and_other_work_is_not_held() {
    let prism = Prism::start(&Settings::evaluating());
    let original = prism.submit("ann", zip_of(&honest())).await;
    assert_ne!(reviewed(&prism, &original).await["status"], "held");

    let copy = prism.submit("ben", zip_of(&disguised(&honest()))).await;
    let detail = reviewed(&prism, &copy).await;
    assert_eq!(detail["status"], "held", "{detail}");
    let findings = detail["findings"].as_array().expect("findings");
    let spans = findings.iter().find(|one| one["rule_id"] == "SIM-SPANS").expect("the lines");
    let told = spans["message"].as_str().expect("a text");
    assert!(
        told.contains(&original) && told.contains("model.py") && told.contains(" is model.py "),
        "{told}"
    );
    assert_eq!(spans["severity"], "hold");

    // Other words here and there, and functions that nothing calls.
    let padded = prism.submit("eve", zip_of(&padded(&developed(&renamed(&honest()))))).await;
    let detail = reviewed(&prism, &padded).await;
    assert_eq!(detail["status"], "held", "{detail}");

    // A copy that is most of it hidden passes, and makes the next one no next version of one's own.
    let mut walk = developed(&renamed(&honest()));
    for file in OTHER_WORK {
        walk.insert(file.to_owned(), museum_base(file));
    }
    let hidden = prism.submit("dan", zip_of(&walk)).await;
    let detail = reviewed(&prism, &hidden).await;
    assert!(detail["status"] != "held" && detail["status"] != "rejected", "{detail}");
    for file in OTHER_WORK.into_iter().filter(|file| *file != "dense.py") {
        walk.remove(file);
    }
    let bare = prism.submit("dan", zip_of(&walk)).await;
    let detail = reviewed(&prism, &bare).await;
    assert_eq!(detail["status"], "held", "{detail}");

    let taken = prism.submit("ben", zip_of(&developed(&renamed(&honest())))).await;
    assert_eq!(
        reviewed(&prism, &taken).await["status"],
        "held",
        "a few words changed make no work of one's own"
    );

    let own = prism.submit("ann", zip_of(&developed(&honest()))).await;
    let detail = reviewed(&prism, &own).await;
    assert!(detail["status"] != "held" && detail["status"] != "rejected", "{detail}");

    for (hotkey, name) in [("cleo", "02-conv-attention"), ("dora", "06-unstable")] {
        let other = prism.submit(hotkey, zip_of(&bundle(name))).await;
        let detail = reviewed(&prism, &other).await;
        assert!(detail["status"] != "held" && detail["status"] != "rejected", "{name}: {detail}");
    }
}
