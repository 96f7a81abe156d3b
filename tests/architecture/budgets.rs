//! Files stay short, a type stays in one place, and parameters that belong together have a name.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Item, Type};

use super::source::{Source, Sources};

const LONGEST_FILE: usize = 300;
/// In its own file, and in one that has another concern of it.
const MOST_FILES_OF_A_TYPE: usize = 2;

#[test]
fn product_files_stay_short() {
    let long: Vec<_> = Sources::read()
        .files
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines: {long:?}"
    );
}

#[test]
fn what_a_type_does_stands_in_at_most_two_files() {
    let mut files: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for file in Sources::read().files {
        for item in file.all_items() {
            // Of its own, not of a trait: those are written where the trait is about.
            if let Item::Impl(item) = item
                && item.trait_.is_none()
                && let Type::Path(path) = &*item.self_ty
                && let Some(name) = path.path.segments.last()
            {
                let key = (file.top().to_owned(), name.ident.to_string());
                let path = file.path.display().to_string();
                files.entry(key).or_default().insert(path);
            }
        }
    }
    files.retain(|_, files| files.len() > MOST_FILES_OF_A_TYPE);
    assert!(files.is_empty(), "cut over many files: {files:#?}");
}

#[test]
fn parameters_that_belong_together_have_a_name() {
    let mut tuples = Tuples::default();
    for file in &Sources::read().files {
        tuples.read(file);
    }
    assert!(
        tuples.found.is_empty(),
        "a tuple stands for a concept; give it a name:\n{}",
        tuples.found.join("\n")
    );
}

/// Finds functions of which a parameter is a tuple, or a reference to one. A list of pairs is a list.
#[derive(Default)]
struct Tuples {
    path: String,
    found: Vec<String>,
}

impl Tuples {
    fn read(&mut self, file: &Source) {
        self.path = file.path.display().to_string();
        file.items.iter().for_each(|item| self.visit_item(item));
    }
}

impl<'ast> Visit<'ast> for Tuples {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        let has_tuple = signature.inputs.iter().any(|input| match input {
            syn::FnArg::Typed(input) => is_tuple(&input.ty),
            syn::FnArg::Receiver(_) => false,
        });
        if has_tuple {
            self.found
                .push(format!("{}: fn {}", self.path, signature.ident));
        }
        visit::visit_signature(self, signature);
    }
}

fn is_tuple(of: &Type) -> bool {
    match of {
        Type::Tuple(tuple) => !tuple.elems.is_empty(),
        Type::Reference(to) => is_tuple(&to.elem),
        Type::Paren(inner) => is_tuple(&inner.elem),
        Type::Path(path) => option_of(path).is_some_and(is_tuple),
        _ => false,
    }
}

fn option_of(path: &syn::TypePath) -> Option<&Type> {
    let last = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        syn::GenericArgument::Type(of) if last.ident == "Option" => Some(of),
        _ => None,
    }
}
