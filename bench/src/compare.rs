//! Two gateways in one run. Each measure is taken of the one and then of the other, as often as there are
//! repetitions, so that what the machine does besides meets both.

use std::io;
use std::path::Path;

use crate::lab::Lab;
use crate::measure_all;
use crate::report::{MEASURES, Report};

/// Measures the plan's gateway into `report`, and another into a report of its own.
pub(crate) fn measure(
    lab: &mut Lab,
    report: &mut Report,
    (other, beside): (&Path, &mut Report),
) -> io::Result<()> {
    let gateways = [other.to_owned(), lab.plan.gateway.clone()];
    let mut reports = [beside, report];
    let rounds = std::mem::replace(&mut lab.plan.rounds, 1);
    let is_whole = |name: &&str| !name.contains('.');
    let names = MEASURES.iter().map(|measure| measure.name).filter(is_whole);
    let wanted: Vec<_> = names.filter(|name| lab.plan.wants(&[name])).collect();
    for name in wanted {
        lab.plan.only = vec![name.to_owned()];
        for _ in 0..rounds {
            for (gateway, report) in gateways.iter().zip(&mut reports) {
                eprintln!("{name} of {}", gateway.display());
                lab.plan.gateway.clone_from(gateway);
                measure_all(lab, report)?;
            }
        }
    }
    Ok(())
}
