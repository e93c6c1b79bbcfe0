//! The commands about settings.

use crate::support::program::Program;

#[test]
fn settings_are_explained_without_a_database_and_shown_without_secrets() {
    let program = Program::private()
        .with_text("SYNCLINE_ADMIN_TOKEN", "0123456789abcdef-verborgen")
        .with_text("DATABASE_URL", "postgres://me:geheim@nowhere.invalid/gis")
        .with("SYNCLINE_MAX_CONNECTIONS", 7);
    let reference = program.done(&["config", "reference"]);
    for part in ["**`max_connections`**: number from 2 to 1000; default `20`; `SYNCLINE_MAX_CONNECTIONS`", "## Network"]
    {
        assert!(reference.contains(part), "{reference}");
    }
    let toml: toml::Table = toml::from_str(&program.done(&["config", "reference", "--toml"])).unwrap();
    assert_eq!(toml["max_connections"].as_integer(), Some(20));
    let shown = program.done(&["config", "show"]);
    assert!(shown.contains("max_connections = 7\n") && shown.contains("admin_token = \"***\"\n"), "{shown}");
    assert!(shown.contains("postgres://me:***@nowhere.invalid/gis"), "{shown}");
    assert!(!shown.contains("verborgen") && !shown.contains("geheim"), "{shown}");
}

#[test]
fn a_setting_that_makes_no_sense_keeps_the_program_from_starting_and_is_named() {
    for (name, value, part) in [
        ("SYNCLINE_MAX_CONNECTIONS", "many", "the environment variable SYNCLINE_MAX_CONNECTIONS is 'many': "),
        ("SYNCLINE_GRACE_DAYS", "0", "grace_days is 0; it must be from 1 to 36500"),
        ("SYNCLINE_LOG", "syncline=loud", "log is 'syncline=loud': "),
    ] {
        let complaint = Program::private().with_text(name, value).failed(&["config", "show"]);
        assert!(complaint.contains(part), "{complaint}");
    }
}
