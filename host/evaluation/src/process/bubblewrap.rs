//! The command line of a sandbox. Pure but for a look at which system folders are links.

use std::ffi::OsString;
use std::path::Path;

use crate::config::EvaluationConfig;
use crate::spec::{self, Bound, Isolation, JOB_DIR};

/// System folders that hold programs and libraries; on a merged `/usr` they are links into it.
const SYSTEM_FOLDERS: [&str; 5] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// What the loader and the choice of a linear algebra library need of `/etc`.
const SETTINGS: [&str; 4] =
    ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"];
/// Open files per process.
const OPEN_FILES_MAX: u32 = 1_024;

/// What of a job the sandbox shows.
pub(crate) struct Shown<'a> {
    /// The staged job. It holds an empty file where each bound one goes.
    pub(crate) job_dir: &'a Path,
    /// Files that were not copied into it.
    pub(crate) bound: &'a [Bound],
}

/// The number of the descriptor over which bubblewrap gets the filter of system calls.
pub(crate) const FILTER_FD: &str = "9";

/// Arguments of bubblewrap for a job in which Python is called with `python`.
pub(crate) fn arguments<const N: usize>(
    config: &EvaluationConfig,
    isolation: Isolation,
    shown: &Shown<'_>,
    python: [&str; N],
) -> Vec<OsString> {
    let mut line = Line(Vec::new());
    line.add([
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]);
    // The scorer is process 1: no helper of the same user is there whose descriptors could be opened.
    line.add(["--as-pid-1", "--die-with-parent", "--new-session", "--hostname", "prism"]);
    line.add(["--seccomp", FILTER_FD]);
    identity(&mut line, config, isolation);
    environment(&mut line, config);
    system_files(&mut line);
    line.add(["--proc", "/proc", "--dev", "/dev"]);
    if isolation == Isolation::TwoUser {
        // Root owns the kernel's switches, with or without capabilities.
        line.add(["--ro-bind", "/proc/sys", "/proc/sys"]);
        line.add(["--ro-bind-try", "/proc/sysrq-trigger", "/proc/sysrq-trigger"]);
    }
    line.add(["--perms", "1777", "--size"])
        .add([config.tmp_bytes.to_string().as_str()])
        .add(["--tmpfs", "/tmp"]);
    // After `/proc`, `/dev` and `/tmp`, which would hide what lies in them.
    for path in &config.process.read_only {
        line.add(["--ro-bind"]).path(path).path(path);
    }
    for path in &config.process.devices {
        line.add(["--dev-bind"]).path(path).path(path);
    }
    line.add(["--ro-bind"]).path(shown.job_dir).add([JOB_DIR, "--chdir", "/tmp"]);
    for Bound { path, source } in shown.bound {
        line.add(["--ro-bind"]).path(source).path(&Path::new(JOB_DIR).join(path));
    }
    line.add(["--remount-ro", "/dev", "--remount-ro", "/", "--"]);
    limits(&mut line, config);
    line.path(&config.process.python).add(python);
    line.0
}

fn identity(line: &mut Line, config: &EvaluationConfig, isolation: Isolation) {
    line.add(["--cap-drop", "ALL"]);
    match isolation {
        Isolation::TwoUser => {
            for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"] {
                line.add(["--cap-add", capability]);
            }
        }
        Isolation::SingleUser => {
            let uid = config.uids.scorer.to_string();
            line.add(["--unshare-user", "--uid", &uid, "--gid", &uid]);
        }
    }
}

fn environment(line: &mut Line, config: &EvaluationConfig) {
    line.add(["--clearenv"]);
    for (name, value) in spec::environment(config) {
        line.add(["--setenv", name, &value]);
    }
}

fn system_files(line: &mut Line) {
    line.add(["--ro-bind", "/usr", "/usr"]);
    for folder in SYSTEM_FOLDERS {
        match std::fs::read_link(folder) {
            Ok(target) => line.add(["--symlink"]).path(&target).add([folder]),
            Err(_no_link) => line.add(["--ro-bind-try", folder, folder]),
        };
    }
    for path in SETTINGS {
        line.add(["--ro-bind-try", path, path]);
    }
}

fn limits(line: &mut Line, config: &EvaluationConfig) {
    line.add(["/usr/bin/nice", "-n", &config.process.nice.to_string()]);
    line.add(["/usr/bin/prlimit", "--core=0", &format!("--nofile={OPEN_FILES_MAX}")]);
    // No file is that large: it bounds what is written to memory that is shared as one.
    line.add([format!("--fsize={}", config.memory_bytes).as_str()]);
    line.add([format!("--nproc={}", config.pids).as_str(), "--"]);
}

struct Line(Vec<OsString>);

impl Line {
    fn add<const N: usize>(&mut self, arguments: [&str; N]) -> &mut Self {
        self.0.extend(arguments.map(OsString::from));
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.0.push(path.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(isolation: Isolation) -> String {
        let bound = Bound { path: "data/train.bin", source: "/corpora/a/1/train.bin".into() };
        let shown = Shown { job_dir: Path::new("/staged/job"), bound: &[bound] };
        let line = arguments(&EvaluationConfig::default(), isolation, &shown, ["-V"]);
        line.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_the_interpreter_and_the_job_are_visible() {
        for isolation in [Isolation::TwoUser, Isolation::SingleUser] {
            let text = text(isolation);
            assert!(text.contains("--unshare-net") && text.contains("--clearenv"));
            assert!(text.contains("--ro-bind /staged/job /job"));
            assert!(text.contains("--ro-bind /corpora/a/1/train.bin /job/data/train.bin"));
            for forbidden in
                ["--bind ", "--dev-bind", "/home", "/root", "/var", "/etc/passwd", "--share-net"]
            {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
    }

    #[test]
    fn root_keeps_three_capabilities_and_others_none() {
        assert_eq!(text(Isolation::TwoUser).matches("--cap-add").count(), 3);
        assert_eq!(text(Isolation::SingleUser).matches("--cap-add").count(), 0);
        assert!(text(Isolation::SingleUser).contains("--unshare-user"));
    }
}
