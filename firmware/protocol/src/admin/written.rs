//! What a front end has written into the audit trail: what happened there and not at the box itself.

use serde::{Deserialize, Serialize};

/// An act at a front end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WrittenAct {
    /// Somebody signed in.
    SignIn,
    /// The code on the label made the first account.
    BoxClaimed,
    /// Somebody changed his or her own password.
    PasswordChanged,
    /// Somebody set or changed his or her own second factor.
    SecondFactorSet,
    /// A second factor was taken away.
    SecondFactorRemoved,
    /// An account was made.
    AccountMade,
    /// What an account may do was changed.
    RolesChanged,
    /// An account was locked.
    AccountLocked,
    /// A locked account was let in again.
    AccountUnlocked,
    /// An account was given another password.
    PasswordGiven,
    /// An account was taken away.
    AccountRemoved,
    /// Somebody looked at a patient's transfer.
    Seen,
    /// Somebody read the audit trail.
    AuditRead,
    /// Somebody took a copy of the audit trail.
    AuditExported,
}

impl WrittenAct {
    /// As it stands in the audit trail.
    pub fn code(self) -> &'static str {
        match self {
            WrittenAct::SignIn => "sign-in",
            WrittenAct::BoxClaimed => "box-claimed",
            WrittenAct::PasswordChanged => "password-changed",
            WrittenAct::SecondFactorSet => "second-factor-set",
            WrittenAct::SecondFactorRemoved => "second-factor-removed",
            WrittenAct::AccountMade => "account-made",
            WrittenAct::RolesChanged => "roles-changed",
            WrittenAct::AccountLocked => "account-locked",
            WrittenAct::AccountUnlocked => "account-unlocked",
            WrittenAct::PasswordGiven => "password-given",
            WrittenAct::AccountRemoved => "account-removed",
            WrittenAct::Seen => "seen",
            WrittenAct::AuditRead => "audit-read",
            WrittenAct::AuditExported => "audit-exported",
        }
    }
}
