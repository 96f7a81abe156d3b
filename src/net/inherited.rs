//! Descriptors that one process hands to another over a Unix socket (`SCM_RIGHTS`), and the listeners among them.
//!
//! Used by the composition root where a new program takes this one's place. The surprise: the other process gets no
//! descriptor by its number, which would take `unsafe` to believe; only its standard input, which is that socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::passed::PassedSocket;
use crate::config::ListenAddress;

/// The most descriptors of one message (`SCM_MAX_FD` of Linux is 253).
pub const MOST: usize = 250;
/// The longest text that goes with them, in bytes: the kernel takes it whole.
const LONGEST: usize = 64 * 1024;
/// What the text ends with.
const END: u8 = b'\n';

/// Sends a text of one line, and descriptors with it.
pub fn send(channel: &UnixStream, line: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if line.len() >= LONGEST || descriptors.len() > MOST {
        return Err(io::Error::other("too many listeners to hand over"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let text = [IoSlice::new(line), IoSlice::new(&[END])];
    let sent = sendmsg(channel, &text, &mut control, SendFlags::NOSIGNAL)?;
    if sent == line.len() + 1 {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Waits for what [`send`] sent.
pub fn receive(channel: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    loop {
        // One byte at a time behind the first piece: what follows the line is another message's.
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut byte)];
        let got = recvmsg(channel, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                descriptors.extend(sent);
            }
        }
        match byte {
            _ if got.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            [END] => return Ok((text, descriptors)),
            [byte] => text.push(byte),
        }
        if text.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// This process's standard input, where it is a Unix socket: a descriptor of its own. What reads standard input from
/// now on finds nothing there.
pub fn take_standard_input() -> io::Result<UnixStream> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let channel = UnixStream::from(input);
    // Whatever else it is has no such address.
    channel.local_addr()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(channel)
}

/// Has everything that is written to standard error go there from now on.
pub fn set_standard_error(descriptor: OwnedFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(descriptor)?)
}

/// The listener that a descriptor is.
pub fn listener(
    name: String,
    address: ListenAddress,
    descriptor: OwnedFd,
) -> io::Result<PassedSocket> {
    PassedSocket::from_descriptor(name, address, descriptor)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn descriptors_arrive_with_their_line_and_what_follows_stays_for_the_next() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (inside, outside) = UnixStream::pair().unwrap();
        send(&ours, b"two of them", &[listener.as_fd(), outside.as_fd()]).unwrap();
        (&ours).write_all(b"next").unwrap();
        drop(outside);
        let (line, descriptors) = receive(&theirs).unwrap();
        assert_eq!(
            (line.as_slice(), descriptors.len()),
            (&b"two of them"[..], 2)
        );
        let mut next = [0; 4];
        theirs.read_exact(&mut next).unwrap();
        assert_eq!(&next, b"next");

        let mut descriptors = descriptors.into_iter();
        let address = listener.local_addr().unwrap();
        let at = ListenAddress::Tcp(address);
        let first = descriptors.next().unwrap();
        let inherited = super::listener("https".to_owned(), at.clone(), first).unwrap();
        drop(listener);
        assert_eq!(inherited.address, at);
        TcpStream::connect(address).unwrap();
        let second = UnixStream::from(descriptors.next().unwrap());
        (&second).write_all(b"x").unwrap();
        let mut got = [0];
        (&inside).read_exact(&mut got).unwrap();
    }

    #[test]
    fn what_is_no_listener_and_what_breaks_off_is_refused() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let at = ListenAddress::Tcp("127.0.0.1:1".parse().unwrap());
        let idle = OwnedFd::from(ours.try_clone().unwrap());
        assert!(listener("https".to_owned(), at, idle).is_err());
        (&ours).write_all(b"no end").unwrap();
        drop(ours);
        let error = receive(&theirs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
