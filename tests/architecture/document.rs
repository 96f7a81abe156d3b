//! What docs/architecture.md names is there: a file that moved takes its row along.

use std::fs;
use std::path::Path;

use super::source::Sources;

/// Not ours.
const FOREIGN: &[&str] = &["WebSocket", "manage.py"];
const ENDS: &[&str] = &["/", ".rs", ".py", ".md", ".json", ".toml"];

#[test]
fn the_files_that_the_document_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for row in document().lines().filter(|line| line.starts_with('|')) {
        // A row names a folder once: `src/proxy/spool.rs`, `store.rs`.
        let mut folder = String::new();
        for path in row.split('`').skip(1).step_by(2).flat_map(paths) {
            let places = [
                path.clone(),
                format!("{folder}{path}"),
                format!("src/{path}"),
            ];
            match places.into_iter().find(|place| root.join(place).exists()) {
                Some(place) if path.trim_end_matches('/').contains('/') => {
                    let end = place.trim_end_matches(|last| last != '/').len();
                    folder = place[..end].to_owned();
                }
                Some(_) => {}
                None => missing.push(path),
            }
        }
    }
    assert!(missing.is_empty(), "no such files: {missing:?}");
}

#[test]
fn the_types_and_functions_that_the_document_names_are_there() {
    let code: String = Sources::read()
        .files
        .into_iter()
        .map(|file| file.text)
        .collect();
    let words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let known: std::collections::HashSet<_> = words.collect();
    let document = document();
    let named = document.split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter));
    let missing: Vec<_> = named
        .map(|name| name.trim_end_matches(':'))
        .filter(|name| name.contains("::") || is_camel(name))
        .flat_map(|name| name.split("::"))
        .filter(|part| !part.is_empty() && !known.contains(part) && !FOREIGN.contains(part))
        .collect();
    assert!(missing.is_empty(), "no such names: {missing:?}");
}

fn document() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/architecture.md")).unwrap()
}

/// The paths that a word in backticks stands for: `a/{b,c}/` for two.
fn paths(word: &str) -> Vec<String> {
    let is_path = ENDS.iter().any(|end| word.ends_with(end));
    if !is_path
        || word.contains('*')
        || word.starts_with(['/', '.', '['])
        || FOREIGN.contains(&word)
    {
        return Vec::new();
    }
    match word.split_once('{').zip(word.split_once('}')) {
        Some(((before, inside), (_, after))) => {
            let inside = inside.split('}').next().unwrap_or_default();
            let each = inside.split(',').map(|one| format!("{before}{one}{after}"));
            each.collect()
        }
        None => vec![word.to_owned()],
    }
}

/// Whether it is written as types of several words are.
fn is_camel(name: &str) -> bool {
    let upper = name.chars().filter(|letter| letter.is_uppercase()).count();
    let starts = name.starts_with(|first: char| first.is_uppercase());
    starts && upper > 1 && name.chars().any(char::is_lowercase)
}
