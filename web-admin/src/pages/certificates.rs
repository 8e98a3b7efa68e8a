//! "Certificaten": until when they hold, and getting new ones, at the portal or by hand.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{CertificateLevel, CertificateLine, CertificateUse, Question, Reply};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::Digest;

use crate::lang::Words;
use crate::pages::admin::use_word;
use crate::pages::fields::Fields;
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::text::clean;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/certificates.html")]
struct CertificatesPage {
    frame: Frame,
    lines: Vec<LineView>,
    /// A request for a certificate, just made.
    request: Option<String>,
}

/// One certificate.
struct LineView {
    name: &'static str,
    word: String,
    organisation: String,
    until: String,
    thumbprint: String,
    tone: &'static str,
    icon: Icon,
    state: String,
    is_requested: bool,
}

/// `GET /admin/certificates`.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    Ok(visit::page(&template(&visit).await?))
}

/// `POST /admin/certificates/renew`.
pub async fn renew(visit: Visit) -> Result<Response, Problem> {
    change(&visit, Question::RenewCertificate, "admin.renewed").await
}

/// `POST /admin/certificates/enrol`: the code and the fingerprint that came with it.
pub async fn enrol(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let fingerprint: String =
        fields.text("fingerprint").chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    let fingerprint: Digest = fingerprint.parse().map_err(|_| Problem::form())?;
    let question = Question::Enrol { code: Confidential::new(fields.text("code")), fingerprint };
    change(&visit, question, "admin.enrolled").await
}

/// `POST /admin/certificates/request`: a request to hand to an authority.
pub async fn request(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let what = use_named(fields.text("what")).ok_or_else(Problem::form)?;
    let Reply::CertificateRequest(pem) = visit.ask(Question::RequestCertificate { what }).await? else {
        return Err(Problem::odd());
    };
    let mut template = template(&visit).await?;
    template.request = Some(pem);
    Ok(visit::page(&template))
}

/// `POST /admin/certificates/import`.
pub async fn import(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let what = use_named(fields.text("what")).ok_or_else(Problem::form)?;
    let password = Some(fields.raw("password")).filter(|text| !text.is_empty()).map(Confidential::new);
    let content = Confidential::new(fields.text("content"));
    change(&visit, Question::ImportCertificate { what, content, password }, "admin.imported").await
}

/// `POST /admin/certificates/rotate`: in use from the next start of the box on.
pub async fn rotate(visit: Visit) -> Result<Response, Problem> {
    visit.act(Question::RotateRecipientKey).await?;
    tracing::info!(account = %visit.account, "a new recipient key was made");
    visit.leave_notice(visit.words.t("admin.rotated"));
    Ok(Redirect::to("/admin/certificates").into_response())
}

async fn change(visit: &Visit, question: Question, notice: &str) -> Result<Response, Problem> {
    let Reply::Certificates(_) = visit.ask(question).await? else { return Err(Problem::odd()) };
    tracing::info!(account = %visit.account, "the certificates were changed");
    visit.leave_notice(visit.words.t(notice));
    Ok(Redirect::to("/admin/certificates").into_response())
}

const USES: [(CertificateUse, &str); 2] =
    [(CertificateUse::Portal, "portal"), (CertificateUse::Signing, "signing")];

fn use_named(name: &str) -> Option<CertificateUse> {
    USES.into_iter().find(|(_, known)| *known == name).map(|(what, _)| what)
}

async fn template(visit: &Visit) -> Result<CertificatesPage, Problem> {
    let Reply::Certificates(lines) = visit.ask(Question::Certificates).await? else {
        return Err(Problem::odd());
    };
    Ok(CertificatesPage {
        frame: visit.frame("admin.certificates", Place::Admin).await,
        lines: lines.iter().map(|line| line_view(line, visit.words)).collect(),
        request: None,
    })
}

fn line_view(line: &CertificateLine, words: Words) -> LineView {
    let (tone, icon, key) = match line.level {
        CertificateLevel::Fine => ("good", Icon::Check, "admin.level-fine"),
        CertificateLevel::EndsSoon => ("warn", Icon::Clock, "admin.level-soon"),
        CertificateLevel::EndsVerySoon => ("bad", Icon::Warning, "admin.level-very-soon"),
        CertificateLevel::Ended => ("bad", Icon::Stop, "admin.level-ended"),
        CertificateLevel::Missing => ("bad", Icon::Stop, "admin.level-missing"),
    };
    let name = USES.into_iter().find(|(what, _)| *what == line.what).map_or("", |(_, name)| name);
    let days = u64::try_from(line.days_left.unwrap_or_default()).unwrap_or_default();
    LineView {
        name,
        word: words.t(use_word(line.what)),
        organisation: clean(&line.organisation),
        until: match line.valid_until {
            Some(until) => words.n_fill("admin.until", days, &[("day", &date::day_of(until, words))]),
            None => words.t("admin.none"),
        },
        thumbprint: line.thumbprint.map(|digest| digest.to_string()).unwrap_or_default(),
        tone,
        icon,
        state: words.t(key),
        is_requested: line.is_requested,
    }
}
