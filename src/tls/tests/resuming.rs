//! Tickets, and how long they are good.

use rustls::server::ProducesTickets as _;

use super::*;
use crate::secret::{Secret, Secrets};
use crate::tls::tickets::{TicketFile, Tickets};

fn file(folder: &Path, current: u8, previous: Option<u8>) -> TicketFile {
    let secret = |byte| Secret::new(vec![byte; 32]);
    TicketFile {
        path: folder.join("tickets"),
        secrets: Secrets {
            current: secret(current),
            previous: previous.map(secret),
        },
    }
}

fn tickets(folder: &Path) -> Tickets {
    Tickets::load(file(folder, 1, None)).unwrap()
}

#[tokio::test]
async fn a_client_resumes_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let store = local(folder.path(), &names(&["localhost"], &[]));
        store.keeping_tickets(file(folder.path(), 1, None)).unwrap()
    };
    for version in BOTH {
        let ca = start().ca_file().unwrap();
        let config = client(&ca, &[version], &[b"h2"]);
        let first = exchange(&start(), config.clone()).await;
        assert_eq!(first, Some(rustls::HandshakeKind::Full));
        let second = exchange(&start(), config).await;
        assert_eq!(second, Some(rustls::HandshakeKind::Resumed));
    }
}

#[test]
fn keys_are_kept_sealed_and_read_with_the_secret_before() {
    let folder = tempfile::tempdir().unwrap();
    let ticket = tickets(folder.path()).encrypt(b"state").unwrap();
    let path = folder.path().join("tickets");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rotated = Tickets::load(file(folder.path(), 2, Some(1))).unwrap();
    assert_eq!(rotated.decrypt(&ticket).unwrap(), b"state");
    let foreign = Tickets::load(file(folder.path(), 3, None)).unwrap();
    assert_eq!(foreign.decrypt(&ticket), None);
}

#[test]
fn a_file_that_cannot_be_read_or_written_costs_full_handshakes_and_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets");
    fs::write(&path, "garbage").unwrap();
    let ticket = tickets(folder.path()).encrypt(b"state").unwrap();
    assert_eq!(tickets(folder.path()).decrypt(&ticket).unwrap(), b"state");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let unkept = tickets(folder.path());
    let ticket = unkept.encrypt(b"state").unwrap();
    assert_eq!(unkept.decrypt(&ticket).unwrap(), b"state");
}

#[test]
fn what_is_no_ticket_of_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tickets = tickets(folder.path());
    let ticket = tickets.encrypt(b"state").unwrap();
    assert_eq!(tickets.decrypt(b""), None);
    for index in 0..ticket.len() {
        let mut changed = ticket.clone();
        changed[index] ^= 1;
        assert_eq!(tickets.decrypt(&changed), None, "byte {index}");
        assert_eq!(tickets.decrypt(&ticket[..index]), None);
    }
    assert_ne!(tickets.encrypt(b"state").unwrap(), ticket);
}

#[test]
fn a_key_makes_tickets_for_twelve_hours_and_reads_them_for_twelve_more() {
    let folder = tempfile::tempdir().unwrap();
    let hour = 3600;
    let now = crate::unix_time::seconds();
    let tickets = tickets(folder.path());
    let first = tickets.encrypt(b"first").unwrap();
    tickets.look_at(now + 11 * hour);
    assert_eq!(tickets.encrypt(b"x").unwrap()[..16], first[..16]);
    tickets.look_at(now + 13 * hour);
    let second = tickets.encrypt(b"second").unwrap();
    assert_ne!(second[..16], first[..16]);
    assert_eq!(
        tickets.decrypt_at(&first, now + 23 * hour).unwrap(),
        b"first"
    );
    assert_eq!(tickets.decrypt_at(&first, now + 25 * hour), None);
    assert_eq!(
        tickets.decrypt_at(&second, now + 25 * hour).unwrap(),
        b"second"
    );
}

#[test]
fn gateways_that_share_the_file_share_the_key_that_one_of_them_makes() {
    let folder = tempfile::tempdir().unwrap();
    let later = crate::unix_time::seconds() + 13 * 3600;
    let (old, new) = (tickets(folder.path()), tickets(folder.path()));
    for gateway in [&old, &new] {
        gateway.look_at(later);
    }
    let ticket = old.encrypt(b"state").unwrap();
    assert_eq!(new.decrypt_at(&ticket, later).unwrap(), b"state");
    // A clock that was set back makes keys of the future, whose time would never be over.
    old.look_at(later - 13 * 3600);
    assert_ne!(old.encrypt(b"x").unwrap()[..16], ticket[..16]);
}
