//! A tree of processes, from `/proc`: its memory, where no control group can be made, and its end.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Bytes of anonymous and shared memory that `root` and all its descendants hold, swapped out or not. Pages of files are
/// not counted: the kernel can drop them.
pub(crate) fn used_bytes(root: Option<u32>) -> u64 {
    root.map_or(0, |root| {
        tree_of(root).into_iter().map(resident_bytes).fold(0, u64::saturating_add)
    })
}

/// Kills the direct children of `root`; whether there were any.
pub(crate) fn kill_children(root: Option<u32>) -> bool {
    let tree = root.map(tree_of).unwrap_or_default();
    let mut killed = false;
    for child in tree.into_iter().filter(|id| parent_of(*id) == root) {
        let process = i32::try_from(child).ok().and_then(Pid::from_raw);
        killed |= process.is_some_and(|process| kill_process(process, Signal::KILL).is_ok());
    }
    killed
}

/// `root` and its descendants. Orphans stay in the tree: the root of their process namespace adopts them.
fn tree_of(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some((id, parent)) = id.and_then(|id| Some((id, parent_of(id)?))) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut tree = vec![root];
    let mut frontier = vec![root];
    while let Some(id) = frontier.pop() {
        let found = children.remove(&id).unwrap_or_default();
        tree.extend(&found);
        frontier.extend(found);
    }
    tree
}

/// The name of a process may hold anything, so its fields are counted from behind it.
fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn resident_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status
        .lines()
        .filter_map(|line| {
            ["RssAnon:", "RssShmem:", "VmSwap:"].iter().find_map(|name| line.strip_prefix(name))
        })
        .filter_map(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib.saturating_mul(1_024))
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_counted() {
        let me = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("started");
        let tree = tree_of(me);
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(tree.contains(&me) && tree.contains(&child.id()));
        assert!(used_bytes(Some(me)) > 1 << 16);
        assert_eq!(used_bytes(None), 0);
    }
}
