//! The table: a line a project, and the counts of each set.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::verdict;

/// Says what the columns are.
pub(crate) fn heading() {
    println!(
        "{:4} {:32} {:11} {:27} {:9} {:>6} {:>6}  by",
        "", "project", "set", "expected", "actual", "q_arch", "stable"
    );
}

/// One project.
pub(crate) fn line(row: &Value) {
    let verdict = verdict::of(row);
    let expected = &row["expected"];
    let detector = expected["detector"].as_str().unwrap_or("-");
    let by = match (verdict.by.is_empty(), row["error"].as_str()) {
        (true, Some(error)) => error.lines().last().unwrap_or_default().to_owned(),
        _ => verdict.by.join(", "),
    };
    println!(
        "{:4} {:32} {:11} {:27} {:9} {:>6} {:>6}  {by}",
        if verdict.ok { "OK" } else { "MISS" },
        text(&row["project"]),
        text(&expected["set"]),
        format!("{} {detector}", text(&expected["outcome"])),
        text(&row["outcome"]),
        number(&row["report"]["q_arch"]["value"]),
        number(&row["report"]["stability"]),
    );
}

/// Counts by hall and set; answers whether everything is as it should be.
pub(crate) fn summary(rows: &[Value]) -> bool {
    let mut counts: BTreeMap<(String, String), Count> = BTreeMap::new();
    for row in rows {
        let key = (text(&row["kind"]).to_owned(), text(&row["expected"]["set"]).to_owned());
        counts.entry(key).or_default().add(row);
    }
    println!();
    for ((kind, set), count) in &counts {
        let Count { all, ok, detected, as_named, gaining } = count;
        let label = format!("{kind}, {set}:");
        match kind.as_str() {
            "healthy" => println!("{label:26} {} of {all} flagged", all - ok),
            "pathology" => println!(
                "{label:26} {detected} of {all} detected, {as_named} of them by the detector named beforehand"
            ),
            "cheat" => {
                println!("{label:26} {detected} of {all} detected, {gaining} gained from it");
            }
            _ => println!("{label:26} {ok} of {all} scored"),
        }
    }
    counts.values().all(|count| count.ok == count.all)
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    ok: usize,
    detected: usize,
    as_named: usize,
    gaining: usize,
}

impl Count {
    fn add(&mut self, row: &Value) {
        let verdict = verdict::of(row);
        self.all += 1;
        self.ok += usize::from(verdict.ok);
        self.detected += usize::from(verdict.detected);
        self.as_named += usize::from(verdict.as_named);
        self.gaining += usize::from(!verdict.ok);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}
