//! All that is wrong with the certificates of a configuration, at once.
//!
//! Asked by `gatepost check`. An expired certificate, or a name that two hold, stops no start, since
//! a site with a warning is better than none; here it is a finding.

use std::time::SystemTime;

use super::certificates::shared_names;
use super::error::TlsError;
use super::watched::WatchedPair;
use crate::config::CertificateSource;

/// What is wrong, in the order of the certificates. Nothing is made or written.
pub fn audit(config: &CertificateSource) -> Vec<TlsError> {
    let CertificateSource::Files(files) = config else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    let mut pairs = Vec::new();
    for files in files {
        match WatchedPair::load(files) {
            Ok(pair) => {
                let lifetime = pair.pair.leaf.lifetime;
                let over = lifetime.filter(|life| life.is_over(SystemTime::now()));
                wrong.extend(over.map(|life| TlsError::Expired {
                    cert: files.cert.clone(),
                    ends: httpdate::fmt_http_date(life.ends),
                }));
                pairs.push(pair);
            }
            Err(error) => wrong.push(error),
        }
    }
    let shared = shared_names(&pairs).into_iter();
    wrong.extend(shared.map(|shared| TlsError::SharedName {
        name: shared.name,
        first: shared.first,
        second: shared.second,
    }));
    wrong
}
