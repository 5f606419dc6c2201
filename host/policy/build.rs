//! Compiles the default policies and the Python reader to WebAssembly, turns each core module into
//! a component, checks it against its world and leaves the files in `OUT_DIR` for embedding. The
//! questions of the policies' cases are embedded too: what any component of that slot must bear.
//!
//! The same cargo and the same compiler are used as for the host; nothing else has to be installed
//! but the `wasm32-unknown-unknown` target. Two builds of the same sources give the same bytes.

#[path = "src/inspect.rs"]
#[allow(unreachable_pub, reason = "the library exports what the build script only uses")]
mod inspect;
#[path = "src/encode.rs"]
#[allow(unreachable_pub, reason = "the library exports what the build script only uses")]
mod encode;
#[path = "src/shape.rs"]
mod shape;
#[path = "src/versions.rs"]
mod versions;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use encode::componentize;
use inspect::{Refusal, Wit, World};

/// The target of every guest: no operating system, hence no imports but those of the world.
const GUEST_TARGET: &str = "wasm32-unknown-unknown";

/// The slots whose cases are embedded.
const SLOTS: [&str; 5] = ["review", "scaling", "thresholds", "attribution", "rewards"];

/// What is compiled: package, its folder under the workspace, the world that it fills.
const GUESTS: [(&str, &str, World); 6] = [
    ("prism-plugin-review", "plugins/review", World::Reviewer),
    ("prism-plugin-scaling", "plugins/scaling", World::Scaler),
    ("prism-plugin-thresholds", "plugins/thresholds", World::Assessor),
    ("prism-plugin-attribution", "plugins/attribution", World::Attributor),
    ("prism-plugin-rewards", "plugins/rewards", World::Rewarder),
    ("prism-facts", "host/facts", World::PythonReader),
];

fn main() {
    if let Err(problem) = build() {
        for line in problem.lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir
        .ancestors()
        .nth(2)
        .ok_or_else(|| format!("`{}` is not inside the workspace", manifest_dir.display()))?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    watch(workspace);

    let wit = Wit::embedded().map_err(|refusal| refused("wit", &refusal))?;
    let target_dir = workspace.join("target/guests");
    compile_guests(workspace, &target_dir)?;
    for (package, _, world) in GUESTS {
        let file = format!("{}.wasm", package.replace('-', "_"));
        let module = target_dir.join(GUEST_TARGET).join("guest").join(file);
        let component = componentize(&read(&module)?).map_err(|why| format!("{package}: {why}"))?;
        wit.check(world, &component).map_err(|refusal| refused(package, &refusal))?;
        write(&out_dir.join(format!("{package}.wasm")), &component)?;
    }
    write(&out_dir.join("conformance.rs"), conformance(workspace)?.as_bytes())
}

/// A table of slot, name and text of each case's question, in the order of the names.
fn conformance(workspace: &Path) -> Result<String, String> {
    let mut table = String::from("&[\n");
    for slot in SLOTS {
        let folder = workspace.join("plugins").join(slot).join("cases");
        println!("cargo::rerun-if-changed={}", folder.display());
        let listed = fs::read_dir(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let mut names: Vec<String> = listed
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        names.sort();
        for name in names {
            let path = folder.join(&name).join("input.json").display().to_string();
            let line = format!("    ({slot:?}, {name:?}, include_str!({path:?})),\n");
            table.push_str(&line);
        }
    }
    table.push_str("]\n");
    Ok(table)
}

/// Cargo runs this script again when one of these changes.
fn watch(workspace: &Path) {
    // Not the whole of `wit`: nothing is built from what is frozen.
    let mut paths =
        ["wit/deps", "wit/host.wit", "Cargo.toml", "Cargo.lock"].map(str::to_owned).to_vec();
    for (_, folder, _) in GUESTS {
        paths.push(format!("{folder}/src"));
        paths.push(format!("{folder}/Cargo.toml"));
    }
    for path in paths {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for own in ["build.rs", "src/inspect.rs", "src/encode.rs", "src/shape.rs", "src/versions.rs"] {
        println!("cargo::rerun-if-changed={own}");
    }
}

fn compile_guests(workspace: &Path, target_dir: &Path) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(workspace).args(["build", "--profile", "guest"]);
    cargo.args(["--target", GUEST_TARGET]).arg("--target-dir").arg(target_dir);
    for (package, _, _) in GUESTS {
        cargo.args(["--package", package]);
    }
    // Settings meant for the host's build must not reach the guests: they would change their bytes.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        let leaks = name_text.starts_with("CARGO_PROFILE_")
            || name_text.starts_with("CARGO_TARGET_")
            || name_text.starts_with("CARGO_BUILD_")
            || name_text == "RUSTFLAGS"
            || name_text == "CARGO_ENCODED_RUSTFLAGS"
            || name_text == "RUSTC_WORKSPACE_WRAPPER";
        if leaks {
            cargo.env_remove(name);
        }
    }
    // Panic messages hold source paths; without these the bytes would differ from machine to machine.
    // Warnings are for whoever builds the guests by hand; here they would bury an error.
    // The parser and `memchr` go over text sixteen bytes at a time.
    let mut flags = format!(
        "-Awarnings\x1f-Ctarget-feature=+simd128\x1f--remap-path-prefix={}=/prism",
        workspace.display()
    );
    if let Some(home) = cargo_home() {
        let registry = home.join("registry/src");
        for index in fs::read_dir(&registry).into_iter().flatten().flatten() {
            flags += "\x1f--remap-path-prefix=";
            flags += &index.path().display().to_string();
            flags += "=/crates";
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);

    let output = cargo.output().map_err(|why| format!("cannot start cargo: {why}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("target may not be installed") {
        return Err(format!(
            "the policies need the {GUEST_TARGET} target: run `rustup target add {GUEST_TARGET}`"
        ));
    }
    Err(format!("the policies do not compile for {GUEST_TARGET}:\n{stderr}"))
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}

fn refused(package: &str, refusal: &Refusal) -> String {
    format!("{package}: {refusal} ({})", refusal.code())
}

#[allow(clippy::disallowed_methods, reason = "this is how cargo speaks to a build script")]
fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|why| format!("{name}: {why}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|why| format!("{}: {why}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|why| format!("{}: {why}", path.display()))
}
