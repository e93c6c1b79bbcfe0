//! The two lock files of a data directory: who uses its cluster, and who starts or stops it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Error, POLL_INTERVAL};

/// How long to wait for another process that is starting or stopping the cluster.
pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// Held by whoever starts or stops the cluster, one at a time.
#[derive(Debug)]
pub(super) struct StartLock(Held);

impl StartLock {
    /// Takes the lock, waiting for its holder.
    pub(super) fn take(dir: &Path) -> Result<StartLock, Error> {
        let path = dir.join("postgres-start.lock");
        let mut file = open(dir, &path)?;
        let deadline = Instant::now() + LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(POLL_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => {
                    let note = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
                    let holder = note.lines().next().unwrap_or("another process").to_owned();
                    return Err(Error::Locked { path, holder });
                }
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
        note_holder(&mut file).map_err(Error::io("write", &path))?;
        Ok(StartLock(Held { file, path }))
    }

    /// Returns a file through which another process keeps the lock should this one be killed.
    pub(super) fn share(&self) -> io::Result<File> {
        self.0.file.try_clone()
    }
}

/// Held, together with others, by every process that uses the cluster.
#[derive(Debug)]
pub(super) struct UserLock(Held);

impl UserLock {
    /// Takes a user's share. With the start lock held, nobody holds this one alone.
    pub(super) fn take(dir: &Path, _: &StartLock) -> Result<UserLock, Error> {
        let path = dir.join("postgres-users.lock");
        let file = open(dir, &path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(UserLock(Held { file, path })),
            Err(TryLockError::WouldBlock) => {
                Err(Error::Locked { holder: "a program that is not Syncline".to_owned(), path })
            }
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// Gives the share back and says whether nobody else has one.
    pub(super) fn was_the_last(self, _: &StartLock) -> Result<bool, Error> {
        let Held { file, path } = &self.0;
        file.unlock().map_err(Error::io("unlock", path))?;
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path)(source)),
        }
    }
}

/// A locked file.
#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
}

impl Drop for Held {
    /// Closing the file would not do: a program that another thread is about to run shares the lock
    /// until it is run.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(file = %self.path.display(), %error, "unlocked only when all who share it have ended");
        }
    }
}

/// Leaves word for those who wait. It is read only while the lock is held, so an old note misleads
/// nobody.
fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}", std::process::id())
}

/// Opens a lock file of the data directory, making it if missing.
///
/// It is made in the name of the directory's owner: else root, working once in the directory of
/// another user, would lock that user out.
fn open(dir: &Path, path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            if rustix::process::geteuid().is_root() {
                let owner = fs::metadata(dir).map_err(Error::io("look at", dir))?;
                fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(Error::io("change the owner of", path))?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.open(path).map_err(Error::io("open", path))
        }
        Err(error) => Err(Error::io("create", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_share_and_the_last_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let start = StartLock::take(dir.path()).unwrap();
        let (first, second) =
            (UserLock::take(dir.path(), &start).unwrap(), UserLock::take(dir.path(), &start).unwrap());
        assert!(!first.was_the_last(&start).unwrap());
        assert!(second.was_the_last(&start).unwrap());

        // As a program does that another thread is about to run while this one lets go.
        let (first, second) =
            (UserLock::take(dir.path(), &start).unwrap(), UserLock::take(dir.path(), &start).unwrap());
        let inherited = first.0.file.try_clone().unwrap();
        drop(first);
        assert!(second.was_the_last(&start).unwrap());
        drop(inherited);
    }

    #[test]
    fn the_starter_is_alone_and_says_who_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let start = StartLock::take(dir.path()).unwrap();
        let path = &start.0.path;
        assert!(matches!(open(dir.path(), path).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
        assert_eq!(fs::read_to_string(path).unwrap().trim(), format!("process {}", std::process::id()));

        let (path, inherited) = (path.clone(), start.share().unwrap());
        drop(start);
        open(dir.path(), &path).unwrap().try_lock().unwrap();
        drop(inherited);
    }
}
