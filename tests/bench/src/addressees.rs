//! The address book: building and searching it with as many entries as a country has.
//!
//! The entries are invented in the manner of Dutch registers: hospitals with departments at several sites, and people
//! with particles in their names. Queries are what a person types on the way to an entry: beginnings of one to three of
//! its words, in any order; among them single letters, which find most.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use beeldbox_protocol::portal::directory::{BOX_CONNECTION, Directory, DirectoryBuilder, Kind};
use beeldbox_protocol::portal::fhir::{RECIPIENT_KEY_EXTENSION, URA_SYSTEM};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Entries that a page of options shows.
const SHOWN: usize = 12;
/// Departments of one organisation.
const DEPARTMENTS: usize = 6;
/// Of a hundred entries so many are organisations; each has its departments, the rest are people.
const ORGANISATIONS_OF_100: usize = 2;
/// Bytes of a signed key with its chain.
const STATEMENT: usize = 5000;

const KINDS: [&str; 8] = [
    "Ziekenhuis",
    "Medisch Centrum",
    "Universitair Medisch Centrum",
    "Streekziekenhuis",
    "Kliniek",
    "Sint",
    "Gezondheidscentrum",
    "Huisartsenpraktijk",
];
const NAMES: [&str; 24] = [
    "Anna",
    "Franciscus",
    "Elisabeth",
    "Antonius",
    "IJsselland",
    "Rijnstate",
    "Zuyderland",
    "Maasstad",
    "Amstelland",
    "Haaglanden",
    "Groene Hart",
    "Gelre",
    "Deventer",
    "Noordwest",
    "Reinier",
    "Spaarne",
    "Tergooi",
    "Treant",
    "Wilhelmina",
    "Bravis",
    "Catharina",
    "Jeroen",
    "Laurentius",
    "Viecuri",
];
const TOWNS: [&str; 24] = [
    "Amsterdam",
    "Rotterdam",
    "Den Haag",
    "Utrecht",
    "Eindhoven",
    "Groningen",
    "Tilburg",
    "Almere",
    "Breda",
    "Nijmegen",
    "Apeldoorn",
    "Arnhem",
    "Haarlem",
    "Enschede",
    "Zaandam",
    "'s-Hertogenbosch",
    "Zwolle",
    "Leiden",
    "Dordrecht",
    "Ede",
    "Emmen",
    "Venlo",
    "Delft",
    "IJmuiden",
];
const WORK: [&str; 12] = [
    "Radiologie",
    "Cardiologie",
    "Neurologie",
    "Spoedeisende hulp",
    "Chirurgie",
    "Orthopedie",
    "Longziekten",
    "Nucleaire geneeskunde",
    "Radiotherapie",
    "Mammapolikliniek",
    "Röntgen",
    "Keel-, neus- en oorheelkunde",
];
const FAMILIES: [&str; 24] = [
    "de Jong",
    "Jansen",
    "de Vries",
    "van den Berg",
    "van Dijk",
    "Bakker",
    "Janssen",
    "Visser",
    "Smit",
    "Meijer",
    "de Boer",
    "Mulder",
    "de Groot",
    "Bos",
    "Vos",
    "Peters",
    "Hendriks",
    "van Leeuwen",
    "Dekker",
    "Brouwer",
    "de Wit",
    "Dijkstra",
    "van 't Hof",
    "Ünal",
];

/// What was measured.
struct Measured {
    entries: usize,
    build: Duration,
    index_bytes: usize,
    statement_bytes: usize,
    resident_bytes: u64,
    peak_bytes: u64,
    times: Vec<Duration>,
}

/// Makes so many entries, searches so often, and prints what it took.
///
/// # Errors
/// If the directory is not what it should be.
pub fn measure(entries: usize, queries: usize, as_json: bool) -> Result<()> {
    let mut dice = Dice(7);
    let before = resident("VmRSS")?;
    let (directory, build) = make(entries, &mut dice)?;
    let resident_bytes = resident("VmRSS")?.saturating_sub(before);
    let mut times = Vec::with_capacity(queries);
    let mut found = 0;
    for _ in 0..queries {
        let query = query(&mut dice);
        let begun = Instant::now();
        let options = directory.search(&query, SHOWN);
        times.push(begun.elapsed());
        found += usize::from(!options.is_empty());
    }
    ensure!(found > queries / 2, "most queries find somebody; these did not");
    times.sort_unstable();
    let (index_bytes, statement_bytes) = directory.memory();
    let peak_bytes = resident("VmHWM")?;
    let entries = directory.entries();
    print(
        &Measured { entries, build, index_bytes, statement_bytes, resident_bytes, peak_bytes, times },
        as_json,
    );
    Ok(())
}

fn print(measured: &Measured, as_json: bool) {
    let at = |percent: usize| {
        let at = (measured.times.len() * percent / 100).min(measured.times.len().saturating_sub(1));
        measured.times.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    let (p50, p95, p99, worst) = (at(50), at(95), at(99), at(100));
    if as_json {
        println!(
            "{}",
            json!({
                "entries": measured.entries, "build_ms": measured.build.as_secs_f64() * 1e3,
                "bytes": measured.index_bytes, "statement_bytes": measured.statement_bytes,
                "resident_bytes": measured.resident_bytes, "peak_resident_bytes": measured.peak_bytes,
                "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "worst_ms": worst,
            })
        );
        return;
    }
    println!("{} entries, put together in {:.2} s", measured.entries, measured.build.as_secs_f64());
    println!(
        "held: {} bytes ({} per entry), and {} bytes of signed keys; resident {} more, {} at most",
        measured.index_bytes,
        measured.index_bytes / measured.entries.max(1),
        measured.statement_bytes,
        measured.resident_bytes,
        measured.peak_bytes,
    );
    println!(
        "{} searches: p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms",
        measured.times.len()
    );
}

/// Gives the directory and how long it took to put together, without the making of the resources.
fn make(entries: usize, dice: &mut Dice) -> Result<(Directory, Duration)> {
    let mut builder = DirectoryBuilder::new(Timestamp::UNIX_EPOCH);
    let mut spent = Duration::ZERO;
    let organisations = (entries * ORGANISATIONS_OF_100).div_ceil(100);
    let mut add = |kind: Kind, resource: Value| -> Result<()> {
        let text = resource.to_string();
        let begun = Instant::now();
        builder.add(kind, &text).context("a resource that was made here")?;
        spent += begun.elapsed();
        Ok(())
    };
    for number in 0..organisations {
        organisation(number, dice, &mut add)?;
    }
    let people = entries.saturating_sub(organisations * (1 + DEPARTMENTS));
    for number in 0..people {
        person(number, organisations, dice, &mut add)?;
    }
    let begun = Instant::now();
    let directory = builder.build();
    ensure!(directory.entries() == organisations * (1 + DEPARTMENTS) + people, "an entry is missing");
    Ok((directory, spent + begun.elapsed()))
}

fn organisation(
    number: usize,
    dice: &mut Dice,
    add: &mut impl FnMut(Kind, Value) -> Result<()>,
) -> Result<()> {
    let ura = format!("{:08}", 10_000_000 + number);
    let (id, town) = (format!("org-{number}"), dice.one_of(&TOWNS));
    let endpoint = json!([{ "reference": format!("Endpoint/box-{ura}") }]);
    add(
        Kind::Organization,
        json!({ "resourceType": "Organization", "id": id, "active": true,
                "name": format!("{} {} {number}", dice.one_of(&KINDS), dice.one_of(&NAMES)),
                "identifier": [{ "system": URA_SYSTEM, "value": ura }],
                "address": [{ "city": town }], "endpoint": endpoint }),
    )?;
    // Every tenth has a box, as in the first years of a service.
    if number.is_multiple_of(10) {
        add(
            Kind::Endpoint,
            json!({ "resourceType": "Endpoint", "id": format!("box-{ura}"), "status": "active",
                    "connectionType": { "code": BOX_CONNECTION },
                    "extension": [{ "url": RECIPIENT_KEY_EXTENSION, "valueString": "k".repeat(STATEMENT) }] }),
        )?;
    }
    let site = json!({ "resourceType": "Location", "id": format!("site-{number}"),
                       "name": format!("Locatie {}", dice.one_of(&NAMES)), "address": { "city": town } });
    add(Kind::Location, site)?;
    for department in 0..DEPARTMENTS {
        add(
            Kind::HealthcareService,
            json!({ "resourceType": "HealthcareService", "id": format!("{id}-{department}"), "active": true,
                    "name": WORK[(number + department) % WORK.len()],
                    "providedBy": { "reference": format!("Organization/{id}") },
                    "location": [{ "reference": format!("Location/site-{number}") }] }),
        )?;
    }
    Ok(())
}

fn person(
    number: usize,
    organisations: usize,
    dice: &mut Dice,
    add: &mut impl FnMut(Kind, Value) -> Result<()>,
) -> Result<()> {
    let family = format!("{}-{}", dice.one_of(&FAMILIES), dice.one_of(&FAMILIES));
    let initials = format!("{}.{}.", dice.letter(), dice.letter());
    let (at, department) = (dice.roll(organisations.max(1)), dice.roll(DEPARTMENTS));
    add(
        Kind::Practitioner,
        json!({ "resourceType": "Practitioner", "id": format!("person-{number}"),
                "name": [{ "prefix": ["dr."], "given": [initials], "family": family }] }),
    )?;
    add(
        Kind::PractitionerRole,
        json!({ "resourceType": "PractitionerRole", "id": format!("role-{number}"), "active": true,
                "practitioner": { "reference": format!("Practitioner/person-{number}") },
                "organization": { "reference": format!("Organization/org-{at}") },
                "healthcareService": [{ "reference": format!("HealthcareService/org-{at}-{department}") }] }),
    )
}

/// What a person types: beginnings of one to three words.
fn query(dice: &mut Dice) -> String {
    let mut words = Vec::new();
    for _ in 0..=dice.roll(3) {
        let lists: [&[&str]; 5] = [&KINDS, &NAMES, &TOWNS, &WORK, &FAMILIES];
        let list = lists[dice.roll(lists.len())];
        let text = dice.one_of(list);
        let length = 1 + dice.roll(8);
        words.push(text.chars().take(length).collect::<String>());
    }
    words.join(" ")
}

/// A figure of this process, in bytes.
fn resident(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find(|line| line.starts_with(name)).context("the kernel says how much is resident")?;
    let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib * 1024)
}

/// A small generator: every run makes the same entries and the same queries.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides.max(1)
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }

    fn letter(&mut self) -> char {
        char::from(b"ABCDEFGHJKLMNPRSTW"[self.roll(18)])
    }
}
