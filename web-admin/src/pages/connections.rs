//! "Verbindingen": portal, PACS, peers and names, as the settings have them, and calling a node step by step.

use askama::Template;
use axum::response::Response;
use beeldbox_protocol::admin::{NodeTest, NodeTestStage, Nodes, Question, Reply, Status};
use beeldbox_protocol::ident::AeTitle;

use crate::lang::Words;
use crate::pages::fields::Fields;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::recipient::AddresseeView;
use crate::view::text::clean;
use crate::view::{bytes, date};
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/connections.html")]
struct ConnectionsPage {
    frame: Frame,
    own: Vec<(String, String)>,
    portal: Vec<(String, String)>,
    nodes: Vec<NodeView>,
    aliases: Vec<AliasView>,
    test: Option<TestView>,
}

/// A DICOM node.
struct NodeView {
    ae_title: String,
    address: String,
    about: String,
    trouble: String,
    can_be_called: bool,
}

/// A name of the box that stands for an addressee.
struct AliasView {
    ae_title: String,
    to: String,
    about: String,
    is_unknown: bool,
}

/// How calling a node went.
struct TestView {
    name: String,
    is_well: bool,
    steps: Vec<StepView>,
    advice: String,
}

/// One step of it.
struct StepView {
    word: String,
    took: String,
    failure: String,
}

/// `GET /admin/connections`.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    Ok(visit::page(&template(&visit).await?))
}

/// `POST /admin/connections/test`: calls a node; changes nothing.
pub async fn test(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let ae_title: AeTitle = fields.text("ae").parse().map_err(|_| Problem::form())?;
    let question = Question::TestNode { ae_title: Some(ae_title) };
    let Reply::NodeTest(test) = visit.ask(question).await? else { return Err(Problem::odd()) };
    let mut template = template(&visit).await?;
    template.test = Some(test_view(&test, visit.words));
    Ok(visit::page(&template))
}

async fn template(visit: &Visit) -> Result<ConnectionsPage, Problem> {
    let status = visit.status().await?;
    let Reply::Nodes(nodes) = visit.ask(Question::Nodes).await? else { return Err(Problem::odd()) };
    let words = visit.words;
    let pair = |key: &str, value: String| (words.t(key), value);
    let when = |at: Option<jiff::Timestamp>| {
        at.map_or_else(|| words.t("status.never"), |at| date::when_and_ago(at, visit.now, words))
    };
    Ok(ConnectionsPage {
        own: vec![
            pair("admin.organisation", format!("{} (URA {})", clean(&status.organisation), status.ura)),
            pair("admin.ae-title", clean(&status.ae_title)),
            pair("admin.listens", clean(&status.dicom_address)),
        ],
        portal: vec![
            pair("admin.address", clean(&status.portal.url)),
            pair("admin.last-answer", when(status.portal.last_answer_at)),
            pair("admin.directory-age", when(status.portal.directory_as_of)),
            pair("admin.figure-addressees", words.number(status.portal.addressees.into())),
            pair("admin.trouble", trouble(&status, words)),
        ],
        nodes: node_views(&status, &nodes, words),
        aliases: nodes
            .aliases
            .iter()
            .map(|alias| AliasView {
                ae_title: alias.ae_title.to_string(),
                is_unknown: alias.addressee.is_none(),
                to: match &alias.addressee {
                    Some(entry) => AddresseeView::new(entry, words).name,
                    None => clean(&alias.entry),
                },
                about: words.t(match (alias.confirm, alias.urgent) {
                    (true, true) => "admin.alias-confirm-urgent",
                    (true, false) => "admin.alias-confirm",
                    (false, true) => "admin.alias-urgent",
                    (false, false) => "admin.alias-at-once",
                }),
            })
            .collect(),
        frame: visit.frame_with("admin.connections", Place::Admin, Some(&status)),
        test: None,
    })
}

fn trouble(status: &Status, words: Words) -> String {
    let both = [&status.portal.trouble, &status.portal.directory_trouble];
    let said: Vec<String> = both.into_iter().flatten().map(|text| clean(text)).collect();
    if said.is_empty() { words.t("admin.none") } else { said.join("; ") }
}

fn node_views(status: &Status, nodes: &Nodes, words: Words) -> Vec<NodeView> {
    let pacs = NodeView {
        ae_title: clean(&status.pacs.ae_title),
        address: clean(&status.pacs.address),
        about: words.t("admin.is-pacs"),
        trouble: status.pacs.trouble.as_deref().map(clean).unwrap_or_default(),
        can_be_called: true,
    };
    let peers = nodes.peers.iter().filter(|peer| peer.ae_title.as_str() != status.pacs.ae_title);
    let peers = peers.map(|peer| {
        let mut about = vec![words.fill("admin.quiet", &[("span", &date::span(peer.quiet_secs, words))])];
        about.extend(peer.is_encrypted.then(|| words.t("admin.encrypted")));
        about.extend(peer.answers_queries.then(|| words.t("admin.answers-queries")));
        about.extend(
            peer.quota_bytes
                .map(|quota| words.fill("admin.quota", &[("bytes", &bytes::amount(quota, words))])),
        );
        NodeView {
            ae_title: peer.ae_title.to_string(),
            address: peer.address.as_deref().map_or_else(|| words.t("admin.only-calls"), clean),
            about: about.join(" · "),
            trouble: String::new(),
            can_be_called: peer.address.is_some(),
        }
    });
    std::iter::once(pacs).chain(peers).collect()
}

fn test_view(test: &NodeTest, words: Words) -> TestView {
    let is_well = test.steps.iter().all(|step| step.failure.is_none());
    let steps = test.steps.iter().map(|step| StepView {
        word: words.t(stage_word(step.step)),
        took: words.fill("admin.took", &[("ms", &words.number(step.took_micros.div_ceil(1000)))]),
        failure: step.failure.as_deref().map(clean).unwrap_or_default(),
    });
    TestView {
        name: format!("{} ({})", test.ae_title, clean(&test.address)),
        is_well,
        steps: steps.collect(),
        advice: clean(&test.advice),
    }
}

fn stage_word(stage: NodeTestStage) -> &'static str {
    match stage {
        NodeTestStage::Resolve => "admin.step-resolve",
        NodeTestStage::Connect => "admin.step-connect",
        NodeTestStage::Tls => "admin.step-tls",
        NodeTestStage::Associate => "admin.step-associate",
        NodeTestStage::Context => "admin.step-context",
        NodeTestStage::Echo => "admin.step-echo",
        NodeTestStage::Release => "admin.step-release",
    }
}
