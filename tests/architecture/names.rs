//! A name of a type stands for one thing.

use std::collections::BTreeMap;

use syn::Item;

use super::source::Sources;

/// What a type is to its module, rather than what it is.
const ROLES: &[&str] = &["Error", "Settings"];

#[test]
fn no_type_name_stands_for_two_things() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in Sources::read().files {
        for item in file.all_items() {
            let name = match item {
                Item::Struct(item) => &item.ident,
                Item::Enum(item) => &item.ident,
                Item::Trait(item) => &item.ident,
                Item::Type(item) => &item.ident,
                _ => continue,
            };
            let path = file.path.display().to_string();
            homes.entry(name.to_string()).or_default().push(path);
        }
    }
    homes.retain(|name, homes| homes.len() > 1 && !ROLES.contains(&name.as_str()));
    assert!(
        homes.is_empty(),
        "these names mean several things: {homes:#?}"
    );
}
