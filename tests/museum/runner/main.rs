//! Evaluates the museum's projects and holds what happens against what is expected of each.

mod measure;
mod digest;
mod verdict;
mod table;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use prism_tests::{Exhibit, exhibits};
use serde_json::Value;

use crate::measure::Setting;

const USAGE: &str = "usage: museum [--plan smoke|smoke-fast] [--out FILE] [--table] [--score FILE] [--card FILE] [--zoo DIR] [NAME...]

NAME is a project, a kind (healthy, weak, pathology, cheat) or a set (calibration, holdout); without
any, all are evaluated. With --out, each result is appended to FILE, and what FILE holds for the plan
is not evaluated again, unless the platform was at fault. Telemetry is kept in FILE.PLAN.telemetry.
All projects of a plan share seeds and the reference's runs: those of the telemetry in FILE.PLAN.reference,
which the first scored project leaves there.

--table only prints what FILE holds. --score scores the kept telemetry again, under the calibration card of
--card if given, and writes the results to another file. --zoo leaves the reports of the healthy projects that constants may
be fitted to in DIR, for `prism calibrate`.";

/// What the command line asks for.
#[derive(Debug)]
struct Arguments {
    plan: String,
    out: Option<PathBuf>,
    table_only: bool,
    score: Option<PathBuf>,
    card: Option<PathBuf>,
    zoo: Option<PathBuf>,
    names: BTreeSet<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let chosen: Vec<Exhibit> = exhibits()
        .into_iter()
        .filter(|exhibit| arguments.names.is_empty() || exhibit.answers_to(&arguments.names))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let out = arguments.out.clone().unwrap_or_else(|| folder.path().join("museum"));
    let companion =
        |what: &str| PathBuf::from(format!("{}.{}.{what}", out.display(), arguments.plan));
    let (beside, kept) = (companion("reference"), companion("telemetry"));
    let setting = Setting { plan: &arguments.plan, beside: &beside, kept: &kept };
    let earlier = arguments.out.as_deref().map(results).unwrap_or_default();
    let mut rows = Vec::new();
    table::heading();
    for (index, exhibit) in chosen.iter().enumerate() {
        let known = earlier.iter().rfind(|row| {
            row["project"] == exhibit.name.as_str()
                && row["plan"] == arguments.plan.as_str()
                && !verdict::is_platforms(row)
        });
        let mut row = match known {
            Some(row) => exhibit.expected_now(row),
            None if arguments.table_only || arguments.score.is_some() => continue,
            None => {
                eprint!("\r[{}/{}] {} ... ", index + 1, chosen.len(), exhibit.name);
                let row = measure::evaluate(exhibit, &setting);
                eprint!("\r\x1b[K");
                keep(arguments.out.as_deref(), &row);
                row
            }
        };
        if let Some(scored) = &arguments.score {
            row = measure::score_again(exhibit, &row, &kept, arguments.card.as_deref());
            keep(Some(scored), &row);
        }
        if let Some(zoo) = &arguments.zoo {
            leave_in(zoo, exhibit, &row);
        }
        table::line(&row);
        rows.push(row);
    }
    if table::summary(&rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The report of a healthy project that constants may be fitted to, as `prism calibrate` takes it.
fn leave_in(zoo: &Path, exhibit: &Exhibit, row: &Value) {
    if exhibit.kind != "healthy"
        || exhibit.expected["set"] != "calibration"
        || row["report"].is_null()
    {
        return;
    }
    std::fs::create_dir_all(zoo).expect("a folder");
    let path = zoo.join(exhibit.name.replace('/', "-")).with_extension("json");
    std::fs::write(path, row["report"].to_string()).expect("the report is written");
}

fn arguments(mut given: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut read = Arguments {
        plan: "smoke".to_owned(),
        out: None,
        table_only: false,
        score: None,
        card: None,
        zoo: None,
        names: BTreeSet::new(),
    };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--plan" => read.plan = given.next()?,
            "--out" => read.out = Some(given.next()?.into()),
            "--table" => read.table_only = true,
            "--score" => read.score = Some(given.next()?.into()),
            "--card" => read.card = Some(given.next()?.into()),
            "--zoo" => read.zoo = Some(given.next()?.into()),
            option if option.starts_with('-') => return None,
            name => {
                read.names.insert(name.to_owned());
            }
        }
    }
    Some(read)
}

/// The results that a file holds; none when it is not there. A last line that was cut off is left out.
fn results(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn keep(path: Option<&Path>, row: &Value) {
    let Some(path) = path else { return };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
    writeln!(file, "{row}").expect("the result is written");
}
