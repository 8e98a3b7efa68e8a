//! What several tests, and the fuzz targets, hand to the node.

use beeldbox_protocol::ident::TransactionUid;
use bytes::Bytes;

use crate::commitment::{CommitmentRequest, CommitmentResult};
use crate::instance::InstanceHeader;
use crate::intake::{AssociationInfo, Intake, IntakeAssociation, Refusal};

/// Takes everything and forgets it.
pub(crate) struct Nobody;

impl Intake for Nobody {
    type Association = Nobody;

    async fn open(&self, _info: &AssociationInfo) -> Result<Nobody, Refusal> {
        Ok(Nobody)
    }

    async fn commitment_result(
        &self,
        _info: &AssociationInfo,
        _result: CommitmentResult,
    ) -> Result<(), Refusal> {
        Ok(())
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

    async fn commit(&mut self, request: CommitmentRequest) -> Result<CommitmentResult, Refusal> {
        Ok(CommitmentResult {
            transaction: request.transaction,
            committed: request.items,
            failed: Vec::new(),
        })
    }

    async fn commitment_told(&mut self, _transaction: TransactionUid) {}

    async fn close(self) {}
}
