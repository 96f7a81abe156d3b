//! What a compressed page costs, and how short it is, next to nginx's gzip at its default level: 50 KiB of HTML
//! as Django's admin writes it, to a client that takes what browsers do, and to one that takes gzip alone.

use std::fmt::Write as _;
use std::io;

use crate::certificate::KeyExchange;
use crate::lab::{Lab, Server};
use crate::proxy::{HTTP1, ask, connect, h2load, rest};
use crate::report::Report;

/// A list in Django's admin.
pub(crate) const LIST: &str = "/html/";
const LENGTH: usize = 50 << 10;

/// What a client takes, and what is measured of it.
struct Client {
    field: &'static str,
    cost: [&'static str; 3],
    size: [&'static str; 3],
}

const CLIENTS: [Client; 3] = [
    Client {
        field: "Accept-Encoding: gzip, deflate, br, zstd",
        cost: ["compress", "compress.cpu", "compress.nginx"],
        size: ["compress-size", "compress-size.ours", "compress-size.nginx"],
    },
    Client {
        field: "Accept-Encoding: gzip",
        cost: ["compress-gzip", "compress-gzip.cpu", "compress-gzip.nginx"],
        size: [
            "compress-gzip-size",
            "compress-gzip-size.ours",
            "compress-gzip-size.nginx",
        ],
    },
    Client {
        field: "Accept-Encoding: gzip, br",
        cost: ["compress-br", "compress-br.cpu", "compress-br.nginx"],
        size: [
            "compress-br-size",
            "compress-br-size.ours",
            "compress-br-size.nginx",
        ],
    },
];

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    let wanted = |client: &&Client| lab.plan.wants(&[client.cost[0], client.size[0]]);
    let clients: Vec<_> = CLIENTS.iter().filter(wanted).collect();
    if clients.is_empty() {
        return Ok(());
    }
    let (nginx, gateway) = (lab.nginx()?, lab.gateway()?);
    for round in 1..=lab.plan.rounds {
        eprintln!("compression, round {round} of {}", lab.plan.rounds);
        for client in &clients {
            let (theirs, ours) = (cost(lab, &nginx, client)?, cost(lab, &gateway, client)?);
            compare(report, client.cost, ours, theirs);
            let (theirs, ours) = (size(lab, &nginx, client)?, size(lab, &gateway, client)?);
            compare(report, client.size, ours, theirs);
        }
    }
    Ok(())
}

fn compare(report: &mut Report, [ratio, ours, theirs]: [&'static str; 3], us: f64, nginx: f64) {
    report.sample(ours, us);
    report.sample(theirs, nginx);
    report.sample(ratio, us / nginx);
}

/// Microseconds of CPU for each page.
fn cost(lab: &Lab, server: &Server, client: &Client) -> io::Result<f64> {
    let count = if lab.plan.quick { 2_000 } else { 10_000 };
    let options = [HTTP1, &["-H", client.field]].concat();
    h2load(server.address, &options, (LIST, count / 20))?;
    let cpu = server.process.cpu()?;
    h2load(server.address, &options, (LIST, count))?;
    Ok((server.process.cpu()? - cpu) * 1e6 / f64::from(count))
}

/// Bytes of a page as it comes.
fn size(lab: &Lab, server: &Server, client: &Client) -> io::Result<f64> {
    let tls = lab.certificate.client(KeyExchange::Classic)?;
    let mut stream = connect(server.address, &tls)?;
    let head = format!(
        "GET {LIST} HTTP/1.1\r\nConnection: close\r\n{}\r\n",
        client.field
    );
    ask(&mut stream, server.address, &head)?;
    let bytes = u32::try_from(rest(&mut stream)?).map_err(io::Error::other)?;
    if bytes as usize > LENGTH / 2 {
        let complaint = format!(
            "{} did not compress the page: {bytes} bytes",
            server.address
        );
        return Err(io::Error::other(complaint));
    }
    Ok(f64::from(bytes))
}

/// The page: each line another, and all alike.
pub(crate) fn page() -> String {
    const WORDS: [&str; 24] = [
        "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island",
        "jasper", "kelvin", "lotus", "meadow", "nectar", "ocean", "pepper", "quartz", "river",
        "sierra", "timber", "umbra", "violet", "willow", "zephyr",
    ];
    let mut state = 7_u64;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) % below).unwrap_or_default()
    };
    let mut text = String::from(
        "<!DOCTYPE html>\n<html lang=\"en-us\" dir=\"ltr\">\n<head>\n<title>Select user to change | Django site \
         admin</title>\n<link rel=\"stylesheet\" href=\"/static/admin/css/base.css\">\n</head>\n<body>\n<table \
         id=\"result_list\">\n<tbody>\n",
    );
    while text.len() < LENGTH {
        let (first, last) = (WORDS[next(24)], WORDS[next(24)]);
        let (id, number) = (next(100_000), next(10_000));
        let staff = ["no", "yes"][next(2)];
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "<tr><td class=\"action-checkbox\"><input type=\"checkbox\" name=\"_selected_action\" value=\"{id}\" \
             class=\"action-select\" aria-label=\"Select this object for an action - {first}{number}\"></td><th \
             class=\"field-username\"><a href=\"/admin/auth/user/{id}/change/\">{first}{number}</a></th><td \
             class=\"field-email\">{first}.{last}{number}@example.com</td><td class=\"field-first_name\">{first}</td><td \
             class=\"field-last_name\">{last}</td><td class=\"field-is_staff\"><img \
             src=\"/static/admin/img/icon-{staff}.svg\" alt=\"{staff}\"></td></tr>"
        );
    }
    text.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    text
}
