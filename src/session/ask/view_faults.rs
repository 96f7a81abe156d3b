//! What is wrong where the view of a socket's path gives no judgement.
//!
//! Used by `meaning`. The table of `diagnose` tells what went wrong there too; only what it says of the auth view
//! is said anew.

use crate::session::ask::response::{AskedView, Response};
use crate::session::diagnosis::{Diagnosis, DiagnosisKind};

/// A diagnosis in the words of the view that was asked.
pub(in crate::session) fn of_view(response: &Response<'_>, found: Diagnosis) -> Diagnosis {
    if response.of == AskedView::Auth {
        return found;
    }
    let (reason, remedy) = match found.kind {
        DiagnosisKind::Page | DiagnosisKind::NotJson | DiagnosisKind::NotAnAnswer => (
            "the view of this path does not say who may listen: is it one of @gatepost.socket?",
            "Django's view of this path answers 200, but not as gatepost.listen(…) does. Decorate it with \
             @gatepost.socket, or take `view = true` out of its [[sockets]] route.",
        ),
        DiagnosisKind::Redirect
        | DiagnosisKind::SlashMissing
        | DiagnosisKind::LanguagePrefix
        | DiagnosisKind::LoginRequired => (
            "Django redirects from the view of this path, and redirects are not followed",
            "Write the route's `path` as urls.py has it, with its trailing slash and outside of \
             i18n_patterns. Where a login redirects, put @gatepost.socket on the view, and \
             GatepostMiddleware into MIDDLEWARE.",
        ),
        DiagnosisKind::MethodRefused | DiagnosisKind::Status => (
            "the view of this path says neither yes nor no: see Django's log",
            "A view of @gatepost.socket takes GET and answers gatepost.listen(…), or refuses with 401, 403 \
             or 404. What this one answers, Django's log says.",
        ),
        DiagnosisKind::TooLarge => (
            "the answer of this path's view is larger than 64 KiB",
            "Let the view grant fewer topics at once, or say less in its first frames.",
        ),
        DiagnosisKind::ServerError => (
            "the view of this path fails (500): Django's log has the traceback",
            "The view of this path, or a middleware before it, raises an exception. Django's log has the \
             traceback.",
        ),
        _ => return found,
    };
    Diagnosis::new(found.kind, reason, remedy)
}
