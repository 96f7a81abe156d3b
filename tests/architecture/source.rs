//! Every product file, parsed, and what each name in it stands for.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Item, UseTree};

/// A path of names below the crate: `["session", "live", "Table"]`.
pub(crate) type Names = Vec<String>;

/// One product file.
pub(crate) struct Source {
    /// Below `src/`.
    pub(crate) path: PathBuf,
    /// The module that the file is.
    pub(crate) module: Names,
    /// Its text before its unit tests.
    pub(crate) text: String,
    /// Its items, without those for tests.
    pub(crate) items: Vec<Item>,
    /// What a name brought in by `use` stands for.
    imports: HashMap<String, Names>,
    /// What `use` brings in for this file alone, and what is named by a whole path.
    used: Vec<Names>,
}

/// All product files.
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    by_module: HashMap<Names, usize>,
}

impl Sources {
    /// Reads `src/`.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = files_below(&root);
        paths.sort();
        let files: Vec<_> = paths
            .into_iter()
            .filter(|path| is_product(path.strip_prefix(&root).unwrap()))
            .map(|path| Source::read(&root, &path))
            .collect();
        let by_module = files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.module.clone(), index))
            .collect();
        Self { files, by_module }
    }

    /// The files that this one uses, by their place in `files`.
    pub(crate) fn uses(&self, index: usize) -> Vec<usize> {
        let file = &self.files[index];
        let mut used: Vec<_> = file
            .used
            .iter()
            .filter_map(|names| self.home(names, 8))
            .filter(|home| *home != index)
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The file in which what these names stand for is written.
    fn home(&self, names: &[String], hops: u8) -> Option<usize> {
        let (module, index) = (0..=names.len())
            .rev()
            .find_map(|end| Some((end, *self.by_module.get(&names[..end])?)))?;
        let Some(name) = names.get(module) else {
            return Some(index);
        };
        match self.files[index].imports.get(name) {
            Some(further) if hops > 0 => {
                let whole = [further.as_slice(), &names[module + 1..]].concat();
                self.home(&whole, hops - 1).or(Some(index))
            }
            _ => Some(index),
        }
    }
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_owned();
        let module = module_of(&path);
        let items: Vec<_> = syn::parse_file(&text)
            .unwrap()
            .items
            .into_iter()
            .filter(|item| !is_for_tests(item))
            .collect();
        let (imports, used) = names_in(&items, &module);
        let text = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .to_owned();
        Self {
            path,
            module,
            text,
            items,
            imports,
            used,
        }
    }

    /// Its items, with those of modules that are written inside of it.
    pub(crate) fn all_items(&self) -> Vec<&Item> {
        let mut all: Vec<_> = self.items.iter().collect();
        let mut next = 0;
        while let Some(item) = all.get(next) {
            next += 1;
            if let Item::Mod(module) = item
                && let Some((_, items)) = &module.content
            {
                all.extend(items.iter().filter(|item| !is_for_tests(item)));
            }
        }
        all
    }

    /// The module right below the crate.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

/// What `use` brings into a module, and all that the module uses.
fn names_in(items: &[Item], module: &[String]) -> (HashMap<String, Names>, Vec<Names>) {
    let mut imports = HashMap::new();
    let mut paths = Paths {
        module,
        found: Vec::new(),
    };
    for item in items {
        let Item::Use(item) = item else {
            paths.visit_item(item);
            continue;
        };
        let is_passed_on = !matches!(item.vis, syn::Visibility::Inherited);
        for (name, names) in leaves(&item.tree, &[]) {
            let Some(names) = absolute(&names, module) else {
                continue;
            };
            // What a folder's own file hands on from below it is no use of it.
            if !is_passed_on || !names.starts_with(module) {
                paths.found.push(names.clone());
            }
            imports.insert(name, names);
        }
    }
    (imports, paths.found)
}

/// Collects the paths that begin with `crate`, `super` or `self`.
struct Paths<'a> {
    module: &'a [String],
    found: Vec<Names>,
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.found.extend(absolute(&names, self.module));
        }
        visit::visit_path(self, path);
    }
}

/// The names below the crate that a path of this module stands for; `None` for other crates.
fn absolute(names: &[String], module: &[String]) -> Option<Names> {
    let (first, rest) = names.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let ups = names.iter().take_while(|name| *name == "super").count();
            let parent = module.len().checked_sub(ups)?;
            Some([&module[..parent], &names[ups..]].concat())
        }
        // A module of this one, where `use` has no word in front.
        name if name.starts_with(char::is_lowercase) => Some([module, names].concat()),
        _ => None,
    }
}

fn leaves(tree: &UseTree, before: &[String]) -> Vec<(String, Names)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        UseTree::Name(name) if name.ident == "self" => {
            vec![(before.last().cloned().unwrap_or_default(), before.to_vec())]
        }
        UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        UseTree::Rename(rename) => vec![(rename.rename.to_string(), with(&rename.ident))],
        UseTree::Glob(_) => vec![("*".to_owned(), before.to_vec())],
        UseTree::Group(group) => group
            .items
            .iter()
            .flat_map(|tree| leaves(tree, before))
            .collect(),
    }
}

fn module_of(path: &Path) -> Names {
    let mut names: Names = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_str().unwrap().to_owned())
        .collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
        names.pop();
    }
    names
}

fn is_for_tests(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|flag| flag == "test")
    })
}

/// Whether a file is more than unit tests, which live in `tests.rs` or `tests/` where they are long.
fn is_product(path: &Path) -> bool {
    !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "tests")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}
