//! The harness, the plans and the corpora as they are built into the binary.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Files of the harness by path relative to its folder.
pub(crate) fn harness() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    HARNESS.iter().copied()
}

/// Names of the plans, in order.
pub(crate) fn plan_names() -> Vec<&'static str> {
    PLANS.iter().filter_map(|(path, _)| path.strip_suffix(".json")).collect()
}

/// The plan of that name, as JSON.
pub(crate) fn plan(name: &str) -> Option<&'static [u8]> {
    find(PLANS, &format!("{name}.json"))
}

/// Folders of the corpora by the id that plans use.
const CORPORA: [(&str, &str); 1] = [("smoke-en/1", "smoke")];

/// The training and the held-out text of a corpus.
pub(crate) fn corpus(id: &str) -> Option<(&'static [u8], &'static [u8])> {
    let (_, folder) = CORPORA.iter().find(|(known, _)| *known == id)?;
    Some((
        find(CORPUS, &format!("{folder}/train.txt"))?,
        find(CORPUS, &format!("{folder}/val.txt"))?,
    ))
}

fn find(files: &'static [(&'static str, &'static [u8])], path: &str) -> Option<&'static [u8]> {
    files.iter().find(|(found, _)| *found == path).map(|(_, bytes)| *bytes)
}
