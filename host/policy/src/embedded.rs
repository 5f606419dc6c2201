//! The components that the build script compiled and checked, and the interfaces that policies are built
//! against. They are part of the binary.

use prism_domain::policy::Slot;

use crate::inspect::{WIT_SOURCES, World};

const REVIEW: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-review.wasm"));
const SCALING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-scaling.wasm"));
const THRESHOLDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-thresholds.wasm"));
const ATTRIBUTION: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-attribution.wasm"));
const REWARDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-rewards.wasm"));
const PYTHON_READER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-facts.wasm"));

/// The default component of a slot.
pub const fn default_component(slot: Slot) -> &'static [u8] {
    match slot {
        Slot::Review => REVIEW,
        Slot::Scaling => SCALING,
        Slot::Thresholds => THRESHOLDS,
        Slot::Attribution => ATTRIBUTION,
        Slot::Rewards => REWARDS,
    }
}

/// The Python reader.
pub const fn python_reader() -> &'static [u8] {
    PYTHON_READER
}

/// What a policy of that slot is built against: paths below a folder, and texts. The slot's own package
/// stands in the folder, those that it uses in `deps`.
pub fn wit_files(slot: Slot) -> Vec<(String, String)> {
    let own = format!("{}.wit", slot.as_str());
    let mut files = Vec::new();
    for (name, text) in WIT_SOURCES {
        match name {
            _ if name == own => files.push((own.clone(), text.to_owned())),
            "types.wit" | "plugin.wit" => files.push((format!("deps/{name}"), text.to_owned())),
            "thresholds.wit" if slot == Slot::Attribution => {
                files.push((format!("deps/{name}"), without_function(text)));
            }
            _ => {}
        }
    }
    files
}

/// The types of the thresholds slot, which attribution's questions hold. Toolchains that ask for every
/// function of an interface would import the slot's own too, and a policy may import none.
fn without_function(thresholds: &str) -> String {
    let types = thresholds.lines().take_while(|line| !line.contains("/// Weighs one comparison."));
    let text = types.collect::<Vec<_>>().join("\n");
    format!("{}\n}}\n", text.trim_end())
}

impl From<Slot> for World {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Review => Self::Reviewer,
            Slot::Scaling => Self::Scaler,
            Slot::Thresholds => Self::Assessor,
            Slot::Attribution => Self::Attributor,
            Slot::Rewards => Self::Rewarder,
        }
    }
}

#[cfg(test)]
mod tests {
    use wit_parser::Resolve;

    use super::*;

    #[test]
    fn a_policy_is_offered_no_function_but_the_log() {
        for slot in Slot::ALL {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(folder.path().join("deps")).expect("a folder");
            for (path, text) in wit_files(slot) {
                std::fs::write(folder.path().join(path), text).expect("written");
            }
            let mut resolve = Resolve::new();
            resolve.push_dir(folder.path()).expect("the interfaces are whole");
            let mut functions: Vec<String> = Vec::new();
            for (_, interface) in &resolve.interfaces {
                let name = interface.name.clone().unwrap_or_default();
                functions.extend(interface.functions.keys().map(|own| format!("{name}.{own}")));
            }
            let is_own = |function: &&String| function.starts_with(slot.as_str());
            assert_eq!(functions.iter().filter(is_own).count(), 1, "{functions:?}");
            assert_eq!(functions.len(), 4, "with the log's and the two of `meta`: {functions:?}");
        }
    }
}
