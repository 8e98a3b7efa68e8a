//! The table: every bad certificate with its name, who can show it, and what must become of it.

use crate::der;
use crate::mint::{
    Draft, Key, Signature, address, dns, is_authority, is_no_authority, key_usage, other_names, purposes, uzi,
};
use crate::world::{CLIENT, End, ROOT, SERVER, URA, World};

/// What is shown.
pub struct Shown {
    /// Certificates, the owner's first.
    pub chain: Vec<Vec<u8>>,
    /// The key with which the owner proves that it is theirs.
    pub key: Key,
    /// Who shows it.
    pub by: Hand,
}

/// Who shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// rustls, which takes any bytes for a certificate.
    Rustls,
    /// OpenSSL at its lowest level, with these words more.
    OpenSsl(&'static [&'static str]),
}

/// What must become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Refused.
    Refused,
    /// Accepted, because it is right; or because the standard named here allows it.
    Accepted(&'static str),
    /// Accepted, although it would be better refused. Says why it is so.
    Gap(&'static str),
}

/// To whom a row may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// To everybody.
    All,
    /// To whoever speaks to the portal or is it; DICOM knows no such thing.
    Portal,
}

/// A row of the table.
pub struct Row {
    /// What is wrong with it.
    pub name: &'static str,
    /// Which ends can show it.
    pub ends: &'static [End],
    /// To whom.
    pub among: Among,
    /// What must become of it.
    pub expected: Expected,
    /// Makes it.
    pub make: fn(&World, End) -> Shown,
}

const BOTH: &[End] = &[End::Server, End::Client];
const SERVERS: &[End] = &[End::Server];
const CLIENTS: &[End] = &[End::Client];

/// Why whoever uses webpki passes over key usage.
const NO_KEY_USAGE: &str = "webpki does not read keyUsage (RFC 5280 §4.2.1.3)";

/// All of them, the good ones first.
pub fn rows() -> Vec<Row> {
    let mut rows = controls();
    rows.extend(times_and_issuers());
    rows.extend(names());
    rows.extend(purposes_of_keys());
    rows.extend(authorities());
    rows.extend(forms());
    rows.extend(weaknesses());
    rows
}

fn row(name: &'static str, ends: &'static [End], make: fn(&World, End) -> Shown) -> Row {
    Row { name, ends, among: Among::All, expected: Expected::Refused, make }
}

impl Row {
    fn accepted(self, why: &'static str) -> Row {
        Row { expected: Expected::Accepted(why), ..self }
    }

    fn gap(self, why: &'static str) -> Row {
        Row { expected: Expected::Gap(why), ..self }
    }

    fn portal(self) -> Row {
        Row { among: Among::Portal, ..self }
    }
}

/// By the root, with the owner's own key.
fn by_root(world: &World, draft: &Draft) -> Shown {
    shown(world, vec![draft.signed_by(&world.root)])
}

fn shown(world: &World, chain: Vec<Vec<u8>>) -> Shown {
    Shown { chain, key: world.own.clone(), by: Hand::Rustls }
}

/// Good, by this authority in between, which the root signed.
fn by_between(world: &World, end: End, between: &Draft) -> Shown {
    let leaf = world.good_by_between(end).signed_by(&world.between);
    shown(world, vec![leaf, between.signed_by(&world.root)])
}

fn controls() -> Vec<Row> {
    vec![
        row("nothing", BOTH, |w, end| by_root(w, &w.good(end))).accepted("it is right"),
        row("nothing, with an authority in between", BOTH, |w, end| by_between(w, end, &w.between()))
            .accepted("it is right"),
        row("nothing, with an RSA key of 2048 bits, by OpenSSL", BOTH, |w, end| {
            let draft = Draft { public: w.rsa.public.clone(), ..w.good(end) };
            Shown { key: w.rsa.clone(), by: Hand::OpenSsl(&["-tls1_3"]), ..by_root(w, &draft) }
        })
        .accepted("it is right"),
        row("no extendedKeyUsage", BOTH, |w, end| by_root(w, &w.good(end).without("2.5.29.37")))
            .accepted("RFC 5280 §4.2.1.12: without it any use is meant"),
        row("no keyUsage", BOTH, |w, end| by_root(w, &w.good(end).without("2.5.29.15")))
            .accepted("RFC 5280 §4.2.1.3: without it any use is meant"),
    ]
}

fn times_and_issuers() -> Vec<Row> {
    vec![
        row("expired yesterday", BOTH, |w, end| by_root(w, &Draft { until: w.days(-1), ..w.good(end) })),
        row("valid from tomorrow", BOTH, |w, end| by_root(w, &Draft { from: w.days(1), ..w.good(end) })),
        row("ends before it begins", BOTH, |w, end| {
            by_root(w, &Draft { from: w.days(5), until: w.days(-5), ..w.good(end) })
        }),
        row("of an unknown authority", BOTH, |w, end| {
            let draft = Draft { issuer: "Somebody else's root".to_owned(), ..w.good(end) };
            shown(w, vec![draft.signed_by(&w.other)])
        }),
        row("of an authority that has only the right name", BOTH, |w, end| {
            shown(w, vec![w.good(end).signed_by(&w.other)])
        }),
        row("of an unknown authority, whose own certificate is shown too", BOTH, |w, end| {
            let draft = Draft { issuer: "Somebody else's root".to_owned(), ..w.good(end) };
            let root = w.authority("Somebody else's root", "Somebody else's root", &w.other);
            shown(w, vec![draft.signed_by(&w.other), root.signed_by(&w.other)])
        }),
        row("signed by itself", BOTH, |w, end| {
            let draft = Draft { issuer: "somebody".to_owned(), ..w.good(end) };
            shown(w, vec![draft.signed_by(&w.own)])
        }),
        row("signed by itself under the authority's name", BOTH, |w, end| {
            let draft = Draft { subject: ROOT.to_owned(), ..w.good(end) };
            shown(w, vec![draft.signed_by(&w.own)])
        }),
        row("the key is another's", BOTH, |w, end| Shown {
            key: w.other.clone(),
            ..by_root(w, &w.good(end))
        }),
        row("the authority's own certificate, without its key", BOTH, |w, _| {
            shown(w, vec![w.root_certificate()])
        }),
        row("no certificate at all", CLIENTS, |w, _| shown(w, Vec::new())).portal(),
    ]
}

fn names() -> Vec<Row> {
    fn named(w: &World, names: &[Vec<u8>]) -> Shown {
        by_root(w, &w.good(End::Server).with(other_names(names)))
    }
    vec![
        row("for another host", SERVERS, |w, _| named(w, &[dns("portal.example.org")])),
        row("for a host whose name only begins so", SERVERS, |w, _| {
            named(w, &[dns("localhost.example.org")])
        }),
        row("for the address instead of the name", SERVERS, |w, _| named(w, &[address([127, 0, 0, 1])])),
        row("for the name as an address of mail", SERVERS, |w, _| {
            named(w, &[der::implicit(1, b"localhost")])
        }),
        row("for any host: *", SERVERS, |w, _| named(w, &[dns("*")])),
        row("for part of a name: local*", SERVERS, |w, _| named(w, &[dns("local*")])),
        row("for hosts below the name: *.localhost", SERVERS, |w, _| named(w, &[dns("*.localhost")])),
        row("for a name with a zero byte in it", SERVERS, |w, _| named(w, &[dns("localhost\0.example.org")])),
        row("named in the common name only", SERVERS, |w, _| {
            by_root(w, &Draft { subject: "localhost".to_owned(), ..w.good(End::Server).without("2.5.29.17") })
        }),
        row("without any name", SERVERS, |w, _| by_root(w, &w.good(End::Server).without("2.5.29.17"))),
        row("for no care provider", CLIENTS, |w, _| {
            by_root(w, &w.good(End::Client).with(other_names(&[dns("box.example.org")])))
        })
        .portal(),
        row("for a care provider in the common name only", CLIENTS, |w, _| {
            by_root(w, &Draft { subject: URA.to_owned(), ..w.good(End::Client).without("2.5.29.17") })
        })
        .portal(),
        row("for two care providers", CLIENTS, |w, _| {
            by_root(w, &w.good(End::Client).with(other_names(&[uzi(URA, "S"), uzi("90000382", "S")])))
        })
        .portal(),
        row("for a person (UZI pass)", CLIENTS, |w, _| {
            by_root(w, &w.good(End::Client).with(other_names(&[uzi(URA, "Z")])))
        })
        .portal(),
        row("for a URA of seven digits", CLIENTS, |w, _| {
            by_root(w, &w.good(End::Client).with(other_names(&[uzi("9000038", "S")])))
        })
        .portal(),
    ]
}

fn purposes_of_keys() -> Vec<Row> {
    vec![
        row("for the other end only", BOTH, |w, end| {
            let other = if end == End::Server { CLIENT } else { SERVER };
            by_root(w, &w.good(end).with(purposes(&[other])))
        }),
        row("for signing code only", BOTH, |w, end| {
            by_root(w, &w.good(end).with(purposes(&["1.3.6.1.5.5.7.3.3"])))
        }),
        row("for mail and time stamps only", BOTH, |w, end| {
            by_root(w, &w.good(end).with(purposes(&["1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.8"])))
        }),
        row("for any purpose", BOTH, |w, end| by_root(w, &w.good(end).with(purposes(&["2.5.29.37.0"])))),
        row("the key may only encrypt", BOTH, |w, end| by_root(w, &w.good(end).with(key_usage(0x20))))
            .gap(NO_KEY_USAGE),
        row("an authority's certificate used by itself", BOTH, |w, end| {
            by_root(w, &w.good(end).with(is_authority(None)).with(key_usage(0x84)))
        }),
        row("the authority in between is for the other end only", BOTH, |w, end| {
            let other = if end == End::Server { CLIENT } else { SERVER };
            by_between(w, end, &w.between().and(purposes(&[other])))
        }),
    ]
}

fn authorities() -> Vec<Row> {
    vec![
        row("the authority in between is not shown", BOTH, |w, end| {
            shown(w, vec![w.good_by_between(end).signed_by(&w.between)])
        }),
        row("another authority in between is shown", BOTH, |w, end| {
            let wrong = w.authority("Another", ROOT, &w.other).signed_by(&w.root);
            shown(w, vec![w.good_by_between(end).signed_by(&w.between), wrong])
        }),
        row("the authority in between has expired", BOTH, |w, end| {
            by_between(w, end, &Draft { until: w.days(-1), ..w.between() })
        }),
        row("the authority in between begins tomorrow", BOTH, |w, end| {
            by_between(w, end, &Draft { from: w.days(1), ..w.between() })
        }),
        row("the authority in between is of an unknown one", BOTH, |w, end| {
            let between = w.between().signed_by(&w.other);
            shown(w, vec![w.good_by_between(end).signed_by(&w.between), between])
        }),
        row("its issuer is no authority", BOTH, |w, end| {
            by_between(w, end, &w.between().with(is_no_authority()))
        }),
        row("its issuer does not say that it is an authority", BOTH, |w, end| {
            by_between(w, end, &w.between().without("2.5.29.19"))
        }),
        row("its issuer has a certificate of version 1", BOTH, |w, end| {
            by_between(w, end, &Draft { version: None, extensions: Vec::new(), ..w.between() })
        }),
        row("its issuer may sign no certificates", BOTH, |w, end| {
            by_between(w, end, &w.between().with(key_usage(0x80)))
        })
        .gap(NO_KEY_USAGE),
        row("its issuer is another owner", BOTH, |w, end| {
            let issuer =
                Draft { subject: "Between".to_owned(), public: w.between.public.clone(), ..w.good(end) };
            by_between(w, end, &issuer)
        }),
        row("more authorities than allowed", BOTH, |w, end| {
            let upper =
                Draft { extensions: vec![is_authority(Some(0))], ..w.authority("Upper", ROOT, &w.other) };
            let between = Draft { issuer: "Upper".to_owned(), ..w.between() };
            let leaf = w.good_by_between(end).signed_by(&w.between);
            shown(w, vec![leaf, between.signed_by(&w.other), upper.signed_by(&w.root)])
        }),
        row("ten authorities in a row", BOTH, |w, end| {
            let mut chain = vec![Draft { issuer: "1".to_owned(), ..w.good(end) }.signed_by(&w.between)];
            for number in 1..=10 {
                let issuer = if number == 10 { ROOT.to_owned() } else { (number + 1).to_string() };
                let key = if number == 10 { &w.root } else { &w.between };
                chain.push(w.authority(&number.to_string(), &issuer, &w.between).signed_by(key));
            }
            shown(w, chain)
        }),
        row("its issuer is for hosts of another domain", SERVERS, |w, end| {
            by_between(w, end, &w.between().and(name_limits(0, "example.org")))
        }),
        row("its issuer is for all hosts but this", SERVERS, |w, end| {
            by_between(w, end, &w.between().and(name_limits(1, "localhost")))
        }),
        row("revoked by its authority", BOTH, |w, end| {
            by_root(w, &Draft { serial: REVOKED.to_vec(), ..w.good(end) })
        })
        .gap("no revocation list can be given for TLS"),
    ]
}

/// The serial number on the authority's list.
pub const REVOKED: [u8; 3] = [0x66, 0x66, 0x66];

/// nameConstraints: `0` permitted, `1` excluded hosts.
fn name_limits(kind: u8, host: &str) -> crate::mint::Extension {
    let subtree = der::sequence(&[dns(host)]);
    ("2.5.29.30", true, der::sequence(&[der::tlv(0xa0 | kind, &subtree)]))
}

fn forms() -> Vec<Row> {
    fn changed(w: &World, end: End, change: impl Fn(&mut Vec<u8>)) -> Shown {
        let mut bytes = w.good(end).signed_by(&w.root);
        change(&mut bytes);
        shown(w, vec![bytes])
    }
    const UNKNOWN: &str = "1.3.6.1.4.1.99999.1";
    vec![
        row("an unknown critical extension", BOTH, |w, end| {
            by_root(w, &w.good(end).and((UNKNOWN, true, vec![5, 0])))
        }),
        row("an unknown critical extension of its issuer", BOTH, |w, end| {
            by_between(w, end, &w.between().and((UNKNOWN, true, vec![5, 0])))
        }),
        row("its names twice", BOTH, |w, end| {
            let draft = w.good(end);
            let names = draft.extensions[0].clone();
            by_root(w, &draft.and(names))
        }),
        row("basicConstraints twice", BOTH, |w, end| by_root(w, &w.good(end).and(is_no_authority()))),
        row("a negative serial number", BOTH, |w, end| {
            by_root(w, &Draft { serial: vec![0x80, 1], ..w.good(end) })
        })
        .gap("webpki takes it for a positive one"),
        row("the serial number zero", BOTH, |w, end| by_root(w, &Draft { serial: vec![0], ..w.good(end) }))
            .accepted("RFC 5280 §4.1.2.2: to be handled gracefully"),
        row("a serial number of 21 bytes", BOTH, |w, end| {
            by_root(w, &Draft { serial: vec![0x11; 21], ..w.good(end) })
        })
        .gap("webpki does not count them (RFC 5280 §4.1.2.2)"),
        row("version 1", BOTH, |w, end| {
            by_root(w, &Draft { version: None, extensions: Vec::new(), ..w.good(end) })
        }),
        row("version 2", BOTH, |w, end| by_root(w, &Draft { version: Some(1), ..w.good(end) })),
        row("version 4", BOTH, |w, end| by_root(w, &Draft { version: Some(3), ..w.good(end) })),
        row("extensions in a certificate of version 1", BOTH, |w, end| {
            by_root(w, &Draft { version: None, ..w.good(end) })
        }),
        row("bytes behind its end", BOTH, |w, end| changed(w, end, |bytes| bytes.extend([0, 1, 2]))),
        row("cut off in the middle", BOTH, |w, end| changed(w, end, |bytes| bytes.truncate(bytes.len() / 2))),
        row("no certificate but text", BOTH, |w, _| shown(w, vec![b"a certificate".to_vec()])),
        row("a length without end (BER)", BOTH, |w, end| {
            changed(w, end, |bytes| {
                bytes.splice(0..4, [0x30, 0x80]);
                bytes.extend([0, 0]);
            })
        }),
        row("one bit of the signature is other", BOTH, |w, end| {
            changed(w, end, |bytes| *bytes.last_mut().expect("not empty") ^= 1)
        }),
        row("another name under an old signature", BOTH, |w, end| {
            let good = w.good(end).signed_by(&w.root);
            let signature = good[good.len() - 70..].to_vec();
            let changed = Draft { subject: "somebody else".to_owned(), ..w.good(end) };
            shown(w, vec![changed.with_signature(&signature)])
        }),
        row("two signature algorithms, inside and outside", BOTH, |w, end| {
            by_root(w, &Draft { claimed_signature: Some(Signature::RsaSha256), ..w.good(end) })
        }),
    ]
}

fn weaknesses() -> Vec<Row> {
    /// By an authority in between that has this key and signs so.
    fn by_weak(w: &World, end: End, key: &Key, signature: Signature) -> Shown {
        let between = w.authority("Between", ROOT, key);
        let leaf = Draft { signature, ..w.good_by_between(end) }.signed_by(key);
        shown(w, vec![leaf, between.signed_by(&w.root)])
    }
    vec![
        row("an RSA key of 1024 bits", BOTH, |w, end| {
            let draft = Draft { public: w.short_rsa.public.clone(), ..w.good(end) };
            Shown { key: w.short_rsa.clone(), by: Hand::OpenSsl(&["-tls1_3"]), ..by_root(w, &draft) }
        }),
        row("its issuer has an RSA key of 1024 bits", BOTH, |w, end| {
            by_weak(w, end, &w.short_rsa, Signature::RsaSha256)
        }),
        row("its issuer has a key on the curve P-192", BOTH, |w, end| {
            by_weak(w, end, &w.short_curve, Signature::EcdsaSha256)
        }),
        row("signed with SHA-1 and RSA", BOTH, |w, end| by_weak(w, end, &w.rsa, Signature::RsaSha1)),
        row("signed with MD5 and RSA", BOTH, |w, end| by_weak(w, end, &w.rsa, Signature::RsaMd5)),
        row("signed with SHA-1 and ECDSA", BOTH, |w, end| {
            by_root(w, &Draft { signature: Signature::EcdsaSha1, ..w.good(end) })
        }),
        row("its issuer's certificate is signed with SHA-1", BOTH, |w, end| {
            by_between(w, end, &Draft { signature: Signature::EcdsaSha1, ..w.between() })
        }),
        row("TLS 1.2", BOTH, |w, end| Shown { by: Hand::OpenSsl(&["-tls1_2"]), ..by_root(w, &w.good(end)) })
            .portal(),
        row("TLS 1.1", BOTH, |w, end| Shown { by: Hand::OpenSsl(&["-tls1_1"]), ..by_root(w, &w.good(end)) }),
        row("TLS 1.0", BOTH, |w, end| Shown { by: Hand::OpenSsl(&["-tls1"]), ..by_root(w, &w.good(end)) }),
    ]
}
