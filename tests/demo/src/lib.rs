//! Two hospitals on one machine, for the demo and for the scenarios: portal, boxes with their web pages, and PACS as
//! processes of their own, kept running, in a folder from which everything goes on after a restart.

// Programs that run beside us and are started again when they die.
pub mod child;
// A voice at a box's admin socket.
pub mod desk;
// The portal and the two hospitals.
pub mod hospital;
// One study, all the way.
pub mod journey;
// A real Orthanc as PACS.
pub mod orthanc;
// The authorities and keys.
pub mod pki;
// Where everything lies.
pub mod place;
// The programs, built.
pub mod programs;
