//! How one of our Django views refuses a signature.
//!
//! Read by all who call one. Nothing of it is quoted but a number.

use serde::Deserialize;

/// Why Django refuses a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureRefusal {
    /// It does not fit the call.
    WrongSecret,
    /// The clocks differ by so many seconds.
    WrongClock(u64),
}

impl SignatureRefusal {
    /// What a 403 with this body says; `None` where it is another.
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
            #[serde(default)]
            detail: String,
        }
        let refusal: Refusal = serde_json::from_slice(body).ok()?;
        let is_ours = refusal.error == "bad_signature";
        is_ours.then(|| seconds_in(&refusal.detail).map_or(Self::WrongSecret, Self::WrongClock))
    }

    /// What is wrong, and what to do.
    pub fn remedy(self) -> String {
        match self {
            Self::WrongSecret => {
                "Gateway and Django have different secrets, or something between them changes the path, \
                 Host or Gatepost-Address. Give both the same GATEPOST_SECRET \
                 (`django.secret_env`, `secret_file`) and restart both."
                    .to_owned()
            }
            Self::WrongClock(seconds) => format!(
                "The clocks of gateway and Django differ by {seconds} s; 60 are allowed. Set both, for \
                 instance with NTP."
            ),
        }
    }
}

/// What the view says about a clock: `… is 120 s behind …`. The number alone is taken.
fn seconds_in(detail: &str) -> Option<u64> {
    if !detail.contains("clock") {
        return None;
    }
    let number = detail.split(" s ").next()?.rsplit(' ').next()?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_signature_is_told_from_other_refusals() {
        let read = |body: &str| SignatureRefusal::read(body.as_bytes());
        let skewed = r#"{"error":"bad_signature","detail":"the clock of the signer is 75 s behind this one"}"#;
        assert_eq!(read(skewed), Some(SignatureRefusal::WrongClock(75)));
        for body in [
            r#"{"error":"bad_signature","detail":"another secret"}"#,
            r#"{"error":"bad_signature"}"#,
        ] {
            assert_eq!(read(body), Some(SignatureRefusal::WrongSecret), "{body}");
        }
        assert_eq!(read(r#"{"error":"forbidden"}"#), None);
        assert_eq!(read("<h1>403 Forbidden</h1>"), None);
    }
}
