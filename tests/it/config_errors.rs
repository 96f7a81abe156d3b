//! What is said about a wrong `gateway.toml`: every file in `fixtures/config/invalid` has a snapshot
//! of its message, every one in `valid` is accepted.

use std::fs;
use std::path::{Path, PathBuf};

use gatepost::config::{Environment, load};

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(kind);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn parse(path: &Path) -> Result<gatepost::config::Config, gatepost::config::ConfigErrors> {
    load::parse(
        &fs::read_to_string(path).unwrap(),
        path,
        &Environment::default(),
    )
}

#[test]
fn every_invalid_file_says_what_is_wrong() {
    let root = regex_escaped(env!("CARGO_MANIFEST_DIR"));
    insta::with_settings!({
        filters => vec![(format!("{root}/tests/fixtures/config/invalid/").as_str(), "…/")],
        omit_expression => true,
        snapshot_path => "../fixtures/config/invalid",
        prepend_module_to_snapshot => false,
    }, {
        for path in fixtures("invalid") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let message = match parse(&path) {
                Ok(_) => panic!("{name} is accepted"),
                Err(errors) => errors.to_string(),
            };
            insta::assert_snapshot!(name, message);
        }
    });
}

#[test]
fn every_valid_file_is_accepted() {
    for path in fixtures("valid") {
        if let Err(errors) = parse(&path) {
            panic!("{} is refused:\n{errors}", path.display());
        }
    }
}

#[test]
fn paths_are_resolved_beside_the_file_whatever_the_working_directory_is() {
    let path = &fixtures("valid")[1];
    assert!(path.ends_with("everything.toml"));
    let config = parse(path).unwrap();
    let folder = path.parent().unwrap();
    assert_eq!(config.files[0].root, folder.join("folder"));
    assert_eq!(
        config.server.hosts,
        ["app.example.com", "[::1]", "192.168.1.5"]
    );
}

fn regex_escaped(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '/' {
                c.to_string()
            } else {
                format!("\\{c}")
            }
        })
        .collect()
}
