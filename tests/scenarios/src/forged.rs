//! Certificates that a story needs and nobody should issue.
