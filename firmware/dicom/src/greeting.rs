//! What else speaks to a DICOM port: recognised by its first bytes, so that the log can say what is wrong.
//!
//! Port scanners, monitoring, a TLS client on the plain port and the other way round. The first byte alone already says
//! that it is not DICOM; up to six name it.

use std::fmt;

/// A protocol that is not the one expected on this port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// An HTTP request.
    Http,
    /// A TLS ClientHello on the plain port.
    Tls,
    /// SSH.
    Ssh,
    /// SMB, in either version.
    Smb,
    /// DICOM without TLS on the TLS port.
    PlainDicom,
    /// Something else.
    Unknown,
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Greeting::Http => "HTTP",
            Greeting::Tls => "TLS on the plain port",
            Greeting::Ssh => "SSH",
            Greeting::Smb => "SMB",
            Greeting::PlainDicom => "plain DICOM on the TLS port",
            Greeting::Unknown => "no protocol known here",
        })
    }
}

/// First bytes of the requests of HTTP, as far as six bytes go.
const HTTP: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE", b"OPTION", b"TRACE ", b"CONNEC", b"PATCH "];

/// Names what these first bytes belong to. They are not a PDU of ours.
pub(crate) fn recognise(first: &[u8]) -> Greeting {
    if HTTP.iter().any(|method| first.starts_with(method)) {
        return Greeting::Http;
    }
    match first {
        // A handshake record of SSL 3.0 to TLS 1.3.
        [0x16, 0x03, ..] => Greeting::Tls,
        [b'S', b'S', b'H', b'-', ..] => Greeting::Ssh,
        // A NetBIOS session message, then the mark of SMB 1 or 2.
        [0, _, _, _, 0xff | 0xfe, b'S', ..] => Greeting::Smb,
        // A-ASSOCIATE-RQ, below 16 MiB.
        [0x01, 0x00, 0x00, ..] => Greeting::PlainDicom,
        _ => Greeting::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bytes_name_the_usual_visitors() {
        for (first, expected) in [
            (&b"GET / "[..], Greeting::Http),
            (b"OPTION", Greeting::Http),
            (b"\x16\x03\x01\x02\x00\x01", Greeting::Tls),
            (b"SSH-2.", Greeting::Ssh),
            (b"\0\0\0\x85\xffS", Greeting::Smb),
            (b"\0\0\0\x85\xfeS", Greeting::Smb),
            (b"\x01\x00\x00\x00\x00\xd7", Greeting::PlainDicom),
            (b"\0\0\0\x85", Greeting::Unknown),
            (b"hello!", Greeting::Unknown),
            (b"", Greeting::Unknown),
        ] {
            assert_eq!(recognise(first), expected, "{first:?}");
        }
    }
}
