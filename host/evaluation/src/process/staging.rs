//! A job as files on this machine, for as long as its evaluation lives. The folder is private to the
//! service's user; only the sandbox sees into it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::config::EvaluationConfig;
use crate::spec::{Bound, JobTree};

/// Names of staging folders begin so. They are visible inside the sandbox, so they tell nothing.
const PREFIX: &str = "prism-job-";
/// The file beside the job that holds the filter of system calls.
const FILTER: &str = "filter";
/// How old a folder without an owner must be to be swept: its maker may not have locked it yet.
const SWEPT_AFTER: Duration = Duration::from_mins(1);

/// Removes its files when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: TempDir,
    job_dir: PathBuf,
    bound: Vec<Bound>,
    /// Held for as long as the folder is in use; a folder whose lock is free has no owner.
    _lock: File,
}

impl Staging {
    pub(crate) fn write(tree: &JobTree, config: &EvaluationConfig) -> io::Result<Self> {
        let parent = config.process.staging_dir.clone().unwrap_or_else(std::env::temp_dir);
        fs::create_dir_all(&parent)?;
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = File::create(folder.path().join("lock"))?;
        lock.lock()?;
        let filter = super::system_calls::filter().ok_or_else(super::unfiltered)?;
        fs::write(folder.path().join(FILTER), filter)?;
        let job_dir = folder.path().join("job");
        fs::create_dir(&job_dir)?;
        for entry in &tree.entries {
            let path = job_dir.join(&entry.path);
            match &entry.bytes {
                None => fs::create_dir(&path)?,
                Some(bytes) => {
                    let mut file =
                        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                    file.write_all(bytes)?;
                }
            }
            if let Some(group) = tree.group_of(entry) {
                chown(&path, None, Some(group))?;
            }
        }
        // Where a bound file goes there has to be a file. It takes no permission with it.
        for bound in &tree.bound {
            File::create_new(job_dir.join(bound.path))?;
        }
        // Folders close after what they hold was made.
        for entry in tree.entries.iter().rev() {
            fs::set_permissions(
                job_dir.join(&entry.path),
                Permissions::from_mode(entry.mode(tree.isolation)),
            )?;
        }
        fs::set_permissions(&job_dir, Permissions::from_mode(0o555))?;
        Ok(Self { folder, job_dir, bound: tree.bound.clone(), _lock: lock })
    }

    /// What the sandbox shows in the job without a copy in it.
    pub(crate) fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// What the sandbox sees as its job.
    pub(crate) fn job_dir(&self) -> &Path {
        &self.job_dir
    }

    /// The file with the filter of system calls, which the sandbox does not see.
    pub(crate) fn filter(&self) -> PathBuf {
        self.folder.path().join(FILTER)
    }

    /// A name that no other evaluation has.
    pub(crate) fn name(&self) -> &str {
        self.folder.path().file_name().and_then(|name| name.to_str()).unwrap_or(PREFIX)
    }
}

impl Drop for Staging {
    /// An ordinary user cannot remove files from a folder without write permission, its own included.
    fn drop(&mut self) {
        open_folders(&self.job_dir);
    }
}

fn open_folders(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o700)).ok();
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        open_folders(&entry.path());
    }
}

/// Removes staging folders whose owner is gone; returns how many.
pub(crate) fn sweep(config: &EvaluationConfig) -> usize {
    let parent = config.process.staging_dir.clone().unwrap_or_else(std::env::temp_dir);
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)))
        .filter(|entry| is_abandoned(&entry.path()))
        .filter(|entry| {
            open_folders(&entry.path().join("job"));
            fs::remove_dir_all(entry.path()).is_ok()
        })
        .count()
}

fn is_abandoned(folder: &Path) -> bool {
    let old = fs::symlink_metadata(folder)
        .and_then(|about| about.modified())
        .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > SWEPT_AFTER));
    old && File::open(folder.join("lock")).map_or(true, |lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::spec::{Access, Entry, Isolation};

    fn staged(parent: &Path) -> (Staging, EvaluationConfig) {
        let mut config = EvaluationConfig::default();
        config.process.staging_dir = Some(parent.to_owned());
        let folder =
            |path: &str| Entry { path: path.to_owned(), access: Access::Everybody, bytes: None };
        let file =
            Entry { path: "a/b/c".to_owned(), access: Access::Everybody, bytes: Some(b"x".into()) };
        let entries = vec![folder("a"), folder("a/b"), file];
        let isolation = Isolation::SingleUser;
        let tree = JobTree { entries, bound: Vec::new(), isolation, scorer_gid: 1 };
        (Staging::write(&tree, &config).expect("staged"), config)
    }

    #[test]
    fn nothing_is_left_when_it_is_dropped() {
        let parent = tempfile::tempdir().expect("a folder");
        let (staging, _) = staged(parent.path());
        let file = staging.job_dir().join("a/b/c");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o444);
        drop(staging);
        assert_eq!(fs::read_dir(parent.path()).expect("readable").count(), 0);
    }

    #[test]
    fn only_what_nobody_owns_is_swept() {
        let parent = tempfile::tempdir().expect("a folder");
        let (living, config) = staged(parent.path());
        let abandoned = parent.path().join("prism-job-dead");
        fs::create_dir_all(abandoned.join("job/a")).expect("made");
        fs::set_permissions(abandoned.join("job"), Permissions::from_mode(0o555)).expect("closed");
        fs::create_dir(parent.path().join("another")).expect("made");
        assert_eq!(sweep(&config), 0, "both are new");
        let hour_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for folder in [living.folder.path(), abandoned.as_path()] {
            File::open(folder).and_then(|file| file.set_modified(hour_ago)).expect("dated");
        }
        assert_eq!(sweep(&config), 1);
        assert!(living.job_dir().exists() && !abandoned.exists());
    }
}
