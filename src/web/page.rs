//! The HTML of an error: one self-contained page, everything escaped.
//!
//! Written by `render` only. A developer's page asks every second whether the upstream is back and
//! then loads itself again; the public's page has no script at all.

use std::fmt::Write as _;

use http::HeaderValue;

use super::problem::Problem;

/// What a page shows.
pub(super) struct PageContent<'a> {
    /// What failed.
    pub(super) problem: &'a Problem,
    /// What to do, where the reader may know.
    pub(super) hint: Option<&'a str>,
    /// Which request it was.
    pub(super) request_id: Option<&'a str>,
    /// Whether the page loads itself again.
    pub(super) reload: Reload,
}

/// Whether a page loads itself again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// As soon as the upstream answers.
    WhenBack,
    /// It does not.
    Never,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6878;--paper:#f4f6f9;--card:#fff;--line:#dfe4ea;--mark:#c2410c}\
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#97a3b4;--paper:#12161c;--card:#1a2029;--line:#2c3542;--mark:#fb923c}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;\
background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,sans-serif}\
main{width:100%;max-width:40rem;padding:2rem 2.25rem;background:var(--card);border:1px solid var(--line);\
border-top:4px solid var(--mark);border-radius:10px}\
.status{margin:0;color:var(--mark);font-weight:600;letter-spacing:.02em}\
h1{margin:.25rem 0 1rem;font-size:1.5rem;line-height:1.3}p{margin:.75rem 0;overflow-wrap:anywhere}\
.hint{padding:.75rem 1rem;background:var(--paper);border-radius:6px;white-space:pre-line}\
footer{margin-top:1.5rem;color:var(--soft);font-size:.875rem}code{font:.95em ui-monospace,monospace}";

/// A response that the gateway itself did not make means that the upstream is back.
const SCRIPT: &str = "\
const again=async()=>{try{const r=await fetch(location.href,{method:'HEAD',cache:'no-store',redirect:'manual'});\
if(![502,503,504].includes(r.status))return location.reload()}catch{}setTimeout(again,1000)};setTimeout(again,1000)";

/// The page.
pub(super) fn html(shown: &PageContent<'_>) -> String {
    let problem = shown.problem;
    let status = problem.status.as_u16();
    let title = problem.status.canonical_reason().unwrap_or("Error");
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\">\
         <title>{status} {title}</title><style>{STYLE}</style></head>\n<body><main>\
         <p class=\"status\">{status} {title}</p>\n<h1>{}</h1>\n",
        EscapedHtml(&problem.detail),
    );
    if let Some(hint) = shown.hint {
        add_hint(&mut page, hint);
    }
    if shown.reload == Reload::WhenBack {
        page.push_str(
            "<p role=\"status\">This page loads itself again as soon as there is an answer.</p>\n",
        );
    }
    add_foot(&mut page, shown);
    page
}

/// What stands between backticks is something to type or to look for.
fn add_hint(page: &mut String, hint: &str) {
    page.push_str("<p class=\"hint\">");
    for (index, part) in hint.split('`').enumerate() {
        let part = EscapedHtml(part);
        if index % 2 == 1 {
            add(page, format_args!("<code>{part}</code>"));
        } else {
            add(page, format_args!("{part}"));
        }
    }
    page.push_str("</p>\n");
}

fn add_foot(page: &mut String, shown: &PageContent<'_>) {
    let code = shown.problem.code;
    add(page, format_args!("<footer><code>{code}</code>"));
    let id = shown.request_id.map(EscapedHtml);
    if let Some(id) = &id {
        add(page, format_args!(" · request <code>{id}</code>"));
    }
    page.push_str("</footer></main>");
    if let (Reload::WhenBack, Some(nonce)) = (shown.reload, &id) {
        add(
            page,
            format_args!("<script nonce=\"{nonce}\">{SCRIPT}</script>"),
        );
    }
    page.push_str("</body></html>\n");
}

/// What the page may do: its own style, and its own script where it has one.
pub(super) fn policy(shown: &PageContent<'_>) -> HeaderValue {
    const QUIET: &str =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    let quiet = HeaderValue::from_static(QUIET);
    match (shown.reload, shown.request_id) {
        (Reload::WhenBack, Some(nonce)) => {
            let policy = format!("{QUIET}; script-src 'nonce-{nonce}'; connect-src 'self'");
            HeaderValue::from_str(&policy).unwrap_or(quiet)
        }
        _ => quiet,
    }
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = page.write_fmt(text);
}

/// Text that means only itself, in an element or a quoted attribute.
pub(super) struct EscapedHtml<'a>(pub(super) &'a str);

impl std::fmt::Display for EscapedHtml<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}
