//! Who may ask for which page. A page cannot be added without saying who may see it: [`Routes`] takes the need together
//! with the handler, makes the router of both, and keeps the table that the tests and the documentation are made from.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};

use crate::roles::Role;
use crate::site::Site;
use crate::view::problem::Problem;
use crate::visit::{self, Visit};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Whoever is signed in.
    Anyone,
    /// Whoever has one of these roles.
    One(&'static [Role]),
    /// The same, after the password was asked again a short time ago: what changes who may do what, or who the box is.
    Again(&'static [Role]),
}

impl Need {
    /// Whether somebody with this role may ask at all.
    pub fn allows(self, role: Role) -> bool {
        match self {
            Need::Anyone => true,
            Need::One(roles) | Need::Again(roles) => roles.contains(&role),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `GET` or `POST`.
    pub method: Method,
    /// The path, with its places.
    pub path: &'static str,
    /// Who may ask.
    pub need: Need,
}

/// Pages with who may see them.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<Site>>,
    table: Vec<Entry>,
}

impl Routes {
    /// A page to look at.
    pub fn get<H, T>(self, path: &'static str, need: Need, handler: H) -> Routes
    where
        H: Handler<T, Arc<Site>>,
        T: 'static,
    {
        self.add(Method::GET, path, need, get(handler))
    }

    /// A form that is sent in.
    pub fn post<H, T>(self, path: &'static str, need: Need, handler: H) -> Routes
    where
        H: Handler<T, Arc<Site>>,
        T: 'static,
    {
        self.add(Method::POST, path, need, post(handler))
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        need: Need,
        handler: MethodRouter<Arc<Site>>,
    ) -> Routes {
        let guard = middleware::from_fn(move |visit: Visit, request, next| check(need, visit, request, next));
        self.router = self.router.route(path, handler.route_layer(guard));
        self.table.push(Entry { method, path, need });
        self
    }

    /// The router and its table.
    pub fn into_parts(self) -> (Router<Arc<Site>>, Vec<Entry>) {
        (self.router, self.table)
    }
}

async fn check(need: Need, visit: Visit, request: Request, next: Next) -> Response {
    let (roles, again) = match need {
        Need::Anyone => return next.run(request).await,
        Need::One(roles) => (roles, false),
        Need::Again(roles) => (roles, true),
    };
    if !visit.roles.has_one(roles) {
        tracing::warn!(account = %visit.account, "a page was refused: the account has none of its roles");
        return Problem::forbidden().into_response();
    }
    if again && !visit.is_raised {
        return to_stepup(&request);
    }
    next.run(request).await
}

/// A form that came too late is filled in again: its page is where it was sent from.
fn to_stepup(request: &Request) -> Response {
    let from = request.headers().get(header::REFERER).and_then(|value| value.to_str().ok());
    let path_of = |address: &str| address.splitn(4, '/').nth(3).map(|path| format!("/{path}"));
    let next = if request.method() == Method::GET {
        request.uri().path_and_query().map(ToString::to_string)
    } else {
        from.and_then(path_of)
    };
    let next = visit::own_path(next.as_deref());
    if request.headers().contains_key("x-fragment") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Redirect::to(&format!("/stepup?next={}", visit::as_value(&next))).into_response()
}
