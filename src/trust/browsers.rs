//! Where Chromium and Firefox keep their databases below a home folder, packaged as snap or flatpak too.

use std::fs;
use std::path::{Path, PathBuf};

use super::nss::{DATABASE, NssDatabase};

/// Chromium's, Chrome's and their kin's; the first is made where there is none of them, and read by all that are no snap or
/// flatpak. A star is any one folder.
const CHROMIUM: [&str; 4] = [
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/*/current/.pki/nssdb",
    ".var/app/*/.pki/nssdb",
];

/// Each profile of Firefox has its own.
const FIREFOX: [&str; 5] = [
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox/*",
];

/// The databases of all browsers, Chromium's first.
pub(super) fn databases(home: &Path) -> Vec<NssDatabase> {
    let there = |patterns: &[&str]| -> Vec<PathBuf> {
        let folders = patterns.iter().flat_map(|pattern| matching(home, pattern));
        folders
            .filter(|folder| folder.join(DATABASE).exists())
            .collect()
    };
    let mut chromium = there(&CHROMIUM);
    if !chromium.iter().any(|folder| !is_packaged(home, folder)) {
        chromium.insert(0, home.join(CHROMIUM[0]));
    }
    let of = |browser| move |folder| NssDatabase { browser, folder };
    let chromium = chromium.into_iter().map(of("Chromium"));
    chromium
        .chain(there(&FIREFOX).into_iter().map(of("Firefox")))
        .collect()
}

fn is_packaged(home: &Path, folder: &Path) -> bool {
    ["snap", ".var"]
        .iter()
        .any(|packages| folder.starts_with(home.join(packages)))
}

/// The folders that a pattern stands for, sorted.
fn matching(home: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![home.to_owned()];
    for part in pattern.split('/') {
        found = match part {
            "*" => found.iter().flat_map(|folder| inside(folder)).collect(),
            name => found.iter().map(|folder| folder.join(name)).collect(),
        };
    }
    found.sort();
    found
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(made: &[&str]) -> Vec<(&'static str, String)> {
        let home = tempfile::tempdir().unwrap();
        for folder in made {
            let folder = home.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(DATABASE), "").unwrap();
        }
        let below = |folder: &Path| {
            folder
                .strip_prefix(home.path())
                .unwrap()
                .display()
                .to_string()
        };
        let databases = databases(home.path()).into_iter();
        databases
            .map(|database| (database.browser, below(&database.folder)))
            .collect()
    }

    #[test]
    fn where_no_browser_has_run_the_first_one_finds_what_is_made_for_it() {
        assert_eq!(found(&[]), [("Chromium", ".pki/nssdb".to_owned())]);
    }

    #[test]
    fn every_profile_is_found_packaged_or_not() {
        let made = [
            ".local/share/pki/nssdb",
            ".var/app/org.chromium.Chromium/.pki/nssdb",
            ".mozilla/firefox/a.default",
            ".mozilla/firefox/b.work",
            "snap/firefox/common/.mozilla/firefox/c.default",
        ];
        let browser = |folder: &str| {
            if folder.contains("firefox") {
                "Firefox"
            } else {
                "Chromium"
            }
        };
        let expected = made.map(|folder| (browser(folder), folder.to_owned()));
        assert_eq!(found(&made), expected);
    }

    #[test]
    fn a_snap_s_database_is_not_the_one_that_others_read() {
        let snap = "snap/chromium/current/.pki/nssdb";
        let both = [
            ("Chromium", ".pki/nssdb".to_owned()),
            ("Chromium", snap.to_owned()),
        ];
        assert_eq!(found(&[snap]), both);
    }
}
