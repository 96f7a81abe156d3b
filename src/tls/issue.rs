//! Makes the certificates of the local CA, and asks a real verifier what they are good for.
//!
//! Called by `local_ca`. Whether a CA may vouch for a name is not computed from its constraints but
//! tried, with the verifier that TLS clients use.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::names::CertifiedName;

const DAY: Duration = Duration::from_hours(24);
/// Apple refuses leaves of more than 398 days.
const LEAF_DAYS: u32 = 396;
const CA_DAYS: u32 = 3_650;

/// What the local CA may vouch for in any case: names that never leave a machine or its network.
const LOCAL_NAMES: [&str; 2] = ["localhost", "test"];
const LOCAL_NETWORKS: [(&str, u8); 9] = [
    ("127.0.0.0", 8),
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("169.254.0.0", 16),
    // Carrier-grade NAT, which Tailscale and similar networks use.
    ("100.64.0.0", 10),
    ("::1", 128),
    ("fc00::", 7),
    ("fe80::", 10),
];

/// Addresses whose first bits are equal.
#[derive(Clone, Copy)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// A certificate with its key, as PEM.
pub(super) struct Issued {
    pub(super) cert: String,
    pub(super) key: String,
}

/// Makes a CA that may vouch for local names and for `names`, and for nothing else.
pub(super) fn ca(owner: &str, names: &[CertifiedName]) -> Result<Issued, rcgen::Error> {
    let mut params = dated(CA_DAYS);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Gatepost local CA of {owner}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted(names),
        excluded_subtrees: Vec::new(),
    });
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok(Issued {
        cert: cert.pem(),
        key: key.serialize_pem(),
    })
}

fn permitted(names: &[CertifiedName]) -> Vec<GeneralSubtree> {
    let mut domains = LOCAL_NAMES.map(str::to_owned).to_vec();
    let networks = LOCAL_NETWORKS.iter();
    let mut networks: Vec<Network> = networks
        .filter_map(|(address, bits)| {
            Some(Network {
                address: address.parse().ok()?,
                bits: *bits,
            })
        })
        .collect();
    for name in names {
        match &name.checked {
            ServerName::DnsName(_) if !is_local(&name.written) => {
                domains.push(name.domain().to_owned());
            }
            ServerName::IpAddress(address) => {
                let address = (*address).into();
                if !networks.iter().any(|network| network.holds(address)) {
                    networks.push(Network::exactly(address));
                }
            }
            _ => {}
        }
    }
    let network = |network: Network| {
        let subnet = CidrSubnet::from_addr_prefix(network.address, network.bits);
        GeneralSubtree::IpAddress(subnet)
    };
    let domains = domains.into_iter().map(GeneralSubtree::DnsName);
    domains.chain(networks.into_iter().map(network)).collect()
}

fn is_local(name: &str) -> bool {
    let last = name.rsplit('.').next();
    last.is_some_and(|last| LOCAL_NAMES.contains(&last))
}

impl Network {
    /// The network of one address alone.
    fn exactly(address: IpAddr) -> Self {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self { address, bits }
    }

    fn holds(self, address: IpAddr) -> bool {
        let equal_bits = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        equal_bits >= self.bits.into()
    }
}

/// Makes a server's certificate.
pub(super) fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    names: &[CertifiedName],
) -> Result<(CertificateDer<'static>, Issued), rcgen::Error> {
    let mut params = dated(LEAF_DAYS);
    let subject = CertificateParams::new(
        names
            .iter()
            .map(|name| name.written.clone())
            .collect::<Vec<_>>(),
    )?;
    params.subject_alt_names = subject.subject_alt_names;
    params
        .distinguished_name
        .push(DnType::CommonName, "Gatepost local certificate");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, issuer)?;
    let pem = Issued {
        cert: cert.pem(),
        key: key.serialize_pem(),
    };
    Ok((cert.der().clone(), pem))
}

/// Valid since yesterday, as clocks differ.
fn dated(days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let yesterday = SystemTime::now() - DAY;
    params.not_before = yesterday.into();
    params.not_after = (yesterday + DAY * days).into();
    params
}

/// Whether a TLS client that trusts `ca` accepts `leaf` for every one of `names`.
pub(super) fn accepts(
    ca: &CertificateDer<'static>,
    leaf: &CertificateDer<'static>,
    names: &[CertifiedName],
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider())
        .build()
        .map_err(|source| rustls::Error::General(source.to_string()))?;
    for name in names {
        verifier.verify_server_cert(leaf, &[], &name.checked, &[], UnixTime::now())?;
    }
    Ok(())
}
