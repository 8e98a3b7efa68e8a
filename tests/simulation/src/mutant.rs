//! Rules broken on purpose, one at a time, to show that the checkers can fail.

/// A defect put into the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The portal answers before what it says is on its disk.
    PortalAnswersBeforeCommit,
    /// The portal does not ask who may move a Task where.
    PortalLetsAnybodyMove,
    /// The portal says that it has a part that it did not keep, and takes the commit all the same.
    PortalForgetsAPart,
    /// A box moves a transfer in one commit and writes what it has to tell in another.
    OutboxApartFromMove,
    /// A box keeps what it has to tell in memory.
    OutboxForgottenInCrash,
    /// A box notes that it has heard the news before it has written it down, and asks for no more after a start.
    MarkBeforeNews,
    /// A box tells receipt 1 before the parts are on its disk.
    ReceiptBeforeParts,
    /// A box takes a receipt for delivered that says *in custody*.
    ErasesAfterReceiptOne,
    /// A box draws a new name for a transfer whose making was not answered.
    NewIdAfterLostAnswer,
    /// A box does not note which instances the PACS has.
    DeliveryNotNoted,
    /// The ledger takes a move from a state that the transfer is not in.
    LedgerTakesStaleMoves,
    /// A box says *recalled* before the portal has agreed.
    RecalledBeforePortal,
    /// A box that restarts takes up nothing that was waiting for its time.
    DueForgottenInCrash,
    /// A box sends at once what it says can still be undone.
    LeavesWithinUndoWindow,
    /// The ledger takes one choice of an addressee for another.
    ChoicesMixedUp,
    /// A box says *erased* to a question before the keys are gone.
    ErasedToldTooSoon,
    /// A box answers by itself for what is in the PACS.
    AskedBackFromPacs,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 17] = [
        Mutant::PortalAnswersBeforeCommit,
        Mutant::PortalLetsAnybodyMove,
        Mutant::PortalForgetsAPart,
        Mutant::OutboxApartFromMove,
        Mutant::OutboxForgottenInCrash,
        Mutant::MarkBeforeNews,
        Mutant::ReceiptBeforeParts,
        Mutant::ErasesAfterReceiptOne,
        Mutant::NewIdAfterLostAnswer,
        Mutant::DeliveryNotNoted,
        Mutant::LedgerTakesStaleMoves,
        Mutant::RecalledBeforePortal,
        Mutant::DueForgottenInCrash,
        Mutant::LeavesWithinUndoWindow,
        Mutant::ChoicesMixedUp,
        Mutant::ErasedToldTooSoon,
        Mutant::AskedBackFromPacs,
    ];
}
