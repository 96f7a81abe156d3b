//! What it costs to believe a proxy: the same small requests, with the fields that a proxy adds, to a gateway
//! that trusts it and to one that does not. Both are measured in turns.

use std::io::{self, Error};

use crate::lab::{Lab, Server};
use crate::proxy::{HTTP1, h2load};
use crate::report::Report;
use crate::upstream::SMALL;

const NAME: &str = "behind";
const TRUSTING: &str = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\nforwarded_host = true\n";

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    if !lab.plan.wants(&[NAME]) {
        return Ok(());
    }
    let direct = lab.gateway()?;
    let behind = lab.gateway_but(&[("[server]\n", TRUSTING)])?;
    for round in 1..=lab.plan.rounds {
        eprintln!("behind a proxy, round {round} of {}", lab.plan.rounds);
        let (without, with) = (cost(lab, &direct)?, cost(lab, &behind)?);
        report.sample("behind.direct", without);
        report.sample("behind.cpu", with);
        report.sample(NAME, with / without);
    }
    Ok(())
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
