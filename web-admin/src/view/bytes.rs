//! Amounts of data: decimal units, as disks and networks are sold, with two significant figures.

use crate::lang::{Lang, Words};

/// An amount for a person: `338 MB`, `1,2 GB`.
pub fn amount(bytes: u64, words: Words) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let whole = bytes / size;
            let tenth = bytes % size * 10 / size;
            let mark = match words.lang() {
                Lang::Nl => ',',
                Lang::En => '.',
            };
            let text =
                if whole < 10 && tenth > 0 { format!("{whole}{mark}{tenth}") } else { whole.to_string() };
            return format!("{text}\u{a0}{unit}");
        }
    }
    format!("{bytes}\u{a0}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let nl = Lang::Nl.words();
        assert_eq!(amount(338_400_000, nl), "338\u{a0}MB");
        assert_eq!(amount(1_250_000_000, nl), "1,2\u{a0}GB");
        assert_eq!(amount(1_250_000_000, Lang::En.words()), "1.2\u{a0}GB");
        assert_eq!(amount(999, nl), "999\u{a0}B");
    }
}
