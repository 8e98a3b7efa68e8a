//! DIMSE command sets: a flat list of elements of group 0000, Implicit VR Little Endian (PS3.7 §6.3.1).
//!
//! The parser never allocates by a declared length: a value is a slice of the command set, which is at most 64 KiB.

use beeldbox_protocol::ident::AeTitle;
use bytes::Bytes;

use crate::pdu::WireError;
use crate::status::DimseStatus;

/// Longest command set we take. Real ones are below 1 KiB.
pub(crate) const LONGEST_COMMAND_SET: usize = 64 * 1024;

/// Value of (0000,0800) that says: no data set follows (PS3.7 §E.1).
const NO_DATA_SET: u16 = 0x0101;

pub(crate) const C_STORE_RQ: u16 = 0x0001;
pub(crate) const C_STORE_RSP: u16 = 0x8001;
pub(crate) const C_FIND_RQ: u16 = 0x0020;
pub(crate) const C_FIND_RSP: u16 = 0x8020;
pub(crate) const C_MOVE_RQ: u16 = 0x0021;
pub(crate) const C_MOVE_RSP: u16 = 0x8021;
pub(crate) const C_ECHO_RQ: u16 = 0x0030;
pub(crate) const C_ECHO_RSP: u16 = 0x8030;
pub(crate) const C_CANCEL_RQ: u16 = 0x0FFF;
pub(crate) const N_EVENT_REPORT_RQ: u16 = 0x0100;
pub(crate) const N_EVENT_REPORT_RSP: u16 = 0x8100;
pub(crate) const N_ACTION_RQ: u16 = 0x0130;
pub(crate) const N_ACTION_RSP: u16 = 0x8130;

const AFFECTED_SOP_CLASS: u16 = 0x0002;
const REQUESTED_SOP_CLASS: u16 = 0x0003;
const COMMAND_FIELD: u16 = 0x0100;
const MESSAGE_ID: u16 = 0x0110;
const MESSAGE_ID_RESPONDED_TO: u16 = 0x0120;
const MOVE_DESTINATION: u16 = 0x0600;
const PRIORITY: u16 = 0x0700;
const DATA_SET_TYPE: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const ERROR_COMMENT: u16 = 0x0902;
const AFFECTED_SOP_INSTANCE: u16 = 0x1000;
const REQUESTED_SOP_INSTANCE: u16 = 0x1001;
const EVENT_TYPE: u16 = 0x1002;
const ACTION_TYPE: u16 = 0x1008;
const REMAINING: u16 = 0x1020;
const COMPLETED: u16 = 0x1021;
const FAILED: u16 = 0x1022;
const WARNING: u16 = 0x1023;
const MOVE_ORIGINATOR: u16 = 0x1030;
const MOVE_ORIGINATOR_MESSAGE_ID: u16 = 0x1031;

/// A received command set.
#[derive(Debug)]
pub(crate) struct Command {
    elements: Vec<(u16, Bytes)>,
    /// Command Field (0000,0100).
    pub(crate) field: u16,
    /// Whether a data set follows.
    pub(crate) has_data_set: bool,
}

impl Command {
    /// Takes a complete command set apart.
    pub(crate) fn parse(mut bytes: Bytes) -> Result<Self, WireError> {
        let mut elements = Vec::new();
        while !bytes.is_empty() {
            let Some(header) = bytes.first_chunk::<8>() else {
                return Err(WireError::Malformed("command set ends inside an element"));
            };
            let group = u16::from_le_bytes([header[0], header[1]]);
            let element = u16::from_le_bytes([header[2], header[3]]);
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            let end = usize::try_from(length).ok().and_then(|length| length.checked_add(8));
            let Some(end) = end.filter(|end| *end <= bytes.len()) else {
                return Err(WireError::Malformed("command element is longer than its command set"));
            };
            let value = bytes.split_to(end).slice(8..);
            if group == 0 {
                elements.push((element, value));
            }
        }
        let mut command = Command { elements, field: 0, has_data_set: false };
        command.field = command
            .number(COMMAND_FIELD)
            .ok_or(WireError::Malformed("command set without a command field"))?;
        // Absent means none: nobody who sends a data set leaves the announcement out.
        command.has_data_set = command.number(DATA_SET_TYPE).is_some_and(|kind| kind != NO_DATA_SET);
        Ok(command)
    }

    /// Message ID (0000,0110).
    pub(crate) fn message_id(&self) -> Option<u16> {
        self.number(MESSAGE_ID)
    }

    /// Message ID Being Responded To (0000,0120).
    pub(crate) fn responded_to(&self) -> Option<u16> {
        self.number(MESSAGE_ID_RESPONDED_TO)
    }

    /// Status (0000,0900).
    pub(crate) fn status(&self) -> Option<DimseStatus> {
        self.number(STATUS).map(DimseStatus)
    }

    /// Error Comment (0000,0902), as far as it is printable.
    pub(crate) fn error_comment(&self) -> Option<String> {
        self.text(ERROR_COMMENT)
    }

    /// Affected SOP Class UID (0000,0002), unchecked.
    pub(crate) fn affected_sop_class(&self) -> Option<String> {
        self.text(AFFECTED_SOP_CLASS)
    }

    /// Affected SOP Instance UID (0000,1000), unchecked.
    pub(crate) fn affected_sop_instance(&self) -> Option<String> {
        self.text(AFFECTED_SOP_INSTANCE)
    }

    /// Requested SOP Class UID (0000,0003), unchecked.
    pub(crate) fn requested_sop_class(&self) -> Option<String> {
        self.text(REQUESTED_SOP_CLASS)
    }

    /// Requested SOP Instance UID (0000,1001), unchecked.
    pub(crate) fn requested_sop_instance(&self) -> Option<String> {
        self.text(REQUESTED_SOP_INSTANCE)
    }

    /// Event Type ID (0000,1002).
    pub(crate) fn event_type(&self) -> Option<u16> {
        self.number(EVENT_TYPE)
    }

    /// Action Type ID (0000,1008).
    pub(crate) fn action_type(&self) -> Option<u16> {
        self.number(ACTION_TYPE)
    }

    /// Move Originator AE Title (0000,1030) and Message ID (0000,1031): set on a C-STORE that serves a C-MOVE.
    pub(crate) fn move_originator(&self) -> Option<(AeTitle, u16)> {
        let title = self.text(MOVE_ORIGINATOR)?.parse().ok()?;
        Some((title, self.number(MOVE_ORIGINATOR_MESSAGE_ID)?))
    }

    /// Numbers of remaining, completed, failed and warning sub-operations (0000,1020 to 0000,1023).
    pub(crate) fn sub_operations(&self) -> [Option<u16>; 4] {
        [REMAINING, COMPLETED, FAILED, WARNING].map(|element| self.number(element))
    }

    fn value(&self, element: u16) -> Option<&Bytes> {
        self.elements.iter().find(|(found, _)| *found == element).map(|(_, value)| value)
    }

    fn number(&self, element: u16) -> Option<u16> {
        self.value(element)?.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
    }

    fn text(&self, element: u16) -> Option<String> {
        let value = self.value(element)?;
        let printable: String =
            value.iter().filter(|byte| (0x20..0x7f).contains(*byte)).map(|byte| char::from(*byte)).collect();
        let trimmed = printable.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }
}

/// Builds a command set, elements in ascending order.
pub(crate) struct CommandWriter(Vec<u8>);

impl CommandWriter {
    fn new() -> Self {
        // Command Group Length (0000,0000) comes first; its value is known at the end.
        CommandWriter(vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    }

    fn number(mut self, element: u16, value: u16) -> Self {
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&element.to_le_bytes());
        self.0.extend_from_slice(&2u32.to_le_bytes());
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// `padding` is NUL for UIDs, a space for other text (PS3.5 §6.2).
    fn text(mut self, element: u16, value: &str, padding: u8) -> Self {
        let padded = value.len() + value.len() % 2;
        // UIDs have at most 64 characters, comments are cut to 64.
        let length = u32::try_from(padded).unwrap_or(0);
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&element.to_le_bytes());
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        if padded > value.len() {
            self.0.push(padding);
        }
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 12).unwrap_or(0);
        self.0[8..12].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

/// C-STORE-RQ (PS3.7 §9.3.1.1), medium priority, with a data set.
pub(crate) fn store_request(message_id: u16, sop_class: &str, sop_instance: &str) -> Vec<u8> {
    CommandWriter::new()
        .text(AFFECTED_SOP_CLASS, sop_class, 0)
        .number(COMMAND_FIELD, C_STORE_RQ)
        .number(MESSAGE_ID, message_id)
        .number(PRIORITY, 0)
        .number(DATA_SET_TYPE, 0x0001)
        .text(AFFECTED_SOP_INSTANCE, sop_instance, 0)
        .finish()
}

/// C-ECHO-RQ (PS3.7 §9.3.5.1).
pub(crate) fn echo_request(message_id: u16) -> Vec<u8> {
    CommandWriter::new()
        .text(AFFECTED_SOP_CLASS, crate::services::VERIFICATION, 0)
        .number(COMMAND_FIELD, C_ECHO_RQ)
        .number(MESSAGE_ID, message_id)
        .number(DATA_SET_TYPE, NO_DATA_SET)
        .finish()
}

/// C-FIND-RQ (PS3.7 §9.3.2.1), medium priority, with an identifier.
pub(crate) fn find_request(message_id: u16, class: &str) -> Vec<u8> {
    CommandWriter::new()
        .text(AFFECTED_SOP_CLASS, class, 0)
        .number(COMMAND_FIELD, C_FIND_RQ)
        .number(MESSAGE_ID, message_id)
        .number(PRIORITY, 0)
        .number(DATA_SET_TYPE, 0x0001)
        .finish()
}

/// C-MOVE-RQ (PS3.7 §9.3.4.1), medium priority, with an identifier.
pub(crate) fn move_request(message_id: u16, class: &str, destination: &AeTitle) -> Vec<u8> {
    CommandWriter::new()
        .text(AFFECTED_SOP_CLASS, class, 0)
        .number(COMMAND_FIELD, C_MOVE_RQ)
        .number(MESSAGE_ID, message_id)
        .text(MOVE_DESTINATION, destination.as_str(), b' ')
        .number(PRIORITY, 0)
        .number(DATA_SET_TYPE, 0x0001)
        .finish()
}

/// C-CANCEL-RQ (PS3.7 §9.3.2.3).
pub(crate) fn cancel_request(message_id: u16) -> Vec<u8> {
    CommandWriter::new()
        .number(COMMAND_FIELD, C_CANCEL_RQ)
        .number(MESSAGE_ID_RESPONDED_TO, message_id)
        .number(DATA_SET_TYPE, NO_DATA_SET)
        .finish()
}

/// The response to `request`, repeating what the standard wants repeated. A comment goes with failures.
pub(crate) fn response(request: &Command, status: DimseStatus, comment: Option<&str>) -> Vec<u8> {
    let mut writer = CommandWriter::new();
    if let Some(class) = request.affected_sop_class().or_else(|| request.requested_sop_class()) {
        writer = writer.text(AFFECTED_SOP_CLASS, class.get(..64).unwrap_or(&class), 0);
    }
    writer = writer
        .number(COMMAND_FIELD, request.field | 0x8000)
        .number(MESSAGE_ID_RESPONDED_TO, request.message_id().unwrap_or(0))
        .number(DATA_SET_TYPE, NO_DATA_SET)
        .number(STATUS, status.0);
    if let Some(comment) = comment.filter(|comment| !comment.is_empty()) {
        // LO: at most 64 characters. Our comments are plain ASCII.
        writer = writer.text(ERROR_COMMENT, comment.get(..64).unwrap_or(comment), b' ');
    }
    if let Some(instance) = request.affected_sop_instance().or_else(|| request.requested_sop_instance()) {
        writer = writer.text(AFFECTED_SOP_INSTANCE, instance.get(..64).unwrap_or(&instance), 0);
    }
    if let Some(event) = request.event_type() {
        writer = writer.number(EVENT_TYPE, event);
    }
    if let Some(action) = request.action_type() {
        writer = writer.number(ACTION_TYPE, action);
    }
    writer.finish()
}

/// N-ACTION-RQ (PS3.7 §10.3.5.1) with a data set.
pub(crate) fn action_request(message_id: u16, class: &str, instance: &str, action: u16) -> Vec<u8> {
    CommandWriter::new()
        .text(REQUESTED_SOP_CLASS, class, 0)
        .number(COMMAND_FIELD, N_ACTION_RQ)
        .number(MESSAGE_ID, message_id)
        .number(DATA_SET_TYPE, 0x0001)
        .text(REQUESTED_SOP_INSTANCE, instance, 0)
        .number(ACTION_TYPE, action)
        .finish()
}

/// N-EVENT-REPORT-RQ (PS3.7 §10.3.1.1) with a data set.
pub(crate) fn event_report_request(message_id: u16, class: &str, instance: &str, event: u16) -> Vec<u8> {
    CommandWriter::new()
        .text(AFFECTED_SOP_CLASS, class, 0)
        .number(COMMAND_FIELD, N_EVENT_REPORT_RQ)
        .number(MESSAGE_ID, message_id)
        .number(DATA_SET_TYPE, 0x0001)
        .text(AFFECTED_SOP_INSTANCE, instance, 0)
        .number(EVENT_TYPE, event)
        .finish()
}

/// One P-DATA-TF PDU with one PDV that holds a complete command set.
pub(crate) fn command_pdu(context: u8, command: &[u8]) -> Vec<u8> {
    let length = u32::try_from(command.len()).unwrap_or(u32::MAX - 6);
    let mut pdu = Vec::with_capacity(command.len() + 12);
    pdu.extend_from_slice(&[4, 0]);
    pdu.extend_from_slice(&(length + 6).to_be_bytes());
    pdu.extend_from_slice(&(length + 2).to_be_bytes());
    pdu.extend_from_slice(&[context, 0x03]);
    pdu.extend_from_slice(command);
    pdu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back() {
        let command = Command::parse(store_request(7, "1.2.3", "1.2.3.4.5").into()).unwrap();
        assert_eq!(command.field, C_STORE_RQ);
        assert_eq!(command.message_id(), Some(7));
        assert!(command.has_data_set);
        assert_eq!(command.affected_sop_class().as_deref(), Some("1.2.3"));
        assert_eq!(command.affected_sop_instance().as_deref(), Some("1.2.3.4.5"));
    }

    #[test]
    fn a_response_repeats_the_request_and_carries_the_comment() {
        let request = Command::parse(store_request(9, "1.2.3", "1.2.3.4").into()).unwrap();
        let response = response(&request, DimseStatus::OUT_OF_RESOURCES, Some("disk is full"));
        let response = Command::parse(response.into()).unwrap();
        assert_eq!(response.field, C_STORE_RSP);
        assert_eq!(response.responded_to(), Some(9));
        assert_eq!(response.status(), Some(DimseStatus::OUT_OF_RESOURCES));
        assert_eq!(response.error_comment().as_deref(), Some("disk is full"));
        assert!(!response.has_data_set);
    }

    #[test]
    fn a_declared_length_beyond_the_command_set_is_refused() {
        let mut bytes = echo_request(1);
        let at = bytes.len() - 6;
        bytes[at..at + 4].copy_from_slice(&0x7000_0000u32.to_le_bytes());
        assert!(matches!(Command::parse(bytes.into()), Err(WireError::Malformed(_))));
    }

    #[test]
    fn group_length_counts_what_follows_it() {
        let bytes = echo_request(1);
        assert_eq!(bytes[8..12], u32::try_from(bytes.len() - 12).unwrap().to_le_bytes());
    }
}
