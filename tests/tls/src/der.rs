//! Writing ASN.1 in DER (X.690), as far as certificates go. Nothing is checked: most of what is made here is wrong.

use jiff::Timestamp;

/// Tag, length, content.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    match bytes[..] {
        [] => out.push(0),
        [short] if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | u8::try_from(bytes.len()).expect("at most eight"));
            out.extend(&bytes);
        }
    }
    out.extend(content);
    out
}

/// SEQUENCE of these.
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// INTEGER with these octets, as they are.
pub fn integer(octets: &[u8]) -> Vec<u8> {
    tlv(0x02, octets)
}

/// BOOLEAN true.
pub fn yes() -> Vec<u8> {
    tlv(0x01, &[0xff])
}

/// OCTET STRING.
pub fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// BIT STRING without unused bits.
pub fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

/// OBJECT IDENTIFIER, from its numbers with dots.
pub fn oid(text: &str) -> Vec<u8> {
    let numbers: Vec<u64> = text.split('.').map(|number| number.parse().expect("a number")).collect();
    let (first, rest) = numbers.split_first().expect("two numbers");
    let (second, rest) = rest.split_first().expect("two numbers");
    let mut content = Vec::new();
    for number in std::iter::once(first * 40 + second).chain(rest.iter().copied()) {
        let mut groups = vec![u8::try_from(number & 0x7f).expect("seven bits")];
        let mut left = number >> 7;
        while left > 0 {
            groups.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
            left >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    tlv(0x06, &content)
}

/// `[number] EXPLICIT`.
pub fn explicit(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

/// `[number] IMPLICIT` of something that is not constructed.
pub fn implicit(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0x80 | number, content)
}

/// A time, in the form that RFC 5280 §4.1.2.5 asks for.
pub fn time(at: Timestamp) -> Vec<u8> {
    let at = at.strftime("%Y%m%d%H%M%SZ").to_string();
    if at.as_str() < "2050" { tlv(0x17, &at.as_bytes()[2..]) } else { tlv(0x18, at.as_bytes()) }
}

/// A distinguished name of one common name.
pub fn name(common: &str) -> Vec<u8> {
    let attribute = sequence(&[oid("2.5.4.3"), tlv(0x0c, common.as_bytes())]);
    sequence(&[tlv(0x31, &attribute)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_der() {
        assert_eq!(oid("1.2.840.10045.2.1"), [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]);
        assert_eq!(tlv(4, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(sequence(&[yes(), integer(&[5])]), [0x30, 6, 1, 1, 0xff, 2, 1, 5]);
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(time(at)[2..], *b"260102030405Z");
    }
}
