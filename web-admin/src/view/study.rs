//! What a study is: description, date, modality, counts.

use beeldbox_protocol::clinical::StudySummary;

use crate::lang::Words;
use crate::view::text::clean;
use crate::view::{bytes, date};

/// One study in words.
#[derive(Debug, Clone)]
pub struct StudyView {
    /// Kinds of images, as chips.
    pub modalities: Vec<String>,
    /// What was done, or that nothing is said about it.
    pub description: String,
    /// Day and time of the study.
    pub date: String,
    /// The day for `datetime`.
    pub iso: String,
    /// Series, images and size: `4 series · 640 beelden · 338 MB`.
    pub counts: String,
}

impl StudyView {
    /// From what the daemon says.
    pub fn new(summary: &StudySummary, words: Words) -> StudyView {
        let day = summary.date.as_deref().and_then(date::parse_day);
        let time = summary.time.as_deref().and_then(date::parse_time).unwrap_or_default();
        let described = summary.description.as_ref().map(|text| clean(text.reveal()));
        StudyView {
            modalities: summary.modalities.iter().map(|m| clean(m)).filter(|m| !m.is_empty()).collect(),
            description: described
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| words.t("study.no-description")),
            date: match day {
                Some(day) => format!("{} {time}", date::day(day, words)).trim_end().to_owned(),
                None => words.t("study.no-date"),
            },
            iso: day.map(|day| day.to_string()).unwrap_or_default(),
            counts: format!(
                "{} · {} · {}",
                words.n("study.series", summary.series.into()),
                words.n("study.images", summary.instances.into()),
                bytes::amount(summary.size_bytes, words)
            ),
        }
    }
}
