//! Where two answers differ, told so that one finds the place.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

/// Places that are told; who has more of them has one cause for most.
const PLACES_MAX: usize = 20;
/// Characters of a value that are shown.
const SHOWN_MAX: usize = 160;

/// One line for each place, as a JSON pointer with what was expected and what came; empty when the two are
/// equal. Numbers are equal when their values are.
pub(super) fn differences(expected: &Value, came: &Value) -> Vec<String> {
    told(expected, came, |one, other| format!("expected {one}, came {other}"))
}

/// The same with what was and what is.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<String> {
    told(before, after, |one, other| format!("{one} -> {other}"))
}

fn told(one: &Value, other: &Value, say: impl Fn(&str, &str) -> String) -> Vec<String> {
    let mut places = Vec::new();
    compare("", Some(one), Some(other), &mut places);
    let more = places.len().saturating_sub(PLACES_MAX);
    places.truncate(PLACES_MAX);
    let mut lines: Vec<String> = places
        .iter()
        .map(|(place, one, other)| {
            let place = if place.is_empty() { "/" } else { place };
            format!("{place}: {}", say(one, other))
        })
        .collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// A place, and what stands there on either side.
type Place = (String, String, String);

fn compare(place: &str, one: Option<&Value>, other: Option<&Value>, places: &mut Vec<Place>) {
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                compare(&format!("{place}/{name}"), one.get(name), other.get(name), places);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for index in 0..one.len().max(other.len()) {
                compare(&format!("{place}/{index}"), one.get(index), other.get(index), places);
            }
        }
        (Some(Value::Number(one)), Some(Value::Number(other))) if same_number(one, other) => {}
        (one, other) if one == other => {}
        (one, other) => places.push((place.to_owned(), shown(one), shown(other))),
    }
}

/// `1` and `1.0` are one number; an integer that a float cannot hold is not rounded to it.
fn same_number(one: &Number, other: &Number) -> bool {
    if one.is_f64() == other.is_f64() {
        return one == other;
    }
    one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one.total_cmp(&other).is_eq())
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    text.chars().take(SHOWN_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_place_is_told_with_both_values() {
        let expected = json!({"Ok": {"decision": "Accept", "findings": [], "score": 1}});
        let came = json!({"Ok": {"decision": "Reject", "findings": ["x"], "score": 1.0}});
        assert_eq!(
            differences(&expected, &came),
            [
                r#"/Ok/decision: expected "Accept", came "Reject""#,
                r#"/Ok/findings/0: expected nothing, came "x""#
            ]
        );
    }

    #[test]
    fn a_last_digit_is_a_difference_and_many_are_counted() {
        assert_eq!(differences(&json!([0.1]), &json!([0.1])).len(), 0);
        assert_eq!(differences(&json!(0.3), &json!(0.1 + 0.2)).len(), 1);
        let told = differences(&json!(vec![0; 30]), &json!(vec![1; 30]));
        assert_eq!((told.len(), told[PLACES_MAX].as_str()), (PLACES_MAX + 1, "and 10 more"));
    }
}
