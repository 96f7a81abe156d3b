//! How a connection ends: a close frame that the client really gets.
//!
//! Used by every task that owns a socket. The surprise: tungstenite sends nothing after a protocol
//! error, and a TCP socket that is dropped with unread input resets, which would destroy a close frame
//! under way: so we close ourselves, then read on for a moment.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::Socket;
use super::metered::Flood;
use crate::close::CloseReason;

/// For the client to answer our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for one that reads slowly: it first has to read what is under way.
const SLOW_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the client to stop sending, once we have said goodbye.
const LINGER: Duration = Duration::from_secs(2);
/// What is read and thrown away meanwhile.
const LINGER_BYTES: usize = 1024 * 1024;

/// Why a connection's loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// The client is gone, or has closed.
    Gone,
    /// We close.
    Close(CloseReason),
}

/// What an error of the codec means for the client.
pub(super) fn end_of(error: &Error) -> ConnectionEnd {
    match error {
        Error::Io(error) if Flood::is_cause_of(error) => {
            ConnectionEnd::Close(CloseReason::Policy("too many bytes without a message"))
        }
        Error::Protocol(problem) if is_disconnect(problem) => ConnectionEnd::Gone,
        Error::Protocol(_) => ConnectionEnd::Close(CloseReason::ProtocolError),
        Error::Utf8(_) => ConnectionEnd::Close(CloseReason::InvalidUtf8),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            ConnectionEnd::Close(CloseReason::MessageTooBig)
        }
        _ => ConnectionEnd::Gone,
    }
}

fn is_disconnect(problem: &ProtocolError) -> bool {
    matches!(
        problem,
        ProtocolError::ResetWithoutClosingHandshake | ProtocolError::ReceivedAfterClosing
    )
}

/// Ends a connection. Bounded in time and in bytes whatever the client does.
pub(super) async fn finish(mut socket: Socket, end: ConnectionEnd) {
    socket.get_mut().allow(LINGER_BYTES);
    let limit = match &end {
        ConnectionEnd::Close(CloseReason::TooSlow) => SLOW_CLOSE_TIMEOUT,
        _ => CLOSE_TIMEOUT,
    };
    let goodbye = async {
        if let ConnectionEnd::Close(reason) = &end {
            let frame = CloseFrame {
                code: reason.code().into(),
                reason: reason.text().as_ref().into(),
            };
            if socket.close(Some(frame)).await.is_err() {
                return;
            }
        }
        // Drives our frame out and waits for the client's.
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(limit, goodbye).await;
    let _ = tokio::time::timeout(LINGER, linger(&mut socket)).await;
}

/// Says that we send no more, and reads until the client agrees.
async fn linger(socket: &mut Socket) {
    let stream = socket.get_mut().inner();
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES as u64);
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
}
