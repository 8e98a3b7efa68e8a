//! As much of IPv4 (RFC 791) and TCP (RFC 9293) as a line has to know: whose packet it is, how many new bytes it carries,
//! how to turn it round, and how to say that a connection is gone.

/// Length of an IPv4 header without options, and of a TCP header without options.
const HEADER: usize = 20;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The TCP segment in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Port of its sender.
    pub from: u16,
    /// Port of its receiver.
    pub to: u16,
    /// Number of its first byte.
    pub sequence: u32,
    /// What its sender has received.
    pub acknowledged: u32,
    /// Bytes that it carries.
    pub payload: u32,
    flags: u8,
}

impl Segment {
    /// Reads it. Nothing if the packet is no IPv4, no TCP, or cut off.
    pub fn read(packet: &[u8]) -> Option<Segment> {
        let first = *packet.first()?;
        if first >> 4 != 4 || *packet.get(9)? != 6 {
            return None;
        }
        let ip_header = usize::from(first & 0x0f) * 4;
        let whole = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
        let tcp = packet.get(ip_header..whole)?;
        let half = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let tcp_header = usize::from(*tcp.get(12)? >> 4) * 4;
        Some(Segment {
            from: half(0)?,
            to: half(2)?,
            sequence: word(4)?,
            acknowledged: word(8)?,
            payload: u32::try_from(tcp.len().checked_sub(tcp_header)?).ok()?,
            flags: *tcp.get(13)?,
        })
    }

    /// Whether it asks for a connection.
    pub fn begins(&self) -> bool {
        self.flags & (SYN | ACK) == SYN
    }

    /// Whether it asks for a connection or says yes to one.
    pub fn begins_or_answers(&self) -> bool {
        self.flags & SYN != 0
    }

    /// Number of the byte after its last one. The beginning of a connection counts as a byte.
    pub fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.payload).wrapping_add(u32::from(self.flags & SYN != 0))
    }

    /// The packet that tells its sender that the connection is gone, as from the other end. Nothing if no such packet
    /// would be believed: to one that says itself that it is gone, or acknowledges nothing.
    pub fn refusal(&self, packet: &[u8]) -> Option<Vec<u8>> {
        if self.flags & RST != 0 || self.flags & ACK == 0 {
            return None;
        }
        let (source, destination) = (packet.get(12..16)?, packet.get(16..20)?);
        let mut out = vec![0; 2 * HEADER];
        out[0] = 0x45;
        out[3] = 40;
        // Time to live, and that it is TCP.
        out[8] = 64;
        out[9] = 6;
        out[12..16].copy_from_slice(destination);
        out[16..20].copy_from_slice(source);
        out[20..22].copy_from_slice(&self.to.to_be_bytes());
        out[22..24].copy_from_slice(&self.from.to_be_bytes());
        out[24..28].copy_from_slice(&self.acknowledged.to_be_bytes());
        out[32] = 0x50;
        out[33] = RST;
        let head = checksum(0, &out[..HEADER]);
        out[10..12].copy_from_slice(&head.to_be_bytes());
        // The pseudo header: both addresses, the protocol, the length (RFC 9293 §3.1).
        let length = 6 + u32::try_from(HEADER).ok()?;
        let body = checksum(sum(0, &out[12..20]) + length, &out[HEADER..]);
        out[36..38].copy_from_slice(&body.to_be_bytes());
        Some(out)
    }
}

/// Makes the packet one from the other end of the line: both addresses change places, and no checksum does.
pub fn turn_round(packet: &mut [u8]) {
    if let Some(addresses) = packet.get_mut(12..20) {
        addresses.rotate_left(4);
    }
}

fn sum(start: u32, bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    start + words.sum::<u32>()
}

/// The Internet checksum (RFC 1071).
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum(start, bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.99.1.1:40000 → 10.99.1.2:443 with three bytes.
    fn packet(flags: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 43, 0, 0, 0, 0, 64, 6, 0, 0, 10, 99, 1, 1, 10, 99, 1, 2];
        packet.extend(40000_u16.to_be_bytes());
        packet.extend(443_u16.to_be_bytes());
        packet.extend(7_u32.to_be_bytes());
        packet.extend(9_u32.to_be_bytes());
        packet.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
        packet.extend(b"abc");
        packet
    }

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let segment = Segment::read(&packet(ACK)).unwrap();
        assert_eq!((segment.from, segment.to, segment.payload), (40000, 443, 3));
        assert_eq!((segment.sequence, segment.acknowledged, segment.end()), (7, 9, 10));
        assert_eq!(Segment::read(&packet(SYN)).unwrap().end(), 11);
        assert_eq!(Segment::read(&packet(ACK)[..30]), None);
    }

    #[test]
    fn a_refusal_comes_from_the_other_end_with_the_awaited_number_and_right_checksums() {
        let packet = packet(ACK);
        let refusal = Segment::read(&packet).unwrap().refusal(&packet).unwrap();
        assert_eq!(refusal[12..20], [10, 99, 1, 2, 10, 99, 1, 1]);
        let read = Segment::read(&refusal).unwrap();
        assert_eq!((read.from, read.to, read.sequence, read.flags), (443, 40000, 9, RST));
        assert_eq!(checksum(0, &refusal[..HEADER]), 0);
        assert_eq!(checksum(sum(0, &refusal[12..20]) + 26, &refusal[HEADER..]), 0);
        assert_eq!(read.refusal(&refusal), None);
    }

    #[test]
    fn a_packet_turned_round_comes_from_where_it_went() {
        let mut packet = packet(ACK);
        turn_round(&mut packet);
        assert_eq!(packet[12..20], [10, 99, 1, 2, 10, 99, 1, 1]);
    }
}
