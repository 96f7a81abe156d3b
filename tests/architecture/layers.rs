//! An import may only point to a lower layer, and modules of one layer never import each other.

use super::source::{Source, Sources};

/// From the top; modules of one row are siblings.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app"],
    &["server"],
    &["admin", "django", "socket"],
    &["publish"],
    &["session", "broker", "acme"],
    &["proxy", "files", "hub", "upcall", "app_server"],
    &["tls", "net", "web", "trust"],
    &["telemetry"],
    &["config"],
    &["words"],
    &["identity", "publication", "close", "token"],
    &["ids", "mac", "sealing"],
    &[
        "causes",
        "median",
        "secret",
        "setting",
        "state_folder",
        "unix_time",
    ],
];

/// The rooms of `session`, from the top; what is in none of them is below all.
const ROOMS: &[&str] = &["live", "authority", "ask", "lease"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

#[test]
fn imports_point_down_and_siblings_do_not_know_each_other() {
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for (index, file) in sources.files.iter().enumerate() {
        if file.top() == "lib" {
            continue;
        }
        let Some(own) = layer(file.top()) else {
            wrong.push(format!("{}: in no layer", file.path.display()));
            continue;
        };
        for used in sources.uses(index) {
            let used = &sources.files[used];
            let is_above = layer(used.top()).is_some_and(|other| other <= own);
            if used.top() != file.top() && is_above {
                wrong.push(format!(
                    "{} uses {}",
                    file.path.display(),
                    used.path.display()
                ));
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
fn the_rooms_of_session_use_only_those_under_them() {
    let sources = Sources::read();
    for name in ROOMS {
        let is_there =
            |file: &Source| room(file).is_some_and(|index| ROOMS.get(index) == Some(name));
        assert!(sources.files.iter().any(is_there), "no room `{name}`");
    }
    let mut wrong = Vec::new();
    for (index, file) in sources.files.iter().enumerate() {
        let Some(own) = room(file) else { continue };
        for used in sources.uses(index) {
            let used = &sources.files[used];
            if room(used).is_some_and(|other| other < own) {
                wrong.push(format!(
                    "{} uses {}",
                    file.path.display(),
                    used.path.display()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the order of rooms is broken:\n{}",
        wrong.join("\n")
    );
}

/// The place of a file's room; `None` where it is not inside `session`.
fn room(file: &Source) -> Option<usize> {
    let inside = file.module.get(1).filter(|_| file.top() == "session")?;
    let room = ROOMS.iter().position(|name| name == inside);
    Some(room.unwrap_or(ROOMS.len()))
}
