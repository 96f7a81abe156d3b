//! An answer's body, of which no more is read than it may have.

use super::error::CallError;

/// What was read of a body.
#[derive(Debug)]
pub struct BoundedBody {
    /// The body, or its beginning.
    pub bytes: Vec<u8>,
    /// Whether there was more than the limit.
    pub is_cut: bool,
}

impl BoundedBody {
    /// Reads up to `limit` bytes.
    pub async fn read(mut response: reqwest::Response, limit: usize) -> Result<Self, CallError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| CallError::of(&error))?
        {
            let room = limit - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Ok(Self {
                    bytes,
                    is_cut: true,
                });
            }
        }
        Ok(Self {
            bytes,
            is_cut: false,
        })
    }

    /// The body, where it was read to its end.
    pub fn whole(self) -> Option<Vec<u8>> {
        (!self.is_cut).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: &'static str, limit: usize) -> BoundedBody {
        let response = http::Response::new(body);
        BoundedBody::read(response.into(), limit).await.unwrap()
    }

    #[tokio::test]
    async fn a_body_is_whole_up_to_its_limit_and_cut_beyond() {
        let whole = read("12345", 5).await;
        assert_eq!(whole.whole().unwrap(), b"12345");
        let cut = read("123456", 5).await;
        assert_eq!((&cut.bytes[..], cut.is_cut), (&b"12345"[..], true));
        assert!(cut.whole().is_none());
    }
}
