//! Actions of the audit trail in words. One that is not known here is shown by its code.

/// Key of the words for a code.
pub fn action_word(code: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == code).map(|(_, key)| *key)
}

const WORDS: [(&str, &str); 35] = [
    ("send", "audit.send"),
    ("undo", "audit.undo"),
    ("recall", "audit.recall"),
    ("ask-back", "audit.ask-back"),
    ("offer-again", "audit.offer-again"),
    ("redirect", "audit.redirect"),
    ("forward", "audit.forward"),
    ("open", "audit.open"),
    ("import", "audit.import"),
    ("decline", "audit.decline"),
    ("deliver", "audit.deliver"),
    ("receipt-in-custody", "audit.receipt-in-custody"),
    ("receipt-in-pacs", "audit.receipt-in-pacs"),
    ("closed", "audit.closed"),
    ("erased", "audit.erased"),
    ("request-images", "audit.request-images"),
    ("request-withdraw", "audit.request-withdraw"),
    ("request-refuse", "audit.request-refuse"),
    ("request-put-aside", "audit.request-put-aside"),
    ("enrol", "audit.enrol"),
    ("renew certificate", "audit.renew"),
    ("import certificate", "audit.import-certificate"),
    ("rotate recipient key", "audit.rotate"),
    ("sign-in", "audit.sign-in"),
    ("password-changed", "audit.password-changed"),
    ("second-factor-set", "audit.second-factor-set"),
    ("second-factor-removed", "audit.second-factor-removed"),
    ("account-made", "audit.account-made"),
    ("roles-changed", "audit.roles-changed"),
    ("account-locked", "audit.account-locked"),
    ("account-unlocked", "audit.account-unlocked"),
    ("password-given", "audit.password-given"),
    ("account-removed", "audit.account-removed"),
    ("seen", "audit.seen"),
    ("audit-exported", "audit.audit-exported"),
];
