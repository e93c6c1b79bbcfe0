//! Which room may use which: the table of ARCHITECTURE.md, held against the sources.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A room, the rooms that it may name, and whether it may name the database library.
const ROOMS: [(&str, &[&str], bool); 25] = [
    ("model", &[], false),
    ("error", &["model"], true),
    ("config", &["model", "error"], false),
    ("wire", &["model", "error"], false),
    ("sql", &["model", "error"], true),
    ("metrics", &[], false),
    ("store", &["model", "error", "metrics", "sql"], true),
    ("postgres", &[], false),
    ("files", &["model", "error"], false),
    ("format", &["model", "error"], true),
    ("sqlite", &["model", "error", "files", "format"], true),
    ("gdal", &["model", "error", "files", "sqlite"], false),
    ("app", &["auth", "config", "error", "files", "gdal", "metrics", "store"], false),
    ("query", &["model", "error", "app", "sql", "store", "files", "format", "wire"], true),
    ("sync", &["model", "error", "sql", "store", "files", "format", "sqlite"], true),
    ("uploads", &["model", "error", "app", "store", "files", "sqlite"], false),
    (
        "replica",
        &[
            "model", "error", "app", "auth", "metrics", "sql", "store", "files", "uploads", "sync", "sqlite", "gdal",
            "wire",
        ],
        false,
    ),
    (
        "editing",
        &["model", "error", "app", "sql", "store", "files", "format", "query", "uploads", "sync", "replica", "wire"],
        true,
    ),
    ("jobs", &["model", "error", "app", "auth", "store", "replica", "editing", "wire"], false),
    ("books", &["model", "error", "app", "auth", "sql", "store", "format", "sync", "wire"], true),
    ("auth", &["model", "error", "app", "config", "store"], false),
    ("console", &["model", "error", "config", "app", "store", "files", "replica", "wire"], false),
    ("backup", &["model", "error", "postgres", "store", "files"], false),
    ("client", &["model", "sqlite"], false),
    (
        "http",
        &[
            "model", "error", "app", "auth", "metrics", "books", "console", "files", "gdal", "query", "uploads",
            "replica", "editing", "jobs", "wire",
        ],
        false,
    ),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first names after `crate::` in a source, also those in the braces of `use crate::{…}`.
fn rooms_named_in(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(list) = rest.strip_prefix('{') else {
            named.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (index, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                c if at_start && c.is_alphabetic() => {
                    named.insert(name(&list[index..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    named
}

#[test]
fn rooms_use_only_what_the_architecture_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let mut wrong = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let own = relative.split(['/', '.']).next().unwrap();
        let Some((_, allowed, database)) = ROOMS.iter().find(|(room, ..)| *room == own) else {
            assert!(["cli", "lib", "main"].contains(&own), "room {own} is not in the table");
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        for name in rooms_named_in(&text) {
            if name != own && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{relative} names {name}"));
            }
        }
        if !database && text.contains("sqlx::") {
            wrong.push(format!("{relative} names the database library"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_found_in_lists_and_alone() {
    let text = "use crate::{\n    app::App,\n    model::{id::Id, layer::{A, B}},\n};\nfn f() { crate::error::chain() }";
    assert_eq!(rooms_named_in(text).into_iter().collect::<Vec<_>>(), ["app", "error", "model"]);
}
