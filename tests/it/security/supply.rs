//! What the program is made of (S20).

use std::{fs, path::Path};

fn read(name: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}")).parse().unwrap()
}

#[test]
fn s20_no_unsafe_code_of_our_own_and_nothing_from_elsewhere_than_the_registry() {
    assert_eq!(read("Cargo.toml")["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for package in read("Cargo.lock")["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        match package.get("source").and_then(toml::Value::as_str) {
            Some(source) => {
                assert!(source.starts_with("registry+"), "{name} is from {source}");
                assert!(package.get("checksum").is_some(), "{name} has no checksum");
            }
            None => assert_eq!(name, "syncline"),
        }
    }
}

#[test]
fn s20_what_may_be_depended_on_is_written_down() {
    let deny = read("deny.toml");
    let allowed: Vec<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    assert!(allowed.contains(&"MIT") && allowed.contains(&"Apache-2.0"));
    assert!(!allowed.iter().any(|license| license.starts_with("GPL") || license.starts_with("AGPL")), "{allowed:?}");
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
}
