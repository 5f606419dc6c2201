//! A control group for one sandbox, under version 1 or 2, where this machine lets us make one. The
//! kernel then bounds memory and processes exactly, and everything in the group can be killed at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::EvaluationConfig;

const MOUNT: &str = "/sys/fs/cgroup";
/// The folder of all our groups, below each hierarchy's root.
const PARENT: &str = "prism";
/// The period over which CPU time is bounded, microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// How often, and after which pause, a group that still has dying members is removed.
const REMOVE_TRIES: u32 = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// Removed, with all its members, when dropped.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    /// One folder under version 2; one for each controller under version 1.
    folders: Vec<PathBuf>,
    /// The file that counts kills for want of memory.
    oom_file: PathBuf,
}

impl ControlGroup {
    /// None where this process may not make one, or where the kernel lacks a controller.
    pub(crate) fn create(name: &str, config: &EvaluationConfig) -> Option<Self> {
        let unified = Path::new(MOUNT).join("cgroup.controllers").exists();
        let made =
            if unified { Self::create_v2(name, config) } else { Self::create_v1(name, config) };
        made.inspect_err(
            |source| tracing::debug!(%source, "no control group; memory is watched instead"),
        )
        .ok()
    }

    fn create_v2(name: &str, config: &EvaluationConfig) -> io::Result<Self> {
        let parent = Path::new(MOUNT).join(PARENT);
        fs::create_dir_all(&parent)?;
        // Already enabled by the service manager on most machines.
        fs::write(Path::new(MOUNT).join("cgroup.subtree_control"), "+memory +pids").ok();
        fs::write(Path::new(MOUNT).join("cgroup.subtree_control"), "+cpu").ok();
        fs::write(parent.join("cgroup.subtree_control"), "+memory +pids")?;
        fs::write(parent.join("cgroup.subtree_control"), "+cpu").ok(); // bounded below if it can be
        let folder = parent.join(name);
        fs::create_dir(&folder)?;
        let group = Self { oom_file: folder.join("memory.events"), folders: vec![folder.clone()] };
        fs::write(folder.join("memory.max"), config.memory_bytes.to_string())?;
        fs::write(folder.join("memory.swap.max"), "0").ok(); // absent without swap accounting
        fs::write(folder.join("pids.max"), config.pids.to_string())?;
        let quota = format!("{} {CPU_PERIOD_US}", quota_us(config));
        let bounded = fs::write(folder.join("cpu.max"), quota);
        told_if_unbounded(&bounded);
        Ok(group)
    }

    fn create_v1(name: &str, config: &EvaluationConfig) -> io::Result<Self> {
        let below = |controller: &str| Path::new(MOUNT).join(controller).join(PARENT).join(name);
        let (memory, pids) = (below("memory"), below("pids"));
        for controller in ["memory", "pids"] {
            if !Path::new(MOUNT).join(controller).join("cgroup.procs").exists() {
                return Err(io::Error::other("a controller is missing"));
            }
        }
        fs::create_dir_all(&memory)?;
        let mut group =
            Self { oom_file: memory.join("memory.oom_control"), folders: vec![memory.clone()] };
        fs::create_dir_all(&pids)?;
        group.folders.push(pids.clone());
        fs::write(memory.join("memory.limit_in_bytes"), config.memory_bytes.to_string())?;
        fs::write(memory.join("memory.memsw.limit_in_bytes"), config.memory_bytes.to_string()).ok();
        fs::write(pids.join("pids.max"), config.pids.to_string())?;
        told_if_unbounded(&group.bound_cpu_v1(&below("cpu"), config));
        Ok(group)
    }

    /// CPU time in a hierarchy of its own, which some machines have not.
    fn bound_cpu_v1(&mut self, cpu: &Path, config: &EvaluationConfig) -> io::Result<()> {
        if !Path::new(MOUNT).join("cpu/cgroup.procs").exists() {
            return Err(io::Error::other("the controller is missing"));
        }
        fs::create_dir_all(cpu)?;
        self.folders.push(cpu.to_owned());
        fs::write(cpu.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
        fs::write(cpu.join("cpu.cfs_quota_us"), quota_us(config).to_string())
    }

    /// Moves a process into the group; its future children are born there.
    pub(crate) fn adopt(&self, id: u32) -> io::Result<()> {
        self.folders
            .iter()
            .try_for_each(|folder| fs::write(folder.join("cgroup.procs"), id.to_string()))
    }

    /// Whether the kernel killed a member because the group's memory was full.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(&self.oom_file).unwrap_or_default();
        events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    }

    fn members(&self) -> Vec<rustix::process::Pid> {
        let listed =
            self.folders.first().map(|folder| fs::read_to_string(folder.join("cgroup.procs")));
        let listed = listed.and_then(Result::ok).unwrap_or_default();
        listed
            .lines()
            .filter_map(|line| rustix::process::Pid::from_raw(line.parse().ok()?))
            .collect()
    }
}

impl Drop for ControlGroup {
    /// On the usual path the group is empty by now. Otherwise this waits half a second at most.
    fn drop(&mut self) {
        for _ in 0..REMOVE_TRIES {
            for member in self.members() {
                rustix::process::kill_process(member, rustix::process::Signal::KILL).ok();
            }
            self.folders.retain(|folder| folder.exists() && fs::remove_dir(folder).is_err());
            if self.folders.is_empty() {
                return;
            }
            std::thread::sleep(REMOVE_PAUSE);
        }
        tracing::error!(folders = ?self.folders, "a control group cannot be removed");
    }
}

/// CPU time in each period, microseconds.
fn quota_us(config: &EvaluationConfig) -> u64 {
    u64::from(config.process.cpu_milli) * CPU_PERIOD_US / 1_000
}

/// Memory and processes are bounded in any case; CPU time then only by the wall clock and the priority.
fn told_if_unbounded(bounded: &io::Result<()>) {
    if let Err(source) = bounded {
        tracing::debug!(%source, "CPU time is bounded by the wall clock only");
    }
}

/// Removes empty groups that a killed service left; returns how many. Groups with members stay.
pub(crate) fn sweep() -> usize {
    let roots = ["", "memory", "pids", "cpu"]
        .map(|controller| Path::new(MOUNT).join(controller).join(PARENT));
    roots
        .iter()
        .filter_map(|root| fs::read_dir(root).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| fs::remove_dir(entry.path()).is_ok())
        .count()
}
