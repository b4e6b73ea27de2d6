//! What a browser says to its egress proxy, and what it is told: SOCKS 5 (RFC 1928) as far as a
//! browser speaks it, which is `CONNECT` without a name or a password.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::Host;

use crate::egress::Target;

/// What every message begins with.
pub(super) const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;

/// The address types of section 4.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a request is answered: the replies of section 6 that there is a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Succeeded = 0,
    Failed = 1,
    Forbidden = 2,
    Unreachable = 4,
    Refused = 5,
    Expired = 6,
    NoSuchCommand = 7,
    NoSuchAddressType = 8,
}

/// Reads where the other end wants to be connected to. `None` when it wants something else, which it
/// was told is not to be had. What is read is bounded by the protocol: 515 bytes at most.
///
/// # Errors
/// Those of the connection, and [`io::ErrorKind::InvalidData`] for another protocol.
pub(super) async fn request<S>(stream: &mut S) -> io::Result<Option<Target>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [version, methods] = read(stream).await?;
    expect(version)?;
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).await?;
    if !offered.contains(&NO_AUTHENTICATION) {
        stream.write_all(&[VERSION, NO_ACCEPTABLE_METHOD]).await?;
        return Ok(None);
    }
    stream.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let [version, command, _reserved, kind] = read(stream).await?;
    expect(version)?;
    // Not `BIND`, and not `UDP ASSOCIATE`: datagrams would leave unseen.
    if command != CONNECT {
        answer(stream, Reply::NoSuchCommand).await?;
        return Ok(None);
    }
    let (host, name);
    match kind {
        IPV4 => host = Some(Host::Ipv4(Ipv4Addr::from(read(stream).await?))),
        IPV6 => host = Some(Host::Ipv6(Ipv6Addr::from(read::<16>(stream).await?))),
        NAME => {
            let [length] = read(stream).await?;
            let mut text = vec![0; length.into()];
            stream.read_exact(&mut text).await?;
            // What is no text is no name, and nothing is found under it.
            name = String::from_utf8_lossy(&text).into_owned();
            host = Some(named(&name));
        }
        _ => host = None,
    }
    let Some(host) = host else {
        answer(stream, Reply::NoSuchAddressType).await?;
        return Ok(None);
    };
    let port = u16::from_be_bytes(read(stream).await?);
    Ok(Some(Target::new(host, port)))
}

/// Browsers say addresses as if they were names.
fn named(name: &str) -> Host<&str> {
    match name.parse() {
        Ok(IpAddr::V4(address)) => Host::Ipv4(address),
        Ok(IpAddr::V6(address)) => Host::Ipv6(address),
        Err(_) => Host::Domain(name),
    }
}

/// Answers the request. Where the connection comes from is told to nobody.
pub(super) async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, reply: Reply) -> io::Result<()> {
    let nowhere = [0; 6];
    let mut message = vec![VERSION, reply as u8, 0, IPV4];
    message.extend_from_slice(&nowhere);
    stream.write_all(&message).await
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn expect(version: u8) -> io::Result<()> {
    if version == VERSION {
        return Ok(());
    }
    let why = format!("{version} is no version of SOCKS that is spoken here");
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    /// What is made of `said`, and what it is answered.
    async fn hear(said: &[u8]) -> (io::Result<Option<String>>, Vec<u8>) {
        let (mut near, mut far) = duplex(4096);
        near.write_all(said).await.unwrap();
        near.shutdown().await.unwrap();
        let heard = request(&mut far).await;
        drop(far);
        let mut told = Vec::new();
        near.read_to_end(&mut told).await.unwrap();
        let heard = heard.map(|target| target.map(|target| target.to_string()));
        (heard, told)
    }

    fn connect(kind: u8, address: &[u8]) -> Vec<u8> {
        [&[5, 1, 0, 5, 1, 0, kind], address, &[0x1f, 0x90]].concat()
    }

    #[tokio::test]
    async fn targets_are_read_in_every_form() {
        let name = |name: &str| {
            let length = u8::try_from(name.len()).unwrap();
            connect(3, &[&[length], name.as_bytes()].concat())
        };
        for (said, expected) in [
            (connect(1, &[127, 0, 0, 1]), "127.0.0.1:8080"),
            (connect(4, &Ipv6Addr::LOCALHOST.octets()), "[::1]:8080"),
            (name("Example.ORG."), "example.org:8080"),
            (name("127.0.0.1"), "127.0.0.1:8080"),
            (name("0x7f.1"), "127.0.0.1:8080"),
            (name("::1"), "[::1]:8080"),
            (name("[::1]"), "[::1]:8080"),
        ] {
            let (heard, told) = hear(&said).await;
            assert_eq!(heard.unwrap().as_deref(), Some(expected));
            assert_eq!(told, [5, 0]);
        }
    }

    #[tokio::test]
    async fn what_is_not_to_be_had_is_told() {
        let refused = |reply: Reply| vec![5, 0, 5, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0];
        let ask = |command, kind| vec![5, 2, 1, 0, 5, command, 0, kind, 1, 1, 1, 1, 0, 80];
        for (said, expected) in [
            (vec![5, 1, 2], vec![5, 0xff]),
            (ask(2, 1), refused(Reply::NoSuchCommand)),
            (ask(3, 1), refused(Reply::NoSuchCommand)),
            (ask(1, 2), refused(Reply::NoSuchAddressType)),
        ] {
            let (heard, told) = hear(&said).await;
            assert_eq!(heard.unwrap(), None, "{said:?}");
            assert_eq!(told, expected, "{said:?}");
        }
        for other in [b"GET / HTTP/1.1\r\n".as_slice(), &[4, 1, 0, 80], &[5], &[]] {
            assert!(hear(other).await.0.is_err(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(said in proptest::collection::vec(any::<u8>(), 0..600)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            // Whatever is heard, it neither panics nor waits for more than there is.
            drop(runtime.block_on(hear(&[&[5, 1, 0], said.as_slice()].concat())));
        }
    }
}
