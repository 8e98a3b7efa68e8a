//! What several tests, and the fuzz targets, hand to the node.

use bytes::Bytes;

use crate::instance::InstanceHeader;
use crate::intake::{AssociationInfo, Intake, IntakeAssociation, Refusal};

/// Takes everything and forgets it.
pub(crate) struct Nobody;

impl Intake for Nobody {
    type Association = Nobody;

    async fn open(&self, _info: &AssociationInfo) -> Result<Nobody, Refusal> {
        Ok(Nobody)
    }
}

impl IntakeAssociation for Nobody {
    type Proof = ();

    async fn begin(&mut self, _header: InstanceHeader) -> Result<(), Refusal> {
        Ok(())
    }

    async fn write(&mut self, _chunk: Bytes) -> Result<(), Refusal> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn abandon(&mut self) {}

    async fn close(self) {}
}
