//! From a message to a report: ORU^R01 as it is sent, not as it is specified.
//!
//! ```text
//!   PID ─▶ a patient │ ORC, OBR ─▶ an order │ OBX ─▶ an observation, or more of the document before │ NTE ─▶ a note
//!                    │ ZDS, IPC ─▶ numbers of the order
//! ```
//!
//! Other segments are passed over. A document that cannot be read refuses the whole message: who sent it then knows, and
//! still has it. HL7 v2.5.1 §7.3.1.

use beeldbox_protocol::clinical::{Confidential, PatientIdentifier};

use crate::document::Encoded;
use crate::fault::ContentError;
use crate::message::{Message, Segment, Value};
use crate::person::PersonName;
use crate::remark::{Place, Remark};
use crate::result::{
    Coded, Content, Header, NumberPlace, Observation, OrderNumber, Party, PatientResult, Reference,
    ReportPatient, ReportedOrder, ResultMessage, ValueKind,
};
use crate::status::{ObservationStatus, ReportStatus};
use crate::time::PointInTime;

/// Codes of OBX-3 whose value is the Study Instance UID: DICOM's "DICOM Study" and "Study Instance UID".
const STUDY_CODES: [&str; 2] = ["113014", "110180"];

impl ResultMessage {
    /// Reads ORU^R01.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub fn read(message: &Message) -> Result<Self, ContentError> {
        let (kind, event) = message.kind();
        if kind != "ORU" || !matches!(event, "R01" | "") {
            return Err(ContentError::WrongKind);
        }
        // Characters that are never written again are no id: nobody could answer to it.
        if message.control_id().chars().all(|letter| letter.is_control() || letter.is_whitespace()) {
            return Err(ContentError::NoControlId);
        }
        if message.continues_at().is_some() {
            return Err(ContentError::Continued);
        }
        let mut reader = Reader { remarks: message.remarks().to_vec(), ..Reader::default() };
        let at = message.segments().next().and_then(|header| reader.time(&Located::first(header), 7));
        for segment in message.segments().skip(1) {
            reader.take(segment)?;
        }
        reader.end_document()?;
        let Reader { results, remarks, .. } = reader;
        if results.is_empty() {
            return Err(ContentError::SegmentMissing { segment: "PID" });
        }
        if results.iter().any(|result| result.orders.is_empty()) {
            return Err(ContentError::SegmentMissing { segment: "OBR" });
        }
        if !results.iter().flat_map(|result| &result.orders).any(says_something) {
            return Err(ContentError::NothingReported);
        }
        Ok(ResultMessage { header: header(message, at), results, remarks })
    }
}

/// A report without content says something only if it says that there is none.
fn says_something(order: &ReportedOrder) -> bool {
    let has_content = order.observations.iter().any(|one| {
        one.content != Content::Empty
            || !one.notes.is_empty()
            || matches!(one.status, ObservationStatus::Withdrawn | ObservationStatus::Unavailable)
    });
    match order.order_status {
        Some(ReportStatus::NoResult | ReportStatus::Cancelled) => true,
        Some(
            ReportStatus::Preliminary | ReportStatus::Final | ReportStatus::Amended | ReportStatus::Unstated,
        )
        | None => has_content || !order.notes.is_empty(),
    }
}

pub(crate) fn header(message: &Message, at: Option<PointInTime>) -> Header {
    let party = |field: usize| Party {
        application: message.header_field(field).component(1).text(),
        facility: message.header_field(field + 1).component(1).text(),
    };
    Header {
        sender: party(3),
        receiver: party(5),
        at,
        control_id: message.header_field(10).text(),
        processing: message.header_field(11).component(1).text(),
        version: message.header_field(12).component(1).text(),
    }
}

/// PID as data; also of an answer to a query.
pub(crate) fn patient(segment: Segment<'_>, remarks: &mut Vec<Remark>, occurrence: usize) -> ReportPatient {
    let numbers =
        [3, 2, 4].into_iter().flat_map(|field| segment.field(field).repetitions().collect::<Vec<_>>());
    let mut identifiers: Vec<PatientIdentifier> = Vec::new();
    for identifier in numbers.filter_map(identifier) {
        if !identifiers.contains(&identifier) {
            identifiers.push(identifier);
        }
    }
    if identifiers.is_empty() {
        remarks.push(Remark::NoPatientNumber);
    }
    let mut names = Vec::new();
    let repetitions = segment.field(5).repetitions().collect::<Vec<_>>();
    names.extend(repetitions.into_iter().filter_map(|name| PersonName::read(name, 1)));
    let located = Located { segment, occurrence };
    let birth_date = located.time(7, remarks);
    located.check_escapes(5, remarks);
    ReportPatient {
        identifiers,
        names,
        birth_date,
        sex: Confidential::new(segment.field(8).component(1).text()),
    }
}

/// CX: number, assigning authority (namespace and universal id), type (§2.A.14).
fn identifier(value: Value<'_>) -> Option<PatientIdentifier> {
    let id = value.component(1).text();
    let authority = value.component(4);
    let some = |value: Value<'_>| Some(value.text()).filter(|text| !text.is_empty()).map(Confidential::new);
    (!id.is_empty()).then(|| PatientIdentifier {
        id: Confidential::new(id),
        issuer: some(authority.subcomponent(1)),
        universal_id: some(authority.subcomponent(2)),
        type_code: some(value.component(5)),
    })
}

fn coded(value: Value<'_>) -> Coded {
    // Section suffixes of radiology are subcomponents of the code: `71020&IMP`.
    let code = Confidential::new(value.component(1).text());
    Coded { code, text: Confidential::new(value.component(2).text()), system: value.component(3).text() }
}

/// A segment, and which of its name it is.
struct Located<'a> {
    segment: Segment<'a>,
    occurrence: usize,
}

impl<'a> Located<'a> {
    fn first(segment: Segment<'a>) -> Self {
        Located { segment, occurrence: 1 }
    }

    fn place(&self, field: usize) -> Place {
        Place::new(self.segment.name(), self.occurrence, field)
    }

    fn time(&self, field: usize, remarks: &mut Vec<Remark>) -> Option<PointInTime> {
        let value = self.segment.field(field).component(1);
        if value.is_empty() {
            return None;
        }
        let time = value.raw().parse().ok();
        if time.is_none() {
            remarks.push(Remark::UnreadableTime { place: self.place(field) });
        }
        time
    }

    /// Remarks escape sequences that nobody knows.
    fn check_escapes(&self, field: usize, remarks: &mut Vec<Remark>) {
        if self.segment.field(field).formatted().unknown > 0 {
            remarks.push(Remark::UnknownEscape { place: self.place(field) });
        }
    }
}

/// A document whose data may go on in the next OBX.
struct OpenDocument {
    encoded: Encoded,
    observation: Observation,
    place: Place,
    in_text: bool,
}

/// Everything so far.
#[derive(Default)]
struct Reader {
    results: Vec<PatientResult>,
    remarks: Vec<Remark>,
    /// How many PID, OBR and OBX there were.
    counts: [usize; 3],
    /// Whether an order was begun by ORC and waits for its OBR.
    awaits_request: bool,
    open: Option<OpenDocument>,
}

impl Reader {
    fn take(&mut self, segment: Segment<'_>) -> Result<(), ContentError> {
        match segment.name() {
            "OBX" => return self.observation(segment),
            "NTE" => {
                self.note(segment);
                return Ok(());
            }
            _ => self.end_document()?,
        }
        match segment.name() {
            "PID" => {
                self.counts[0] += 1;
                let patient = patient(segment, &mut self.remarks, self.counts[0]);
                self.results.push(PatientResult { patient, orders: Vec::new() });
                self.awaits_request = false;
            }
            "ORC" => {
                let order = self.begin_order("ORC", 1)?;
                add_numbers(order, segment, &[(NumberPlace::Filler, 3), (NumberPlace::Placer, 2)]);
                self.awaits_request = true;
            }
            "OBR" => self.request(segment)?,
            "ZDS" => self.study(Located::first(segment), 1),
            "IPC" => {
                if let Some(order) = self.order() {
                    add_numbers(order, segment, &[(NumberPlace::AccessionIdentifier, 1)]);
                }
                self.study(Located::first(segment), 3);
            }
            // Visits, queries, software, and segments of one's own: nothing of a report.
            _ => {}
        }
        Ok(())
    }

    fn order(&mut self) -> Option<&mut ReportedOrder> {
        self.results.last_mut()?.orders.last_mut()
    }

    fn begin_order(
        &mut self,
        segment: &'static str,
        occurrence: usize,
    ) -> Result<&mut ReportedOrder, ContentError> {
        let place = Place::segment(segment, occurrence);
        let result = self.results.last_mut().ok_or(ContentError::OutOfOrder { place: place.clone() })?;
        result.orders.push(ReportedOrder::default());
        result.orders.last_mut().ok_or(ContentError::OutOfOrder { place })
    }

    fn time(&mut self, located: &Located<'_>, field: usize) -> Option<PointInTime> {
        located.time(field, &mut self.remarks)
    }

    fn request(&mut self, segment: Segment<'_>) -> Result<(), ContentError> {
        self.counts[1] += 1;
        let located = Located { segment, occurrence: self.counts[1] };
        let performed_at = self.time(&located, 7);
        let reported_at = self.time(&located, 22);
        let code = segment.field(25).text();
        let order_status = ReportStatus::read(&code);
        if order_status.is_none() {
            self.remarks.push(Remark::UnknownStatus { place: located.place(25) });
        }
        if !self.awaits_request {
            self.begin_order("OBR", located.occurrence)?;
        }
        self.awaits_request = false;
        let Some(order) = self.order() else { return Ok(()) };
        let places = [(NumberPlace::PlacerField, 18), (NumberPlace::Filler, 3), (NumberPlace::Placer, 2)];
        add_numbers(order, segment, &places);
        order.service = coded(segment.field(4));
        (order.performed_at, order.reported_at, order.order_status) =
            (performed_at, reported_at, order_status);
        order.ordered_by = segment.field(16).repetitions().next().and_then(|name| PersonName::read(name, 2));
        order.author = segment.field(32).repetitions().next().and_then(responsible);
        Ok(())
    }

    /// The study of the order, where one stands.
    fn study(&mut self, located: Located<'_>, field: usize) {
        let value = located.segment.field(field).component(1).text();
        if value.is_empty() {
            return;
        }
        match value.parse() {
            Ok(study) => {
                if let Some(order) = self.order() {
                    order.study.get_or_insert(study);
                }
            }
            Err(_) => self.remarks.push(Remark::UnreadableStudyUid { place: located.place(field) }),
        }
    }

    fn observation(&mut self, segment: Segment<'_>) -> Result<(), ContentError> {
        self.counts[2] += 1;
        let located = Located { segment, occurrence: self.counts[2] };
        if self.order().is_none() {
            return Err(ContentError::OutOfOrder { place: Place::segment("OBX", located.occurrence) });
        }
        let identifier = coded(segment.field(3));
        if STUDY_CODES.contains(&identifier.code.reveal()) {
            self.end_document()?;
            self.study(located, 5);
            return Ok(());
        }
        let status = ObservationStatus::read(&segment.field(11).text());
        if status.is_none() {
            self.remarks.push(Remark::UnknownStatus { place: located.place(11) });
        }
        let unit = coded(segment.field(6));
        let observation = Observation {
            identifier,
            sub_id: segment.field(4).text(),
            content: Content::Empty,
            unit: unit.label().clone(),
            range: Confidential::new(segment.field(7).text()),
            flag: Confidential::new(first(segment.field(8)).component(1).text()),
            // What is unknown is not verified.
            status: status.unwrap_or(ObservationStatus::Preliminary),
            at: self.time(&located, 14),
            notes: Vec::new(),
        };
        self.content(&located, observation)
    }

    fn content(&mut self, located: &Located<'_>, observation: Observation) -> Result<(), ContentError> {
        let field = located.segment.field(5);
        let kind = located.segment.field(2).raw();
        let values: Vec<Value<'_>> = field.repetitions().filter(|value| !value.is_empty()).collect();
        let value_kind = match kind {
            "NM" => Some(ValueKind::Number),
            "DT" => Some(ValueKind::Date),
            "TM" => Some(ValueKind::Time),
            "TS" | "DTM" => Some(ValueKind::DateTime),
            _ => None,
        };
        if kind == "ED" && !values.is_empty() {
            return self.document(located, observation, &values);
        }
        if values.is_empty() {
            self.end_document()?;
            self.push(Observation { content: Content::Empty, ..observation });
            return Ok(());
        }
        let contents: Vec<Content> = match kind {
            "CE" | "CWE" | "CNE" | "CF" => values.iter().map(|value| Content::Coded(coded(*value))).collect(),
            "RP" => values.iter().map(|value| Content::Reference(reference(*value))).collect(),
            _ => match value_kind {
                Some(known) => {
                    let one = |value: &Value<'_>| Content::Value(known, Confidential::new(value.text()));
                    values.iter().map(one).collect()
                }
                None => return self.text(located, observation, &values),
            },
        };
        self.end_document()?;
        for content in contents {
            self.push(Observation { content, ..observation.clone() });
        }
        Ok(())
    }

    /// TX, FT, ST, SN, and everything unknown.
    fn text(
        &mut self,
        located: &Located<'_>,
        observation: Observation,
        values: &[Value<'_>],
    ) -> Result<(), ContentError> {
        let kind = located.segment.field(2).raw();
        if !matches!(kind, "TX" | "FT" | "ST" | "SN") {
            self.remarks.push(Remark::UnknownValueType { place: located.place(2) });
        }
        if matches!(kind, "TX" | "FT") && !observation.unit.is_empty() {
            self.remarks.push(Remark::UnitOfText { place: located.place(6) });
        }
        let mut unknown = 0;
        let lines = values.iter().map(|value| {
            if kind == "SN" {
                return (1..=4).map(|number| value.component(number).text()).collect();
            }
            let unescaped = value.formatted();
            unknown += unescaped.unknown;
            unescaped.text
        });
        let text = lines.collect::<Vec<String>>().join("\n");
        if unknown > 0 {
            self.remarks.push(Remark::UnknownEscape { place: located.place(5) });
        }
        if let Some(open) = &mut self.open
            && open.in_text
            && open.observation.identifier == observation.identifier
            && open.encoded.push_line(text.trim())
        {
            return Ok(());
        }
        self.end_document()?;
        match Encoded::from_text(&text) {
            Some(encoded) => {
                let place = located.place(5);
                self.remarks.push(Remark::DocumentAsText { place: place.clone() });
                self.open = Some(OpenDocument { encoded, observation, place, in_text: true });
            }
            None => {
                let content = Content::Text(Confidential::new(text));
                self.push(Observation { content, ..observation });
            }
        }
        Ok(())
    }

    /// ED: a document, or more of the one before.
    fn document(
        &mut self,
        located: &Located<'_>,
        observation: Observation,
        values: &[Value<'_>],
    ) -> Result<(), ContentError> {
        for value in values {
            // Some send nothing but the data.
            let is_bare = value.component(2).raw().is_empty() && value.after_components(4).is_empty();
            let data = if is_bare { *value } else { value.after_components(4) };
            let data = data.formatted().text;
            if let Some(open) = &mut self.open
                && open.observation.identifier == observation.identifier
                && !Encoded::begins_anew(&data)
            {
                open.encoded.push(&data);
                continue;
            }
            self.end_document()?;
            let place = located.place(5);
            let part = |number: usize| if is_bare { "" } else { value.component(number).raw() };
            let encoded = Encoded::new(part(2), part(3), part(4), &data)
                .map_err(|source| ContentError::Document { place: place.clone(), source })?;
            let observation = observation.clone();
            self.open = Some(OpenDocument { encoded, observation, place, in_text: false });
        }
        Ok(())
    }

    fn end_document(&mut self) -> Result<(), ContentError> {
        let Some(OpenDocument { encoded, observation, place, .. }) = self.open.take() else { return Ok(()) };
        let (document, as_declared) =
            encoded.finish().map_err(|source| ContentError::Document { place: place.clone(), source })?;
        if !as_declared {
            self.remarks.push(Remark::MisdeclaredDocument { place });
        }
        self.push(Observation { content: Content::Document(document), ..observation });
        Ok(())
    }

    fn push(&mut self, observation: Observation) {
        if let Some(order) = self.order() {
            order.observations.push(observation);
        }
    }

    /// A note belongs to what stands before it. One on a patient, before any order, is no part of a report.
    fn note(&mut self, segment: Segment<'_>) {
        let lines: Vec<String> = segment.field(3).repetitions().map(|line| line.formatted().text).collect();
        let note = Confidential::new(lines.join("\n"));
        if note.is_empty() {
            return;
        }
        if let Some(open) = &mut self.open {
            open.observation.notes.push(note);
        } else if let Some(order) = self.order() {
            match order.observations.last_mut() {
                Some(observation) => observation.notes.push(note),
                None => order.notes.push(note),
            }
        }
    }
}

fn first(value: Value<'_>) -> Value<'_> {
    value.repetitions().next().unwrap_or(value)
}

/// RP: pointer, application, type of data, subtype (§2.A.65).
fn reference(value: Value<'_>) -> Reference {
    let kind = [value.component(3).text(), value.component(4).text()];
    Reference {
        pointer: Confidential::new(value.component(1).text()),
        application: value.component(2).component(1).text(),
        kind: kind.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/"),
    }
}

/// OBR-32: NDL, whose first component is a name of subcomponents (§2.A.45); many write XCN there instead.
fn responsible(value: Value<'_>) -> Option<PersonName> {
    let name = value.component(1);
    let part = |number: usize| Confidential::new(name.subcomponent(number).text());
    if name.subcomponent(2).is_empty() && name.subcomponent(3).is_empty() {
        return PersonName::read(value, 2);
    }
    Some(PersonName {
        family: part(2),
        given: part(3),
        further: part(4),
        suffix: part(5),
        prefix: part(6),
        ..PersonName::default()
    })
}

/// Adds what stands in these fields, in the order in which it is to be believed.
fn add_numbers(order: &mut ReportedOrder, segment: Segment<'_>, places: &[(NumberPlace, usize)]) {
    for (place, field) in places {
        let value = first(segment.field(*field));
        let number = Confidential::new(value.component(1).text());
        let authority = Confidential::new(value.component(2).text());
        let known = order.numbers.iter_mut().find(|known| known.number == number);
        match known {
            _ if number.is_empty() => {}
            Some(known) => known.place = known.place.min(*place),
            None => order.numbers.push(OrderNumber { place: *place, number, authority }),
        }
    }
    order.numbers.sort_by_key(|number| number.place);
}
