//! A walk over the elements at the beginning of a data set, in any VR encoding (PS3.5 §7).
//!
//! Reads a slice and allocates nothing but the path, whatever lengths are declared. Values, and sequences that nobody
//! wants to see inside of, are stepped over by their length; those of undefined length are walked through. The inside of
//! UN of undefined length is Implicit VR Little Endian (PS3.5 §6.2.2).

use dicom_core::Tag;

/// Deepest nesting that is followed. Real data sets stay below six.
const DEEPEST: usize = 16;
/// The length that says: until the delimiter.
const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_DELIMITER: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_DELIMITER: Tag = Tag(0xfffe, 0xe0dd);

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// Who looks on. `path` holds the tags of the sequences around, outermost first.
pub(crate) trait Onlooker {
    /// Whether the walk ends before this element of the outermost level.
    fn is_end(&self, tag: Tag) -> bool;
    /// Whether the inside of this sequence is of interest.
    fn enters(&self, path: &[Tag], tag: Tag) -> bool;
    /// A value that is complete.
    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]);
    /// An item of a sequence of interest begins.
    fn item_begins(&mut self, path: &[Tag]);
    /// It ends.
    fn item_ends(&mut self, path: &[Tag]);
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At the element that ends it.
    Reached,
    /// At the end of the bytes: with more of them it would go on.
    CutOff,
    /// At something that is no element: more bytes would not help.
    Broken,
}

/// Walks from the beginning.
pub(crate) fn walk(data: &[u8], encoding: Encoding, onlooker: &mut impl Onlooker) -> End {
    let mut walk = Walk { data, at: 0, path: Vec::new(), onlooker };
    match walk.elements(encoding, Until::Bytes(usize::MAX)) {
        Err(end) => end,
        // A delimiter with nothing to delimit.
        Ok(()) => End::Broken,
    }
}

/// Walks over a data set that is complete, to its end exactly. What ends inside an element is an error.
pub(crate) fn walk_whole(data: &[u8], encoding: Encoding, onlooker: &mut impl Onlooker) -> Result<(), End> {
    let mut walk = Walk { data, at: 0, path: Vec::new(), onlooker };
    walk.elements(encoding, Until::Bytes(data.len()))?;
    if walk.at == data.len() { Ok(()) } else { Err(End::Broken) }
}

struct Walk<'a, O> {
    data: &'a [u8],
    at: usize,
    path: Vec<Tag>,
    onlooker: &'a mut O,
}

/// Where a sequence or an item ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// At this place.
    Bytes(usize),
    /// At the delimiter.
    Delimiter,
}

struct Header {
    tag: Tag,
    /// `None` in Implicit VR.
    vr: Option<[u8; 2]>,
    length: u32,
}

impl<O: Onlooker> Walk<'_, O> {
    /// The elements of one level. `Err` ends the whole walk.
    fn elements(&mut self, encoding: Encoding, until: Until) -> Result<(), End> {
        loop {
            if self.is_over(until)? {
                return Ok(());
            }
            let header = self.header(encoding)?;
            if matches!(header.tag, ITEM_DELIMITER | SEQUENCE_DELIMITER) {
                return Ok(());
            }
            if self.path.is_empty() && self.onlooker.is_end(header.tag) {
                return Err(End::Reached);
            }
            self.element(encoding, &header)?;
        }
    }

    fn element(&mut self, encoding: Encoding, header: &Header) -> Result<(), End> {
        let inside = if header.vr == Some(*b"UN") { Encoding::ImplicitLittle } else { encoding };
        if header.length == UNDEFINED {
            return self.items(inside, header.tag, Until::Delimiter);
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let end = self.at.saturating_add(length);
        let may_be_sequence = matches!(header.vr, None | Some([b'S', b'Q'] | [b'U', b'N']));
        if may_be_sequence && self.onlooker.enters(&self.path, header.tag) {
            return self.items(inside, header.tag, Until::Bytes(end));
        }
        let value = self.data.get(self.at..end).ok_or(End::CutOff)?;
        self.onlooker.value(&self.path, header.tag, value);
        self.at = end;
        Ok(())
    }

    fn items(&mut self, encoding: Encoding, tag: Tag, until: Until) -> Result<(), End> {
        if self.path.len() == DEEPEST {
            return Err(End::Broken);
        }
        self.path.push(tag);
        while !self.is_over(until)? {
            let (tag, length) = self.item_header(encoding)?;
            match tag {
                SEQUENCE_DELIMITER => break,
                ITEM => {}
                _ => return Err(End::Broken),
            }
            self.onlooker.item_begins(&self.path);
            let item = match length {
                UNDEFINED => Until::Delimiter,
                length => Until::Bytes(self.at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX))),
            };
            self.elements(encoding, item)?;
            self.onlooker.item_ends(&self.path);
        }
        self.path.pop();
        Ok(())
    }

    /// Whether this place is the end of what it is in.
    fn is_over(&self, until: Until) -> Result<bool, End> {
        match until {
            Until::Bytes(end) if self.at > end => Err(End::Broken),
            Until::Bytes(end) => Ok(self.at == end),
            Until::Delimiter => Ok(false),
        }
    }

    fn header(&mut self, encoding: Encoding) -> Result<Header, End> {
        let (tag, plain_length) = self.item_header(encoding)?;
        if encoding == Encoding::ImplicitLittle || tag.0 == 0xfffe {
            return Ok(Header { tag, vr: None, length: plain_length });
        }
        // The four bytes behind the tag were no length: take them again.
        self.at -= 4;
        let [first, second, high, low] = self.take::<4>()?;
        if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
            return Err(End::Broken);
        }
        let vr = [first, second];
        let big = encoding == Encoding::ExplicitBig;
        let length = if is_long(vr) {
            let bytes = self.take::<4>()?;
            if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        } else {
            let bytes = [high, low];
            u32::from(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
        };
        Ok(Header { tag, vr: Some(vr), length })
    }

    /// A tag and four bytes of length: all of a header in Implicit VR, and of an item everywhere.
    fn item_header(&mut self, encoding: Encoding) -> Result<(Tag, u32), End> {
        let bytes = self.take::<8>()?;
        let number = |at: usize| {
            let pair = [bytes[at], bytes[at + 1]];
            if encoding == Encoding::ExplicitBig {
                u16::from_be_bytes(pair)
            } else {
                u16::from_le_bytes(pair)
            }
        };
        let length = [bytes[4], bytes[5], bytes[6], bytes[7]];
        let length = if encoding == Encoding::ExplicitBig {
            u32::from_be_bytes(length)
        } else {
            u32::from_le_bytes(length)
        };
        Ok((Tag(number(0), number(2)), length))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], End> {
        let rest = self.data.get(self.at..).ok_or(End::CutOff)?;
        let taken = rest.first_chunk::<N>().ok_or(End::CutOff)?;
        self.at += N;
        Ok(*taken)
    }
}

/// VRs with two reserved bytes and a length of four (PS3.5 Table 7.1-1).
pub(crate) fn is_long(vr: [u8; 2]) -> bool {
    matches!(
        &vr,
        b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV"
    )
}
