//! Installing and removing.

use std::fs;

use gatepost::trust::{StoreChange, StoreError, StoreReport, SystemStore};

use super::{Person, certutil, only, system, trusted};

const CHROMIUM: &str = ".pki/nssdb";
const FIREFOX: &str = ".mozilla/firefox/x1.default";

fn change(reports: &[StoreReport]) -> StoreChange {
    let [report] = reports else {
        panic!("{reports:?}")
    };
    *report.change.as_ref().unwrap()
}

#[test]
fn each_browser_trusts_the_ca_once_and_says_where_and_another_time_it_is_there_already() {
    let person = Person::new();
    let firefox = person.database(FIREFOX);
    let snap = person.database("snap/firefox/common/.mozilla/firefox/y2.default");
    let chromium = person.home().join(CHROMIUM);

    let first = person.trust(&["--browsers"]);
    assert_eq!(first.code, Some(0), "{}{}", first.out, first.error);
    for database in [&chromium, &firefox, &snap] {
        assert_eq!(trusted(database), 1);
        let line = format!("{}\n", database.display());
        let line = first
            .out
            .lines()
            .find(|said| format!("{said}\n").ends_with(&line));
        assert!(line.unwrap().starts_with("  added "), "{}", first.out);
    }
    assert!(first.out.contains(person.ca_file().to_str().unwrap()));
    assert!(
        first
            .out
            .contains(&format!("SHA-256 {}", person.ca().fingerprint()))
    );

    let second = person.trust(&["--browsers"]);
    assert_eq!(second.code, Some(0));
    assert_eq!(
        second.out.matches("  already there ").count(),
        3,
        "{}",
        second.out
    );
    assert_eq!(trusted(&chromium), 1);
}

#[test]
fn removing_takes_this_ca_and_leaves_that_of_another_project() {
    let (person, other) = (Person::new(), Person::new());
    assert_eq!(other.trust(&["--browsers"]).code, Some(0));
    assert_eq!(person.trust(&["--browsers"]).code, Some(0));
    let chromium = person.home().join(CHROMIUM);
    let theirs = other.ca_file();
    let theirs = [
        "-A",
        "-t",
        "C,,",
        "-n",
        "Gatepost local CA of theirs",
        "-i",
        theirs.to_str().unwrap(),
    ];
    certutil(&chromium, &theirs);
    assert_eq!(trusted(&chromium), 2);

    let removed = person.trust(&["--remove", "--browsers"]);
    assert_eq!(removed.code, Some(0), "{}", removed.error);
    assert!(removed.out.contains("  removed "), "{}", removed.out);
    let listed = certutil(&chromium, &["-L"]);
    assert!(listed.contains("Gatepost local CA of theirs"), "{listed}");
    assert_eq!(trusted(&chromium), 1);

    let again = person.trust(&["--remove", "--browsers"]);
    assert_eq!(again.code, Some(0));
    assert!(again.out.contains("  not there "), "{}", again.out);
}

#[test]
fn one_that_was_imported_by_hand_and_not_trusted_is_trusted_and_removed_under_its_name() {
    let person = Person::new();
    let firefox = person.database(FIREFOX);
    assert_eq!(person.trust(&["--browsers"]).code, Some(0));
    certutil(&firefox, &["-D", "-n", &nickname(&firefox)]);
    let file = person.ca_file();
    certutil(
        &firefox,
        &[
            "-A",
            "-t",
            ",,",
            "-n",
            "Gatepost local CA",
            "-i",
            file.to_str().unwrap(),
        ],
    );
    assert_eq!(trusted(&firefox), 0);

    assert_eq!(person.trust(&["--browsers"]).code, Some(0));
    assert_eq!(
        (trusted(&firefox), nickname(&firefox)),
        (1, "Gatepost local CA".to_owned())
    );
    assert_eq!(person.trust(&["--remove", "--browsers"]).code, Some(0));
    assert_eq!(trusted(&firefox), 0);
}

fn nickname(database: &std::path::Path) -> String {
    let listed = certutil(database, &["-L"]);
    let line = listed
        .lines()
        .find(|line| line.starts_with("Gatepost"))
        .unwrap();
    line.trim_end()
        .rsplit_once(' ')
        .unwrap()
        .0
        .trim_end()
        .to_owned()
}

#[test]
fn without_certutil_it_says_which_package_has_it_and_fails() {
    let person = Person::new();
    let said = person
        .gatepost(&["--browsers"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let out = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(out.contains("  not done "), "{out}");
    assert!(
        out.contains("certutil is not installed: `apt install libnss3-tools`"),
        "{out}"
    );
}

#[test]
fn a_database_that_is_none_is_told_of_and_the_others_are_changed_all_the_same() {
    let person = Person::new();
    let broken = person.home().join(FIREFOX);
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("cert9.db"), "no database").unwrap();

    let said = person.trust(&["--browsers"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(trusted(&person.home().join(CHROMIUM)), 1);
    assert!(said.out.contains("BAD_DATABASE"), "{}", said.out);
    assert!(
        said.error.contains("not everything was done"),
        "{}",
        said.error
    );
}

#[test]
fn where_there_is_no_local_ca_there_is_nothing_to_trust() {
    let person = Person::new();
    assert_eq!(person.trust(&["--browsers"]).code, Some(0));
    let config = "[tls]\ncert = \"certs/leaf.pem\"\nkey = \"certs/leaf.key\"\n";
    fs::write(person.folder.path().join("gateway.toml"), config).unwrap();
    let said = person.trust(&["--browsers"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.error.contains("tls.cert names a certificate"),
        "{}",
        said.error
    );

    let person = Person::new();
    let said = person.trust(&["--remove", "--browsers"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.error.contains("there is no local CA in"),
        "{}",
        said.error
    );
    assert!(
        !person.ca_file().exists(),
        "nothing is made in order to remove it"
    );
}

#[test]
fn under_sudo_it_does_not_change_roots_browsers_in_place_of_the_person_s() {
    let person = Person::new();
    let said = person
        .gatepost(&[])
        .env("SUDO_USER", "ann")
        .output()
        .unwrap();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    assert_eq!(said.status.code(), Some(2));
    let error = String::from_utf8(said.stderr).unwrap();
    assert!(error.contains("not ann's: run it without sudo"), "{error}");
    assert!(!person.home().join(CHROMIUM).exists());
}

#[test]
fn the_system_s_bundle_has_the_ca_until_it_is_removed() {
    let person = Person::new();
    assert_eq!(person.trust(&["--browsers"]).code, Some(0));
    let machine = tempfile::tempdir().unwrap();
    let stores = only(system(machine.path()));
    // Debian's tool leaves the bundle alone where nothing is left for it.
    let (other, local) = (Person::new(), machine.path().join("local"));
    assert_eq!(other.trust(&["--browsers"]).code, Some(0));
    fs::copy(other.ca_file(), local.join("of-somebody-else.crt")).unwrap();
    let bundle =
        || fs::read_to_string(machine.path().join("etc/ca-certificates.crt")).unwrap_or_default();
    let (ca, pem) = (person.ca(), fs::read_to_string(person.ca_file()).unwrap());

    let reports = stores.install(&ca);
    assert_eq!(change(&reports), StoreChange::Added);
    assert!(bundle().contains(pem.trim()));
    let said = reports[0].to_string();
    assert!(said.contains("then update-ca-certificates"), "{said}");
    assert_eq!(change(&stores.install(&ca)), StoreChange::AlreadyThere);

    assert_eq!(change(&stores.remove(&ca)), StoreChange::Removed);
    assert!(!bundle().contains(pem.trim()));
    assert_eq!(fs::read_dir(local).unwrap().count(), 1);
    assert_eq!(change(&stores.remove(&ca)), StoreChange::NotThere);
}

#[test]
fn what_the_system_s_tool_refuses_is_undone_so_that_the_next_call_does_not_take_it_for_done() {
    let person = Person::new();
    assert_eq!(person.trust(&["--browsers"]).code, Some(0));
    let machine = tempfile::tempdir().unwrap();
    let works = system(machine.path());
    let fails = SystemStore {
        added: vec!["false".into()],
        removed: vec!["false".into()],
        ..works.clone()
    };
    let ca = person.ca();

    let refused = only(fails.clone()).install(&ca);
    assert!(
        matches!(refused[0].change, Err(StoreError::Tool { .. })),
        "{refused:?}"
    );
    assert_eq!(
        change(&only(works.clone()).install(&ca)),
        StoreChange::Added
    );
    let refused = only(fails).remove(&ca);
    assert!(
        matches!(refused[0].change, Err(StoreError::Tool { .. })),
        "{refused:?}"
    );
    assert_eq!(change(&only(works).remove(&ca)), StoreChange::Removed);
}
