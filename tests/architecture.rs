//! Holds the layer table of `src/lib.rs` and the budgets of the house.
//!
//! An import may only point to a lower layer, and modules of one layer never import each other. A
//! product file keeps to 300 lines without its tests.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the top; modules of one row are siblings.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app"],
    &["server"],
    &["admin", "django", "socket"],
    &["publish"],
    &["session", "broker"],
    &["proxy", "files", "hub", "upcall"],
    &["tls", "net", "web"],
    &["telemetry"],
    &["config"],
    &["identity", "publication", "close"],
    &["ids"],
    &["secret"],
];

const LONGEST_FILE: usize = 300;

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// Every product file with its top module.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let top = inside
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_str()
                    .unwrap();
                files.push((path.clone(), top.trim_end_matches(".rs").to_owned()));
            }
        }
    }
    files
}

/// The modules a line names through `crate::` or, in the binary, `gatepost::`.
fn imports(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap();
    assert!(!code.contains("crate::{"), "one module a line: {line}");
    ["crate::", "gatepost::"]
        .iter()
        .flat_map(|prefix| code.split(prefix).skip(1))
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
        })
        .filter(|module| !module.is_empty())
        .collect()
}

/// Whether a file is more than unit tests, which live in `tests.rs` or `tests/` where they are long.
fn is_product(path: &Path) -> bool {
    let inside = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
    !inside.ends_with("tests.rs") && !inside.components().any(|part| part.as_os_str() == "tests")
}

/// The part of a file before its unit tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn imports_point_down_and_siblings_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for (path, module) in sources() {
        if module == "lib" {
            continue;
        }
        let Some(own) = layer(&module) else {
            wrong.push(format!(
                "{}: module {module} is in no layer",
                path.display()
            ));
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in product(&text).lines().enumerate() {
            for import in imports(line).into_iter().filter(|import| *import != module) {
                if layer(import).is_some_and(|other| other <= own) {
                    wrong.push(format!(
                        "{}:{}: imports {import}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the layer table is broken:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn product_files_stay_short() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| is_product(path))
        .map(|(path, _)| {
            (
                product(&fs::read_to_string(&path).unwrap()).lines().count(),
                path,
            )
        })
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines: {long:?}"
    );
}

#[test]
fn the_scan_sees_an_upward_import() {
    assert_eq!(imports("use crate::server::serve;"), ["server"]);
    assert!(layer("server") < layer("hub"));
}
