//! What is known of an instance when its first bytes have come in.

use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::ident::{
    AeTitle, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid,
};

/// Identity and description of an instance on its way in.
///
/// SOP class and instance are those of the C-STORE request: they are the identity, whatever the data set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceHeader {
    /// Affected SOP Class UID (0000,0002).
    pub sop_class: SopClassUid,
    /// Affected SOP Instance UID (0000,1000).
    pub sop_instance: SopInstanceUid,
    /// The transfer syntax agreed for the presentation context.
    pub transfer_syntax: TransferSyntaxUid,
    /// Study Instance UID (0020,000D), if it was found in the first MiB.
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID (0020,000E), if it was found in the first MiB.
    pub series: Option<SeriesInstanceUid>,
    /// Whether the data set names another instance than the request, which the policy of the peer allowed.
    pub names_differ: bool,
    /// Who asked for this instance by C-MOVE, and the Message ID of that request (0000,1030 and 0000,1031); `None` if it
    /// was sent unasked.
    pub move_originator: Option<(AeTitle, u16)>,
    /// The patient and the study, as far as they were found.
    pub attributes: InstanceAttributes,
}
