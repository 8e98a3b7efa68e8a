//! The connections on a line: which of them were there before a cut, and how many bytes each way are new.

use std::collections::HashMap;

use crate::packet::Segment;

/// Servers here listen below the ports that the system gives to callers (32768 on Linux).
const FIRST_CALLER: u16 = 32_768;

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the caller.
    Up,
    /// From the server.
    Down,
}

impl Way {
    /// Of a segment.
    pub fn of(segment: &Segment) -> Way {
        if segment.to < FIRST_CALLER { Way::Up } else { Way::Down }
    }
}

/// Both ports of a connection, the caller's first.
pub type Ports = (u16, u16);

/// What a packet is to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Of a connection that is up.
    Alive {
        /// Bytes that were not on the line before.
        fresh: u32,
    },
    /// Of a connection from before a cut.
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct Flow {
    generation: u64,
    /// Number of the next new byte, up and down.
    next: [Option<u32>; 2],
}

/// All connections.
#[derive(Debug, Default)]
pub struct Flows {
    generation: u64,
    known: HashMap<Ports, Flow>,
}

impl Flows {
    /// Every connection that is there is gone from now on.
    pub fn cut(&mut self) {
        self.generation += 1;
    }

    /// Ports of a segment.
    pub fn ports(segment: &Segment) -> Ports {
        match Way::of(segment) {
            Way::Up => (segment.from, segment.to),
            Way::Down => (segment.to, segment.from),
        }
    }

    /// Whether a connection that was seen before is gone.
    pub fn is_gone(&self, ports: Ports) -> bool {
        self.known.get(&ports).is_some_and(|flow| flow.generation < self.generation)
    }

    /// Takes note of a segment.
    pub fn note(&mut self, segment: &Segment) -> Standing {
        let (generation, ports, way) = (self.generation, Flows::ports(segment), Way::of(segment));
        if segment.begins() {
            self.known.insert(ports, Flow { generation, next: [None; 2] });
        }
        let flow = self.known.entry(ports).or_insert(Flow { generation, next: [None; 2] });
        if flow.generation < generation {
            return Standing::Gone;
        }
        let next = &mut flow.next[usize::from(way == Way::Down)];
        let expected = next.unwrap_or(segment.sequence);
        // Numbers go round; the newer of two is less than half the circle ahead.
        let ahead = segment.end().wrapping_sub(expected);
        let is_newer = ahead < 1 << 31;
        if is_newer {
            *next = Some(segment.end());
        }
        // The beginning of a connection is no byte. What was lost before it got here counts now and not when it comes again.
        let fresh = if segment.begins_or_answers() { 0 } else { ahead };
        Standing::Alive { fresh: if is_newer { fresh } else { 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, payload: u32, flags: u8) -> Segment {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 99, 1, 1, 10, 99, 1, 2];
        packet.extend(40000_u16.to_be_bytes());
        packet.extend(443_u16.to_be_bytes());
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        let mut segment = Segment::read(&packet).unwrap();
        segment.payload = payload;
        segment
    }

    #[test]
    fn a_byte_is_new_once() {
        let mut flows = Flows::default();
        let fresh = |flows: &mut Flows, sequence, payload| match flows.note(&segment(sequence, payload, 0x10))
        {
            Standing::Alive { fresh } => fresh,
            Standing::Gone => panic!("it is up"),
        };
        flows.note(&segment(u32::MAX - 9, 0, 0x02));
        assert_eq!(fresh(&mut flows, u32::MAX - 8, 1000), 1000, "the numbers go round");
        assert_eq!(fresh(&mut flows, u32::MAX - 8, 1000), 0, "the same again");
        assert_eq!(fresh(&mut flows, 491, 1000), 500, "half of it again");
        assert_eq!(fresh(&mut flows, 1991, 1000), 1500, "some of it never got here");
    }

    #[test]
    fn a_connection_is_gone_after_a_cut_and_a_new_one_is_not() {
        let mut flows = Flows::default();
        flows.note(&segment(1, 0, 0x02));
        flows.cut();
        assert_eq!(flows.note(&segment(2, 10, 0x10)), Standing::Gone);
        assert_eq!(flows.note(&segment(1, 0, 0x02)), Standing::Alive { fresh: 0 });
        assert!(!flows.is_gone((40000, 443)));
    }
}
