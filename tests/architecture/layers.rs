//! An import may only point to a lower layer, and modules of one layer never import each other.

use super::source::Sources;

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
    &["secret", "state_folder", "unix_time"],
];

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
