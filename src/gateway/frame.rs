//! Where websocket frames begin and end (RFC 6455, section 5.2), without looking into data.
//!
//! What a browser sends passes as it came, as soon as it is there. What the relay must know of it
//! is where a frame ends, because only there may a frame of its own be put in, and what the control
//! frames between them say. What a client sends is put together from here, too.

/// Who sent the bytes. A client masks its frames, a browser, which is a server, must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Client,
    Browser,
}

/// What a control frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Close,
    Ping,
    Pong,
}

/// The most a control frame may carry, in bytes.
const MAX_CONTROL: usize = 125;
/// The longest head: two bytes, a 64-bit length and a mask.
const MAX_HEAD: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const BINARY: u8 = 2;

/// How many bytes of a head tell the length beside its second byte.
const fn extended(second: u8) -> usize {
    match second & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// A control frame, unmasked.
#[derive(Clone, Copy)]
pub(super) struct Control {
    kind: Kind,
    length: usize,
    payload: [u8; MAX_CONTROL],
}

/// The bytes are no websocket frames, or none that may come from that peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("reserved bits are set, but no extension was agreed on")]
    Reserved,
    #[error("a frame has an unknown opcode")]
    Opcode,
    #[error("a frame from the client is not masked")]
    Unmasked,
    #[error("a frame from the browser is masked")]
    Masked,
    #[error("a control frame is fragmented")]
    Fragmented,
    #[error("a control frame is longer than 125 bytes")]
    LongControl,
    #[error("a frame is longer than 2^63 bytes")]
    Long,
    #[error("a continuation without a message, or a message inside of another")]
    Order,
    #[error("a close frame carries half a code")]
    HalfCode,
    #[error("a message is longer than 100 MiB")]
    LongMessage,
    #[error("the large messages under way leave no room for another: try again later")]
    NoRoom,
}

impl Violation {
    /// The close code that says so (RFC 6455, section 7.4.1, and the IANA registry for 1013).
    pub(super) const fn close_code(self) -> u16 {
        match self {
            Self::LongMessage => 1009,
            Self::NoRoom => 1013,
            _ => 1002,
        }
    }
}

/// The data frame under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Whether a message begins with it, and whether that is a binary one.
    pub(super) begins: Option<bool>,
    /// Whether its message ends with it.
    pub(super) ends: bool,
    /// What its payload is masked with; zeros when it is not.
    pub(super) mask: [u8; 4],
    /// How much of its payload is still to come, in bytes, as far as its head is known.
    pub(super) left: u64,
}

/// What a run of bytes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes of a data frame, of which the last `payload` belong to its payload.
    Data { payload: usize },
    /// Bytes of a control frame that is not complete, not to be passed on.
    Held,
    /// The last bytes of this control frame, not to be passed on.
    Control(Control),
}

/// Follows one direction of a connection. Fed with every byte, in order.
#[derive(Debug)]
pub(super) struct Scanner {
    peer: Peer,
    /// The head of the frame under way, as far as it is known.
    head: [u8; MAX_HEAD],
    have: usize,
    /// How long the payload still is; `None` while the head is not complete.
    left: Option<u64>,
    /// The payload of a control frame under way.
    control: Control,
    /// Whether a message is under way whose last fragment has not begun.
    fragmented: bool,
}

impl Scanner {
    pub(super) const fn new(peer: Peer) -> Self {
        Self {
            peer,
            head: [0; MAX_HEAD],
            have: 0,
            left: None,
            control: Control::empty(Kind::Ping),
            fragmented: false,
        }
    }

    /// Whether the last byte seen was the last of a frame, so that a control frame may be put in
    /// here.
    pub(super) const fn at_boundary(&self) -> bool {
        self.have == 0
    }

    /// Whether it was the last of a message, so that another message may be put in here.
    pub(super) const fn between_messages(&self) -> bool {
        self.have == 0 && !self.fragmented
    }

    /// The data frame that the bytes last scanned belong to.
    pub(super) fn frame(&self) -> Frame {
        let first = self.head[0];
        let mut mask = [0; 4];
        if self.peer == Peer::Client {
            let at = 2 + extended(self.head[1]);
            mask.copy_from_slice(&self.head[at..at + 4]);
        }
        Frame {
            begins: match first & OPCODE {
                0 => None,
                opcode => Some(opcode == BINARY),
            },
            ends: first & FIN != 0,
            mask,
            left: self.left.unwrap_or(0),
        }
    }

    /// Looks at the first bytes of `input`, at most to the end of a frame, and tells how many they
    /// are and what. Takes at least one byte of an `input` that is not empty.
    pub(super) fn scan(&mut self, input: &[u8]) -> Result<(usize, Part), Violation> {
        let mut taken = 0;
        while self.left.is_none() {
            let Some(&byte) = input.get(taken) else {
                return Ok((taken, self.unfinished()));
            };
            taken += 1;
            self.head_byte(byte)?;
        }
        let left = self.left.unwrap_or(0);
        let rest = &input[taken..];
        let run = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let left = left - run as u64;
        self.left = Some(left);
        taken += run;
        if !self.is_control() {
            if left == 0 {
                self.next_frame();
            }
            return Ok((taken, Part::Data { payload: run }));
        }
        self.control.extend(&rest[..run]);
        if left > 0 {
            return Ok((taken, Part::Held));
        }
        let control = self.finish_control()?;
        self.next_frame();
        Ok((taken, Part::Control(control)))
    }

    const fn unfinished(&self) -> Part {
        if self.have > 0 && self.is_control() {
            Part::Held
        } else {
            Part::Data { payload: 0 }
        }
    }

    const fn is_control(&self) -> bool {
        self.head[0] & 0x08 != 0
    }

    const fn next_frame(&mut self) {
        self.have = 0;
        self.left = None;
    }

    fn head_byte(&mut self, byte: u8) -> Result<(), Violation> {
        self.head[self.have] = byte;
        self.have += 1;
        match self.have {
            1 => return self.check_first(byte),
            2 => self.check_second(byte)?,
            _ => {}
        }
        let short = self.head[1] & !MASKED;
        let extended = extended(short);
        let mask = if self.peer == Peer::Client { 4 } else { 0 };
        if self.have == 2 + extended + mask {
            let length = self.head[2..2 + extended]
                .iter()
                .fold(0, |length, &byte| length << 8 | u64::from(byte));
            let length = if extended == 0 {
                u64::from(short)
            } else {
                length
            };
            if length >> 63 != 0 {
                return Err(Violation::Long);
            }
            self.left = Some(length);
        }
        Ok(())
    }

    /// Every rule about the first byte is checked at once: after it, data bytes are passed on.
    fn check_first(&mut self, byte: u8) -> Result<(), Violation> {
        if byte & RESERVED != 0 {
            return Err(Violation::Reserved);
        }
        let last = byte & FIN != 0;
        match byte & OPCODE {
            opcode @ 0..=2 => {
                if (opcode == 0) != self.fragmented {
                    return Err(Violation::Order);
                }
                self.fragmented = !last;
            }
            opcode @ 8..=10 => {
                if !last {
                    return Err(Violation::Fragmented);
                }
                self.control = Control::empty(match opcode {
                    8 => Kind::Close,
                    9 => Kind::Ping,
                    _ => Kind::Pong,
                });
            }
            _ => return Err(Violation::Opcode),
        }
        Ok(())
    }

    const fn check_second(&self, byte: u8) -> Result<(), Violation> {
        match (self.peer, byte & MASKED != 0) {
            (Peer::Client, false) => return Err(Violation::Unmasked),
            (Peer::Browser, true) => return Err(Violation::Masked),
            _ => {}
        }
        if self.is_control() && (byte & !MASKED) as usize > MAX_CONTROL {
            return Err(Violation::LongControl);
        }
        Ok(())
    }

    fn finish_control(&self) -> Result<Control, Violation> {
        let mut control = self.control;
        if self.peer == Peer::Client {
            // A control frame has no extended length, so its mask follows the first two bytes.
            let mask = self.head[2..6].iter().cycle();
            let payload = control.payload[..control.length].iter_mut();
            payload.zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        if control.kind == Kind::Close && control.length == 1 {
            return Err(Violation::HalfCode);
        }
        Ok(control)
    }
}

impl Control {
    const fn empty(kind: Kind) -> Self {
        Self {
            kind,
            length: 0,
            payload: [0; MAX_CONTROL],
        }
    }

    /// A control frame that carries `payload`, as much as fits.
    pub(super) fn new(kind: Kind, payload: &[u8]) -> Self {
        let mut control = Self::empty(kind);
        control.extend(&payload[..payload.len().min(MAX_CONTROL)]);
        control
    }

    /// A close frame with a code and why.
    pub(super) fn close(code: u16, why: &str) -> Self {
        let mut control = Self::new(Kind::Close, &code.to_be_bytes());
        // A cut inside of a character would make the text no UTF-8 and the frame invalid.
        let room = why.floor_char_boundary(MAX_CONTROL - control.length);
        control.extend(&why.as_bytes()[..room]);
        control
    }

    fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.payload[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload[..self.length]
    }

    /// Appends the frame as it goes to `peer`.
    pub(super) fn encode(&self, peer: Peer, out: &mut Vec<u8>) {
        let opcode = match self.kind {
            Kind::Close => 8,
            Kind::Ping => 9,
            Kind::Pong => 10,
        };
        let length = u8::try_from(self.length).unwrap_or_default();
        out.push(FIN | opcode);
        match peer {
            Peer::Client => out.push(length),
            // Masks guard proxies from being tricked by web pages; there is neither between here
            // and the browser, so the mask that changes nothing will do.
            Peer::Browser => out.extend([MASKED | length, 0, 0, 0, 0]),
        }
        out.extend_from_slice(self.payload());
    }
}

impl PartialEq for Control {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.payload() == other.payload()
    }
}

impl Eq for Control {}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("kind", &self.kind)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// One frame, with a mask where `peer` has to send one.
    fn frame(peer: Peer, first: u8, payload: &[u8]) -> Vec<u8> {
        let masked = peer == Peer::Client;
        let flag = if masked { MASKED } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(flag | length as u8),
            length @ 126..65_536 => {
                bytes.push(flag | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(flag | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        let mask = if masked { [7, 99, 200, 31] } else { [0; 4] };
        if masked {
            bytes.extend(mask);
        }
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        bytes
    }

    /// The data passed on, the control frames and the offsets of boundaries.
    type Found = (Vec<u8>, Vec<Control>, Vec<usize>);

    /// Feeds the bytes in pieces.
    fn feed(scanner: &mut Scanner, pieces: &[&[u8]]) -> Result<Found, Violation> {
        let (mut data, mut controls, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut offset = 0;
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (taken, part) = scanner.scan(rest)?;
                assert!(taken > 0);
                match part {
                    Part::Data { .. } => data.extend_from_slice(&rest[..taken]),
                    Part::Held => {}
                    Part::Control(control) => controls.push(control),
                }
                rest = &rest[taken..];
                offset += taken;
                if scanner.at_boundary() {
                    ends.push(offset);
                }
            }
        }
        Ok((data, controls, ends))
    }

    fn message() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let data = vec(any::<u8>(), 0..300).prop_map(|payload| (0x81, payload));
        let long = (65_000_usize..70_000).prop_map(|length| (0x82, vec![5; length]));
        let control = (8_u8..=10, vec(any::<u8>(), 2..126)).prop_map(|(op, p)| (FIN | op, p));
        prop_oneof![4 => data, 1 => long, 3 => control]
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_split_the_frames_are_the_same(
            client in any::<bool>(),
            messages in vec(message(), 1..8),
            cuts in vec(any::<Index>(), 0..12),
        ) {
            let peer = if client { Peer::Client } else { Peer::Browser };
            let (mut stream, mut data, mut controls, mut ends) =
                (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for (first, payload) in &messages {
                let bytes = frame(peer, *first, payload);
                stream.extend_from_slice(&bytes);
                ends.push(stream.len());
                match first & OPCODE {
                    8 => controls.push(Control::new(Kind::Close, payload)),
                    9 => controls.push(Control::new(Kind::Ping, payload)),
                    10 => controls.push(Control::new(Kind::Pong, payload)),
                    _ => data.extend(bytes),
                }
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            let found = feed(&mut Scanner::new(peer), &pieces).unwrap();
            prop_assert_eq!(found, (data, controls, ends));
        }

        #[test]
        fn no_bytes_make_it_panic_or_stall(
            client in any::<bool>(), bytes in vec(any::<u8>(), 0..400),
        ) {
            let peer = if client { Peer::Client } else { Peer::Browser };
            let _ = feed(&mut Scanner::new(peer), &[&bytes]);
        }
    }

    #[test]
    fn what_is_encoded_is_what_the_other_side_reads() {
        let close = Control::close(4001, "expired");
        assert_eq!(close.payload(), b"\x0f\xa1expired");
        for (to, from) in [(Peer::Client, Peer::Browser), (Peer::Browser, Peer::Client)] {
            let mut bytes = Vec::new();
            close.encode(to, &mut bytes);
            let (_, controls, _) = feed(&mut Scanner::new(from), &[&bytes]).unwrap();
            assert_eq!(controls, [close]);
        }
        let long = "é".repeat(100);
        let payload = Control::close(1011, &long).payload().to_vec();
        assert!(std::str::from_utf8(&payload[2..]).unwrap().len() >= 122);
    }

    #[test]
    fn a_fragmented_message_may_have_control_frames_inside() {
        let mut bytes = frame(Peer::Client, 0x01, b"he");
        bytes.extend(frame(Peer::Client, 0x89, b"ping"));
        bytes.extend(frame(Peer::Client, 0x80, b"llo"));
        let (data, controls, ends) = feed(&mut Scanner::new(Peer::Client), &[&bytes]).unwrap();
        assert_eq!(controls, [Control::new(Kind::Ping, b"ping")]);
        assert_eq!((data.len(), ends.len()), (bytes.len() - 10, 3));
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        let long = [0; 126];
        let mut huge = vec![0x82, 127];
        huge.extend(u64::MAX.to_be_bytes());
        let two = [frame(Peer::Browser, 1, b"a"), frame(Peer::Browser, 1, b"b")].concat();
        for (peer, bytes, violation) in [
            (
                Peer::Client,
                frame(Peer::Client, 0xc1, b"x"),
                Violation::Reserved,
            ),
            (
                Peer::Client,
                frame(Peer::Client, 0x83, b"x"),
                Violation::Opcode,
            ),
            (
                Peer::Client,
                frame(Peer::Client, 0x8b, b"x"),
                Violation::Opcode,
            ),
            (
                Peer::Client,
                frame(Peer::Browser, 0x81, b"x"),
                Violation::Unmasked,
            ),
            (
                Peer::Browser,
                frame(Peer::Client, 0x81, b"x"),
                Violation::Masked,
            ),
            (
                Peer::Client,
                frame(Peer::Client, 0x09, b"x"),
                Violation::Fragmented,
            ),
            (
                Peer::Client,
                frame(Peer::Client, 0x89, &long),
                Violation::LongControl,
            ),
            (
                Peer::Client,
                frame(Peer::Client, 0x80, b"x"),
                Violation::Order,
            ),
            (
                Peer::Client,
                frame(Peer::Client, 0x88, b"x"),
                Violation::HalfCode,
            ),
            (Peer::Browser, two, Violation::Order),
            (Peer::Browser, huge, Violation::Long),
        ] {
            assert_eq!(feed(&mut Scanner::new(peer), &[&bytes]), Err(violation));
        }
    }
}
