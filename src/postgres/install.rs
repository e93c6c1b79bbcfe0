//! Finds the PostgreSQL programs to run a cluster with, and PostGIS beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// The oldest major version of PostgreSQL that Syncline works with.
const OLDEST_MAJOR: u32 = 14;

/// The programs a cluster cannot do without. `postgres` is what tells the version.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// One installed PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Install {
    /// The directory with `initdb`, `pg_ctl` and `postgres`.
    pub(super) bin_dir: PathBuf,
    /// The major version, for instance 15.
    pub(super) major: u32,
    /// Whether PostGIS is installed for it.
    has_postgis: bool,
}

/// Finds the server to run: in `bin_dir` alone if given, else wherever servers are usually
/// installed.
///
/// `cluster_major` is the version of a cluster that exists already: no other version can open it.
pub(super) fn find(bin_dir: Option<&Path>, cluster_major: Option<u32>) -> Result<Install, Error> {
    let installs = match bin_dir {
        Some(bin_dir) => {
            // The programs are run in another working directory.
            let bin_dir = std::path::absolute(bin_dir).map_err(Error::io("find", bin_dir))?;
            vec![inspect(&bin_dir).ok_or(Error::NoProgramsIn { bin_dir })?]
        }
        None => installed(),
    };
    choose(installs, cluster_major)
}

/// Picks the first install that fits, `installs` being in order of preference.
fn choose(installs: Vec<Install>, cluster_major: Option<u32>) -> Result<Install, Error> {
    if installs.is_empty() {
        return Err(cluster_major
            .map_or(Error::NotInstalled, |major| Error::MajorNotInstalled { major, found: "none".to_owned() }));
    }
    let found = list_majors(&installs);
    let (fitting, refused) = match cluster_major {
        Some(major) => (major..=major, Error::MajorNotInstalled { major, found }),
        None => (OLDEST_MAJOR..=u32::MAX, Error::TooOld { found, oldest: OLDEST_MAJOR }),
    };
    let mut without_postgis = None;
    for install in installs {
        if !fitting.contains(&install.major) {
            continue;
        }
        if install.has_postgis {
            return Ok(install);
        }
        without_postgis.get_or_insert(install);
    }
    Err(without_postgis.map_or(refused, |install| Error::NoPostgis { major: install.major, bin_dir: install.bin_dir }))
}

fn list_majors(installs: &[Install]) -> String {
    let mut majors: Vec<u32> = installs.iter().map(|install| install.major).collect();
    majors.sort_unstable();
    majors.dedup();
    let majors: Vec<String> = majors.iter().map(u32::to_string).collect();
    majors.join(", ")
}

/// Lists the servers of this machine: the one `pg_config` names, the usual places newest first,
/// then `PATH`.
fn installed() -> Vec<Install> {
    let mut usual: Vec<Install> = usual_bin_dirs(Path::new("/")).iter().filter_map(|dir| inspect(dir)).collect();
    usual.sort_by_key(|install| std::cmp::Reverse(install.major));

    let mut installs: Vec<Install> = bin_dir_of_pg_config().and_then(|dir| inspect(&dir)).into_iter().collect();
    installs.append(&mut usual);
    installs.extend(bin_dir_on_path().and_then(|dir| inspect(&dir)));
    installs
}

/// The path of one of PostgreSQL's programs for a server of a major version: from `bin_dir` if given, else the one of that version, else the newest
/// there is, else its name, for the system to find.
pub(super) fn program(name: &str, bin_dir: Option<&Path>, major: u32) -> PathBuf {
    if let Some(bin_dir) = bin_dir {
        return bin_dir.join(name);
    }
    let having: Vec<Install> = installed().into_iter().filter(|install| install.bin_dir.join(name).is_file()).collect();
    let chosen = having
        .iter()
        .find(|install| install.major == major)
        .or_else(|| having.iter().max_by_key(|install| install.major));
    chosen.map_or_else(|| PathBuf::from(name), |install| install.bin_dir.join(name))
}

/// Asks the `pg_config` on `PATH`. On some systems it belongs to a client package, whose directory
/// has no `initdb`.
fn bin_dir_of_pg_config() -> Option<PathBuf> {
    output_line(Command::new("pg_config").arg("--bindir")).map(PathBuf::from)
}

/// Lets the shell look for `initdb` on `PATH`, and follows links to the directory where its
/// siblings are.
fn bin_dir_on_path() -> Option<PathBuf> {
    let initdb = output_line(Command::new("sh").args(["-c", "command -v initdb"]))?;
    let initdb = fs::canonicalize(initdb).ok()?;
    initdb.parent().map(Path::to_owned)
}

/// Lists where distributions install servers, below `root`.
fn usual_bin_dirs(root: &Path) -> Vec<PathBuf> {
    const PLACES: [(&str, &str, &str); 5] = [
        ("usr/lib/postgresql", "", "bin"),
        ("usr", "pgsql-", "bin"),
        ("opt/homebrew/opt", "postgresql@", "bin"),
        ("usr/local/opt", "postgresql@", "bin"),
        ("Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    let mut dirs = Vec::new();
    for (parent, prefix, bin) in PLACES {
        // A place that does not exist here is no failure: it is another distribution's.
        let Ok(entries) = fs::read_dir(root.join(parent)) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
                dirs.push(entry.path().join(bin));
            }
        }
    }
    dirs.push(root.join("usr/local/pgsql/bin"));
    dirs
}

/// Looks whether a directory has the programs, and which version they are.
fn inspect(bin_dir: &Path) -> Option<Install> {
    if !PROGRAMS.iter().all(|program| bin_dir.join(program).is_file()) {
        return None;
    }
    let version = output_line(Command::new(bin_dir.join("postgres")).arg("--version"))?;
    let major = major_version(&version)?;
    let has_postgis = share_dirs(bin_dir, major).iter().any(|share| share.join("extension/postgis.control").is_file());
    Some(Install { bin_dir: bin_dir.to_owned(), major, has_postgis })
}

/// Lists where the server's extensions may be: where its own `pg_config` says, else by the usual
/// layouts.
fn share_dirs(bin_dir: &Path, major: u32) -> Vec<PathBuf> {
    if let Some(share) = output_line(Command::new(bin_dir.join("pg_config")).arg("--sharedir")) {
        return vec![PathBuf::from(share)];
    }
    let mut dirs = vec![PathBuf::from(format!("/usr/share/postgresql/{major}"))];
    if let Some(prefix) = bin_dir.parent() {
        dirs.push(prefix.join("share/postgresql"));
        dirs.push(prefix.join("share"));
    }
    dirs
}

/// Reads the major version from a line such as `postgres (PostgreSQL) 15.6 (Debian 15.6-1)` or `...
/// 17beta1`.
fn major_version(line: &str) -> Option<u32> {
    let (_, version) = line.split_once("(PostgreSQL) ")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Runs a program and returns the first line it prints, or nothing if it is missing or fails.
fn output_line(command: &mut Command) -> Option<String> {
    let output = command.env("LC_ALL", "C").output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(major: u32, has_postgis: bool) -> Install {
        Install { bin_dir: PathBuf::from(format!("/pg/{major}/bin")), major, has_postgis }
    }

    fn script(path: &Path, body: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by a child: a program that another test's thread starts meanwhile would inherit
        // our open file, and a file open for writing cannot be executed.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod +x "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(path).arg(body).status();
        assert!(status.unwrap().success());
    }

    fn fake_server(bin_dir: &Path, version: &str) {
        script(&bin_dir.join("initdb"), "");
        script(&bin_dir.join("pg_ctl"), "");
        script(&bin_dir.join("postgres"), &format!("echo 'postgres (PostgreSQL) {version}'"));
    }

    #[test]
    fn versions_are_read_from_releases_and_betas() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.6 (Debian 15.6-1.pgdg120+2)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 16"), Some(16));
        assert_eq!(major_version("pg_config 15.6"), None);
    }

    #[test]
    fn a_new_cluster_takes_the_first_server_with_postgis() {
        let chosen = choose(vec![install(17, false), install(16, true), install(15, true)], None);
        assert_eq!(chosen.unwrap().major, 16);
    }

    #[test]
    fn an_existing_cluster_takes_its_own_version_only() {
        let installs = vec![install(17, true), install(15, true), install(17, true)];
        assert_eq!(choose(installs.clone(), Some(15)).unwrap().major, 15);
        let refused = choose(installs, Some(16)).unwrap_err().to_string();
        assert!(refused.contains("postgresql-16") && refused.contains("found: 15, 17)"), "{refused}");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(matches!(choose(Vec::new(), None), Err(Error::NotInstalled)));
        assert!(matches!(choose(Vec::new(), Some(15)), Err(Error::MajorNotInstalled { major: 15, .. })));
        assert!(matches!(choose(vec![install(13, true)], None), Err(Error::TooOld { .. })));
        let refused = choose(vec![install(13, true), install(15, false)], None).unwrap_err().to_string();
        assert!(refused.contains("postgresql-15-postgis-3"), "{refused}");
    }

    #[test]
    fn distributions_are_searched_and_half_installs_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let debian = root.path().join("usr/lib/postgresql/16/bin");
        let redhat = root.path().join("usr/pgsql-14/bin");
        let client_only = root.path().join("usr/lib/postgresql/17/bin");
        fake_server(&debian, "16.2 (Debian 16.2-1)");
        fake_server(&redhat, "14.11");
        script(&client_only.join("psql"), "");

        let dirs = usual_bin_dirs(root.path());
        assert!([&debian, &redhat, &client_only].iter().all(|dir| dirs.contains(dir)), "{dirs:?}");
        assert_eq!(inspect(&debian).unwrap().major, 16);
        assert_eq!(inspect(&redhat).unwrap().major, 14);
        assert_eq!(inspect(&client_only), None);
        assert!(matches!(find(Some(&client_only), None), Err(Error::NoProgramsIn { .. })));
    }

    #[test]
    fn postgis_is_found_where_pg_config_says_or_beside_the_programs() {
        let root = tempfile::tempdir().unwrap();
        let bin_dir = root.path().join("pg/bin");
        fake_server(&bin_dir, "99.1");
        assert!(!inspect(&bin_dir).unwrap().has_postgis);

        let beside = root.path().join("pg/share/extension/postgis.control");
        script(&beside, "");
        assert!(inspect(&bin_dir).unwrap().has_postgis);

        let share = root.path().join("elsewhere");
        script(&bin_dir.join("pg_config"), &format!("echo '{}'", share.display()));
        assert!(!inspect(&bin_dir).unwrap().has_postgis, "pg_config's word comes before a guess");
        script(&share.join("extension/postgis.control"), "");
        assert!(inspect(&bin_dir).unwrap().has_postgis);
    }
}
