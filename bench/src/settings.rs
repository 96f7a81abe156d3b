//! What a setting costs: the same small requests to a gateway with it and to one without. Both are measured in turns.

use std::io::{self, Error};

use crate::lab::{Lab, Server};
use crate::proxy::{HTTP1, h2load};
use crate::report::Report;
use crate::upstream::SMALL;

const SECTION: &str = "[server]\n";
const TRUSTING: &str = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\nforwarded_host = true\n";
const BUFFERING: &str = "[buffering]\n";
const UNBUFFERED: &str = "[buffering]\nunbuffered = [\"/\"]\n";

/// To believe the fields that a proxy adds, which the other gateway is sent too.
const BEHIND: Setting = Setting {
    names: ["behind", "behind.cpu", "behind.direct"],
    with: Some((SECTION, TRUSTING)),
    without: None,
};
/// To keep requests and answers, as by default.
const BUFFERED: Setting = Setting {
    names: ["buffered", "buffered.cpu", "buffered.off"],
    with: None,
    without: Some((BUFFERING, UNBUFFERED)),
};

struct Setting {
    /// Of the ratio, of the figure with it and of the one without.
    names: [&'static str; 3],
    with: Option<Replacement>,
    without: Option<Replacement>,
}

/// A text of gateway.toml, and what stands there instead.
type Replacement = (&'static str, &'static str);

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    for setting in [BEHIND, BUFFERED] {
        if lab.plan.wants(&setting.names[..1]) {
            setting.measure(lab, report)?;
        }
    }
    Ok(())
}

impl Setting {
    fn measure(&self, lab: &Lab, report: &mut Report) -> io::Result<()> {
        let [ratio, cpu, other] = self.names;
        let with = lab.gateway_but(self.with.as_slice())?;
        let without = lab.gateway_but(self.without.as_slice())?;
        for round in 1..=lab.plan.rounds {
            eprintln!("{ratio}, round {round} of {}", lab.plan.rounds);
            let (without, with) = (cost(lab, &without)?, cost(lab, &with)?);
            report.sample(other, without);
            report.sample(cpu, with);
            report.sample(ratio, with / without);
        }
        Ok(())
    }
}

/// Microseconds of CPU for each request.
fn cost(lab: &Lab, server: &Server) -> io::Result<f64> {
    let count = if lab.plan.quick { 10_000 } else { 100_000 };
    let host = format!(
        "X-Forwarded-Host: {}:{}",
        crate::certificate::HOST,
        server.address.port()
    );
    let fields = [
        "-H",
        "X-Forwarded-For: 203.0.113.9",
        "-H",
        "X-Forwarded-Proto: https",
        "-H",
        &host,
    ];
    let options = [HTTP1, &fields].concat();
    h2load(server.address, &options, (SMALL, count / 50))?;
    let cpu = server.process.cpu()?;
    h2load(server.address, &options, (SMALL, count))?;
    Ok::<_, Error>((server.process.cpu()? - cpu) * 1e6 / f64::from(count))
}
