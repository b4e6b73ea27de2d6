//! Heads of messages that are sent whole (RFC 6455, section 5.2).

use super::frame::Peer;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// The room that [`head`] needs before a payload, in bytes: the longest head there is.
pub(super) const HEADROOM: usize = 14;

/// Writes the head of a text frame, or of a binary one, that is a whole message to `peer`, at the end
/// of the first [`HEADROOM`] bytes of `message`. Returns where the frame begins.
pub(super) fn head(peer: Peer, binary: bool, message: &mut [u8]) -> usize {
    let length = message.len().saturating_sub(HEADROOM);
    let opcode = if binary { BINARY } else { TEXT };
    let mut head = [0; HEADROOM];
    head[0] = FIN | opcode;
    let size = if let Ok(short @ 0..126) = u8::try_from(length) {
        head[1] = short;
        2
    } else if let Ok(middle) = u16::try_from(length) {
        head[1] = 126;
        head[2..4].copy_from_slice(&middle.to_be_bytes());
        4
    } else {
        head[1] = 127;
        head[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    let size = match peer {
        Peer::Client => size,
        Peer::Browser => {
            // The mask that changes nothing, see `Control::encode`.
            head[1] |= MASKED;
            size + 4
        }
    };
    let begin = HEADROOM - size;
    message[begin..HEADROOM].copy_from_slice(&head[..size]);
    begin
}

#[cfg(test)]
mod tests {
    use super::{
        super::frame::{Frame, Part, Scanner},
        *,
    };

    #[test]
    fn a_scanner_reads_what_is_written() {
        for (peer, sender) in [(Peer::Browser, Peer::Client), (Peer::Client, Peer::Browser)] {
            for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
                for binary in [false, true] {
                    let mut message = vec![7; HEADROOM + length];
                    let begin = head(peer, binary, &mut message);
                    let mut scanner = Scanner::new(sender);
                    let (taken, part) = scanner.scan(&message[begin..]).unwrap();
                    assert_eq!(taken, message.len() - begin);
                    assert_eq!(part, Part::Data { payload: length });
                    assert!(scanner.between_messages());
                    let frame = Frame {
                        begins: Some(binary),
                        ends: true,
                        mask: [0; 4],
                        left: 0,
                    };
                    assert_eq!(scanner.frame(), frame);
                }
            }
        }
    }
}
