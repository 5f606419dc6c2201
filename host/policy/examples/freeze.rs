//! Writes the default components of this build, their cases and the answers into a folder of `wit/frozen`,
//! where they stay for ever: `freeze FOLDER`. Files that are there already are left as they are.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use prism_domain::policy::Slot;
use prism_policy::{Catalog, PROFILE, Sandbox, default_component};
use serde_json::{Value, json};

/// Level of the compression: written once, read for ever.
const LEVEL: i32 = 19;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("freeze FOLDER")?.into();
    let sandbox = Sandbox::start(None)?;
    let (catalog, _reader) = Catalog::embedded(&sandbox, &BTreeMap::new())?;
    let set = catalog.loaded();
    for slot in Slot::ALL {
        let mut cases = Vec::new();
        for path in case_folders(slot)? {
            let name =
                path.file_name().ok_or("a case without a name")?.to_string_lossy().into_owned();
            let input = fs::read_to_string(path.join("input.json"))?;
            let call = set.run_case(slot, &input)?;
            let answer: Value = serde_json::from_str(&call.answer)?;
            let input: Value = serde_json::from_str(&input)?;
            cases.push(
                json!({"name": name, "case": input, "answer": answer, "fuel": call.fuel_used}),
            );
        }
        let recorded = json!({"profile": PROFILE, "cases": cases}).to_string();
        put(&folder, &format!("{}.wasm.zst", slot.as_str()), default_component(slot))?;
        put(&folder, &format!("{}.cases.json.zst", slot.as_str()), recorded.as_bytes())?;
    }
    Ok(())
}

fn case_folders(slot: Slot) -> Result<Vec<PathBuf>, std::io::Error> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let listed = fs::read_dir(cases.join(slot.as_str()).join("cases"))?;
    let mut found =
        listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    found.sort();
    Ok(found)
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), std::io::Error> {
    let packed = zstd::encode_all(bytes, LEVEL)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(folder.join(name))?;
    file.write_all(&packed)
}
