//! The planted bugs still apply, and the tests that are to catch them exist. `scripts/test-planted` plants them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A row of the list: number, patch if there is one, tests.
struct Planted {
    number: usize,
    patch: Option<String>,
    tests: Vec<String>,
}

/// The names in backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn list() -> Vec<Planted> {
    let text = fs::read_to_string(root().join("tests/planted/README.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let number = cells.first()?.parse().ok()?;
        let [_, mistake, patch, tests] = cells[..] else { panic!("not four cells: {line}") };
        assert!(!mistake.is_empty() && !patch.is_empty(), "{line}");
        Some(Planted { number, patch: quoted(patch).into_iter().next(), tests: quoted(tests) })
    });
    rows.collect()
}

/// The text that each hunk of a patch expects, with the file that it expects it in.
fn hunks(patch: &str) -> Vec<(String, String)> {
    let mut hunks: Vec<(String, String)> = Vec::new();
    let mut file = None;
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- a/") {
            file = Some(name.to_owned());
        } else if line.starts_with("@@") {
            hunks.push((file.clone().expect("a file comes before its hunks"), String::new()));
        } else if let (Some((_, expected)), Some(text)) = (hunks.last_mut(), line.strip_prefix([' ', '-'])) {
            expected.push_str(text);
            expected.push('\n');
        }
    }
    hunks
}

#[test]
fn every_patch_applies_at_one_place() {
    let mut wrong = Vec::new();
    for planted in list() {
        let Some(patch) = planted.patch else { continue };
        let text = fs::read_to_string(root().join("tests/planted").join(&patch))
            .unwrap_or_else(|error| panic!("{patch}: {error}"));
        let hunks = hunks(&text);
        assert!(!hunks.is_empty(), "{patch} changes nothing");
        for (file, expected) in hunks {
            let source =
                fs::read_to_string(root().join(&file)).unwrap_or_else(|error| panic!("{patch}: {file}: {error}"));
            let n = source.matches(&expected).count();
            if n != 1 {
                wrong.push(format!("{patch} expects this once in {file}, and it is there {n} times:\n{expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\ntests/planted/README.md says what to do", wrong.join("\n"));
}

#[test]
fn the_list_names_every_mistake_every_patch_and_only_tests_that_exist() {
    let list = list();
    let numbers: Vec<usize> = list.iter().map(|planted| planted.number).collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    let listed: BTreeSet<String> = list.iter().filter_map(|planted| planted.patch.clone()).collect();
    let there: BTreeSet<String> = fs::read_dir(root().join("tests/planted"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "patch"))
        .collect();
    assert_eq!(listed, there);
    for planted in list {
        assert_eq!(planted.patch.is_some(), !planted.tests.is_empty(), "{}: a patch needs tests", planted.number);
        for name in planted.tests {
            let (module, function) = name.rsplit_once("::").unwrap();
            let path = root().join(format!("tests/it/{}.rs", module.replace("::", "/")));
            let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(source.contains(&format!("fn {function}(")), "there is no test {name}");
        }
    }
}
