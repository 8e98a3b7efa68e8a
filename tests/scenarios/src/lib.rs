//! What the stories in `tests/` share: two hospitals with the real programs, words for what people and machines do
//! there, and one way to end. A verb that cannot do its work panics and tells the state of everything.

// An authority for DICOM TLS, and the certificates of peers.
pub mod dicom_cards;
// How a story ends: counts per state, and what is in the PACS.
pub mod ending;
// Tools of others: DCMTK, Python's pydicom and pynetdicom, Orthanc.
pub mod foreign;
// A PACS of somebody else at Zuid.
pub mod foreign_pacs;
// A FHIR server of somebody else.
pub mod foreign_directory;
// Certificates that a story needs and nobody should issue.
pub mod forged;
// Peers that mean no good.
pub mod hostile;
// The line to the portal, in our hands.
pub mod narrow_line;
// A directory that is not the portal's, and may misbehave.
pub mod odd_directory;
// Stories with DICOM settings of their own, and what is sent to other names and ports.
pub mod own_settings;
// Two hospitals, a portal, and verbs.
pub mod two_hospitals;
