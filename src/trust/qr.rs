//! A URL as a QR code, for a phone's camera.

use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, QRBuilder};

/// White on black, whatever colours the terminal has; and back.
const COLOURS: [&str; 2] = ["\x1b[97;40m", "\x1b[0m"];

/// A QR code.
pub struct QrCode(fast_qr::QRCode);

impl QrCode {
    /// The code of a URL; `None` where it is too long for one.
    pub fn of(url: &str) -> Option<Self> {
        QRBuilder::new(url).ecl(ECL::M).build().ok().map(Self)
    }

    /// For a terminal, in lines of half blocks.
    pub fn text(&self) -> String {
        let [begin, end] = COLOURS;
        let mut text = String::new();
        for line in self.0.to_str().lines() {
            text.extend(["  ", begin, line, end, "\n"]);
        }
        text
    }

    /// For a page: one `<svg>` element.
    pub fn svg(&self) -> String {
        SvgBuilder::default().to_str(&self.0)
    }
}
