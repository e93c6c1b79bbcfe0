//! Decides where a cluster is kept, where its socket is, and as which user PostgreSQL runs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use super::{Error, PORT};

/// Where clusters are kept whose data directory PostgreSQL's user cannot enter.
const SHARED_HOME: &str = "/var/lib/syncline";

/// The longest path of a socket that every system takes: Linux takes 107 bytes, macOS 103.
const MAX_SOCKET_PATH: usize = 103;

/// The user that PostgreSQL's programs run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    fn of_this_process() -> Account {
        Account { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }

    fn owning(dir: &Path) -> Result<Account, Error> {
        let metadata = fs::metadata(dir).map_err(Error::io("look at", dir))?;
        Ok(Account { uid: metadata.uid(), gid: metadata.gid() })
    }

    /// Returns whether programs can simply be run, without changing the user.
    pub(super) fn is_this_process(self) -> bool {
        self.uid == geteuid().as_raw()
    }

    /// Picks the user for a new cluster in the data directory `dir`.
    ///
    /// It is the user of this process if possible. PostgreSQL refuses to run as root: root runs it
    /// as the owner of the directory, or else as a user without privileges.
    pub(super) fn for_new_cluster(dir: &Path) -> Result<Account, Error> {
        if !geteuid().is_root() {
            return Ok(Account::of_this_process());
        }
        let owner = Account::owning(dir)?;
        if owner.uid != 0 {
            return Ok(owner);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(Error::io("read", path))?;
        ["postgres", "nobody"].iter().find_map(|name| find_account(&passwd, name)).ok_or(Error::NoUnprivilegedUser)
    }

    /// Picks the user for an existing cluster: its owner, whom root can become and anyone else must
    /// be.
    pub(super) fn for_cluster(data: &Path) -> Result<Account, Error> {
        let owner = Account::owning(data)?;
        let may_run_as_owner = owner.is_this_process() || geteuid().is_root();
        if owner.uid == 0 || !may_run_as_owner {
            return Err(Error::WrongOwner { data: data.to_owned(), owner: owner.uid, user: geteuid().as_raw() });
        }
        if !owner.is_this_process() && !owner.can_enter(data)? {
            return Err(Error::Unreachable { data: data.to_owned(), user: owner.uid });
        }
        Ok(owner)
    }

    /// Returns whether this user may enter a directory, and therefore all of the directories above
    /// it.
    fn can_enter(self, dir: &Path) -> Result<bool, Error> {
        for dir in dir.ancestors() {
            let metadata = fs::metadata(dir).map_err(Error::io("look at", dir))?;
            if !self.may_pass(metadata.mode(), metadata.uid(), metadata.gid()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Applies the permissions of one directory, of which only the first class that fits counts.
    fn may_pass(self, mode: u32, owner: u32, group: u32) -> bool {
        let execute = if self.uid == owner {
            0o100
        } else if self.gid == group {
            0o010
        } else {
            0o001
        };
        mode & execute != 0
    }

    /// Makes a directory that only this user may enter.
    pub(super) fn make_dir(self, dir: &Path) -> Result<(), Error> {
        DirBuilder::new().mode(0o700).create(dir).map_err(Error::io("create the directory", dir))?;
        self.own(dir)
    }

    fn own(self, dir: &Path) -> Result<(), Error> {
        if self.is_this_process() {
            return Ok(());
        }
        lchown(dir, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", dir))
    }
}

/// Finds a user by name among the lines of `/etc/passwd`.
fn find_account(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

/// Follows `link`, which is the cluster's directory or a link to it; returns nothing if it has yet
/// to be made.
pub(super) fn existing_cluster(link: &Path) -> Result<Option<PathBuf>, Error> {
    match fs::canonicalize(link) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("open", link)(error)),
        Err(_) => match fs::read_link(link) {
            // The link is made before its target is complete: see `Server::create`.
            Ok(data) if !with_suffix(&data, ".new").exists() => Err(Error::Vanished { link: link.to_owned(), data }),
            _ => Ok(None),
        },
    }
}

/// Decides where the new cluster of the data directory `dir` is kept, behind `link`.
pub(super) fn new_cluster(dir: &Path, link: &Path, account: Account) -> Result<PathBuf, Error> {
    if account.is_this_process() || account.can_enter(dir)? {
        return Ok(link.to_owned());
    }
    let home = Path::new(SHARED_HOME);
    fs::create_dir_all(home).map_err(Error::io("create the directory", home))?;
    fs::set_permissions(home, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("change the permissions of", home))?;
    let data = home.join(stable_hash(dir));
    if !account.can_enter(home)? {
        return Err(Error::Unreachable { data, user: account.uid });
    }
    if data.exists() {
        return Err(Error::LeftBehind { link: link.to_owned(), data });
    }
    tracing::info!(
        directory = %dir.display(), cluster = %data.display(), user = account.uid,
        "the database is kept elsewhere and linked: its user cannot enter the data directory"
    );
    Ok(data)
}

/// Decides where the socket is: with the cluster, whose directory nobody else may enter, if its
/// path allows that.
///
/// Otherwise in `/tmp`, under a name that stays the same for the same cluster.
pub(super) fn socket_dir(data: &Path, account: Account) -> PathBuf {
    let is_plain = |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._".contains(&b));
    let fits = socket_in(data).as_os_str().len() <= MAX_SOCKET_PATH;
    if fits && data.to_str().is_some_and(is_plain) {
        return data.to_owned();
    }
    PathBuf::from(format!("/tmp/syncline-{}-{}", account.uid, stable_hash(data)))
}

/// Returns the path of the socket in a directory.
pub(super) fn socket_in(socket_dir: &Path) -> PathBuf {
    socket_dir.join(format!(".s.PGSQL.{PORT}"))
}

/// Makes the socket's directory in `/tmp`, or makes sure that the one there is ours: anyone could
/// have made it.
pub(super) fn secure_socket_dir(dir: &Path, account: Account) -> Result<(), Error> {
    let metadata = match fs::symlink_metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return account.make_dir(dir),
        Err(error) => return Err(Error::io("look at", dir)(error)),
    };
    // Root's own: it was stopped before giving the directory away.
    let is_ours = metadata.uid() == account.uid || metadata.uid() == geteuid().as_raw();
    if !metadata.is_dir() || !is_ours {
        return Err(Error::ForeignSocketDir { dir: dir.to_owned(), user: account.uid });
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(Error::io("change the permissions of", dir))?;
    account.own(dir)
}

/// Derives a name from a path that is the same in every release (FNV-1a).
fn stable_hash(path: &Path) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in path.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// Appends to the last name of a path.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Removes a file, if there is one.
pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ALICE: Account = Account { uid: 1000, gid: 100 };

    #[test]
    fn users_are_found_by_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnot-postgres:x:7:7:::\npostgres:x:101:104:,,,:/:/bin/sh\n";
        assert_eq!(find_account(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(find_account(passwd, "nobody"), None);
        assert_eq!(find_account("nobody:x:many:1:::", "nobody"), None);
    }

    #[test]
    fn the_first_fitting_class_of_permissions_counts() {
        assert!(ALICE.may_pass(0o700, 1000, 0));
        assert!(!ALICE.may_pass(0o700, 0, 0));
        assert!(!ALICE.may_pass(0o077, 1000, 100), "the owner's bits come before the others'");
        assert!(ALICE.may_pass(0o710, 0, 100));
        assert!(!ALICE.may_pass(0o701, 0, 100), "the group's bits come before the others'");
        assert!(ALICE.may_pass(0o711, 0, 0));
        assert!(!ALICE.may_pass(0o744, 0, 0), "reading is not entering");
    }

    #[test]
    fn every_directory_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        let inner = fs::canonicalize(dir.path()).unwrap().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let owner = fs::metadata(&inner).unwrap().uid();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        let stranger = Account { uid: owner + 1, gid: 4_000_000 };
        assert!(!stranger.can_enter(&inner).unwrap());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(stranger.can_enter(&inner).unwrap());
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(stable_hash(Path::new("")), "cbf29ce484222325");
        assert_eq!(stable_hash(Path::new("a")), "af63dc4c8601ec8c");
        assert_ne!(stable_hash(Path::new("/srv/a")), stable_hash(Path::new("/srv/b")));
    }

    #[test]
    fn the_socket_is_with_the_cluster_unless_the_path_is_long_or_odd() {
        let data = Path::new("/srv/syncline/postgres");
        assert_eq!(socket_dir(data, ALICE), data);
        for odd in ["/srv/Straße", "/srv/a b", "/srv/it's", "/srv/a,b", &format!("/srv/{}", "x".repeat(100))] {
            let dir = socket_dir(Path::new(odd), ALICE);
            assert!(dir.starts_with("/tmp") && dir.to_str().unwrap().contains("syncline-1000-"), "{odd}: {dir:?}");
            assert!(socket_in(&dir).as_os_str().len() <= MAX_SOCKET_PATH);
        }
    }

    #[test]
    fn a_prepared_socket_directory_is_refused() {
        let me = Account::of_this_process();
        let dir = tempfile::tempdir().unwrap();
        let wide = dir.path().join("wide");
        fs::create_dir(&wide).unwrap();
        fs::set_permissions(&wide, fs::Permissions::from_mode(0o777)).unwrap();
        secure_socket_dir(&wide, me).unwrap();
        assert_eq!(fs::metadata(&wide).unwrap().mode() & 0o777, 0o700);

        let link = dir.path().join("link");
        symlink(&wide, &link).unwrap();
        assert!(matches!(secure_socket_dir(&link, me), Err(Error::ForeignSocketDir { .. })));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(secure_socket_dir(&file, me), Err(Error::ForeignSocketDir { .. })));
    }

    #[test]
    fn a_dangling_link_is_an_interrupted_creation_or_a_loss() {
        let dir = tempfile::tempdir().unwrap();
        let (link, data) = (dir.path().join("postgres"), dir.path().join("elsewhere"));
        assert_eq!(existing_cluster(&link).unwrap(), None);
        symlink(&data, &link).unwrap();
        assert!(matches!(existing_cluster(&link), Err(Error::Vanished { .. })));
        fs::create_dir(with_suffix(&data, ".new")).unwrap();
        assert_eq!(existing_cluster(&link).unwrap(), None);
        fs::create_dir(&data).unwrap();
        assert_eq!(existing_cluster(&link).unwrap(), Some(fs::canonicalize(&data).unwrap()));
    }
}
