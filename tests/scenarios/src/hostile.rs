//! Peers that mean no good, byte by byte: they know enough of DICOM to get in, and then do what hurts.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERIFICATION: &str = "1.2.840.10008.1.1";
const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";

/// Presentation contexts that a hostile peer asks for.
const ECHO_CONTEXT: u8 = 1;
const STORE_CONTEXT: u8 = 3;

/// Bytes of a PDU that is far longer than the box said it takes.
const HUGE: u32 = 400_000_000;

/// What a hostile peer does with its association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malice {
    /// Says nothing more.
    Silent,
    /// Sends an instance, a byte at a time.
    Dripping,
    /// Sends bytes that are no PDU.
    Garbage,
    /// Sends a data set that does not end, as fast as a slow line.
    Endless,
    /// Declares a PDU of 400 MB, and begins it.
    HugePdu,
    /// Aborts inside an instance.
    Aborting,
    /// Breaks the connection off inside an instance: a TCP reset, as when a machine dies.
    Resetting,
    /// Asks for echoes, and never reads an answer.
    NeverReading,
}

impl Malice {
    /// All of them.
    pub const ALL: [Malice; 8] = [
        Malice::Silent,
        Malice::Dripping,
        Malice::Garbage,
        Malice::Endless,
        Malice::HugePdu,
        Malice::Aborting,
        Malice::Resetting,
        Malice::NeverReading,
    ];

    /// Does its worst with an association; ends when the box has had enough of it, or never.
    pub async fn strike(self, mut stream: TcpStream) {
        // However it ends: the box may close at any moment.
        let _ended = self.carry_on(&mut stream).await;
    }

    async fn carry_on(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Malice::Silent => until_closed(stream).await,
            Malice::Dripping => {
                stream.write_all(&store_request()).await?;
                let content = [beginning_of_data_set(), vec![0; 8_000]].concat();
                for byte in data_pdu(STORE_CONTEXT, 0, &content) {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                until_closed(stream).await
            }
            Malice::Garbage => {
                stream.write_all(&[0xA5; 4096]).await?;
                until_closed(stream).await
            }
            Malice::Endless => {
                stream.write_all(&store_request()).await?;
                stream.write_all(&data_pdu(STORE_CONTEXT, 0, &beginning_of_data_set())).await?;
                let more = data_pdu(STORE_CONTEXT, 0, &[0; 16_000]);
                loop {
                    stream.write_all(&more).await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Malice::HugePdu => {
                stream.write_all(&store_request()).await?;
                // P-DATA-TF, one value, of an image: all of it well formed but for its length.
                stream.write_all(&[4, 0]).await?;
                stream.write_all(&HUGE.to_be_bytes()).await?;
                stream.write_all(&(HUGE - 4).to_be_bytes()).await?;
                stream.write_all(&[STORE_CONTEXT, 0]).await?;
                stream.write_all(&beginning_of_data_set()).await?;
                let piece = [0; 65_536];
                loop {
                    stream.write_all(&piece).await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Malice::Aborting => {
                stream.write_all(&store_request()).await?;
                stream.write_all(&data_pdu(STORE_CONTEXT, 0, &beginning_of_data_set())).await?;
                stream.write_all(&[7, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await?;
                until_closed(stream).await
            }
            Malice::Resetting => {
                stream.write_all(&store_request()).await?;
                stream.write_all(&data_pdu(STORE_CONTEXT, 0, &beginning_of_data_set())).await?;
                // Long enough for the box to have begun the instance; what is behind it is lost with the connection.
                tokio::time::sleep(Duration::from_millis(200)).await;
                stream.set_zero_linger()
            }
            Malice::NeverReading => {
                let echo = echo_request();
                loop {
                    stream.write_all(&echo).await?;
                }
            }
        }
    }
}

/// Connects and asks for an association; a rejection or silence is none.
pub async fn associate(address: &str, called: &str, calling: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(&associate_request(called, calling)).await.ok()?;
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let mut rest = vec![0; usize::try_from(length.min(65_536)).ok()?];
    stream.read_exact(&mut rest).await.ok()?;
    (head[0] == 2).then_some(stream)
}

async fn until_closed(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut answer = [0; 1024];
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}

/// A-ASSOCIATE-RQ (PS3.8 §9.3.2) with a context for echoes and one for CT images.
fn associate_request(called: &str, calling: &str) -> Vec<u8> {
    let context = |id: u8, class: &str, syntax: &str| {
        let inner = [item(0x30, class.as_bytes()), item(0x40, syntax.as_bytes())].concat();
        item(0x20, &[&[id, 0, 0, 0], inner.as_slice()].concat())
    };
    let user =
        [item(0x51, &16_384_u32.to_be_bytes()), item(0x52, b"2.25.1"), item(0x55, b"HOSTILE")].concat();
    let body = [
        vec![0, 1, 0, 0],
        format!("{called:<16}{calling:<16}").into_bytes(),
        vec![0; 32],
        item(0x10, b"1.2.840.10008.3.1.1.1"),
        context(ECHO_CONTEXT, VERIFICATION, IMPLICIT_LITTLE_ENDIAN),
        context(STORE_CONTEXT, CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN),
        item(0x50, &user),
    ];
    pdu(1, &body.concat())
}

fn item(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short item");
    [&[kind, 0], &length.to_be_bytes()[..], content].concat()
}

fn pdu(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a short PDU");
    [&[kind, 0], &length.to_be_bytes()[..], content].concat()
}

/// P-DATA-TF with one value. Control: 1 for commands, 2 for the last of its kind.
fn data_pdu(context: u8, control: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 2).expect("a short value");
    pdu(4, &[&length.to_be_bytes()[..], &[context, control], content].concat())
}

/// C-STORE-RQ of an image of no name (PS3.7 §9.3.1).
fn store_request() -> Vec<u8> {
    let command = [
        text_element(0x0002, CT_IMAGE_STORAGE),
        element(0x0100, &1_u16.to_le_bytes()),
        element(0x0110, &7_u16.to_le_bytes()),
        element(0x0700, &0_u16.to_le_bytes()),
        element(0x0800, &0_u16.to_le_bytes()),
        text_element(0x1000, HOSTILE_INSTANCE),
    ];
    command_pdu(STORE_CONTEXT, &command.concat())
}

/// C-ECHO-RQ (PS3.7 §9.3.5).
fn echo_request() -> Vec<u8> {
    let command = [
        text_element(0x0002, VERIFICATION),
        element(0x0100, &0x30_u16.to_le_bytes()),
        element(0x0110, &7_u16.to_le_bytes()),
        element(0x0800, &0x0101_u16.to_le_bytes()),
    ];
    command_pdu(ECHO_CONTEXT, &command.concat())
}

/// The name of whatever hostile peers send: it must never be in custody.
pub const HOSTILE_INSTANCE: &str = "2.25.666";

/// The beginning of a CT image, up to the pixels, whose length it declares as undefined in a way that never ends.
fn beginning_of_data_set() -> Vec<u8> {
    let explicit = |group: u16, number: u16, vr: &[u8; 2], value: &str| {
        let value = padded(value);
        let length = u16::try_from(value.len()).expect("a short value");
        let parts: [&[u8]; 5] =
            [&group.to_le_bytes(), &number.to_le_bytes(), vr, &length.to_le_bytes(), &value];
        parts.concat()
    };
    let pixels = [0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF].to_vec();
    [
        explicit(0x0008, 0x0016, b"UI", CT_IMAGE_STORAGE),
        explicit(0x0008, 0x0018, b"UI", HOSTILE_INSTANCE),
        explicit(0x0010, 0x0020, b"LO", "666"),
        explicit(0x0020, 0x000D, b"UI", "2.25.667"),
        explicit(0x0020, 0x000E, b"UI", "2.25.668"),
        pixels,
    ]
    .concat()
}

/// A command set with its group length, as one PDU.
fn command_pdu(context: u8, elements: &[u8]) -> Vec<u8> {
    let length = u32::try_from(elements.len()).expect("a short command");
    let whole = [element(0x0000, &length.to_le_bytes()), elements.to_vec()].concat();
    data_pdu(context, 3, &whole)
}

/// An element of group 0000, implicit VR.
fn element(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("a short value");
    [&[0, 0], &number.to_le_bytes()[..], &length.to_le_bytes(), value].concat()
}

fn text_element(number: u16, value: &str) -> Vec<u8> {
    element(number, &padded(value))
}

fn padded(value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}
