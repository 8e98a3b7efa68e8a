//! Connections to the portal: mutual TLS, a proxy where the hospital has one, and a certificate that can be changed
//! while the box runs.
//!
//! Two HTTP clients under the same settings. Questions end when nothing comes for a while; an upload is silent by
//! nature until its last byte is there, and is watched by what it sends ([`crate::upload`]).

use std::sync::RwLock;
use std::time::Duration;

use beeldbox_protocol::portal::POLL_WAIT_SECS;
use reqwest::{Client, ClientBuilder};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence inside an answer. Longer than the poll's own wait.
const READ_TIMEOUT: Duration = Duration::from_secs(POLL_WAIT_SECS + 15);

/// The way out of the hospital.
#[derive(Clone)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: String,
    /// Name and password, if it asks for them.
    pub account: Option<ProxyAccount>,
}

/// Who we are for a proxy.
#[derive(Clone)]
pub struct ProxyAccount {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for ProxyAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProxyAccount({}, password withheld)", self.user)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({}, {:?})", self.url, self.account)
    }
}

/// The clients as they are now.
pub(crate) struct Connection {
    user_agent: String,
    proxy: Option<Proxy>,
    clients: RwLock<Clients>,
}

#[derive(Clone)]
struct Clients {
    questions: Client,
    uploads: Client,
}

impl Connection {
    /// Clients with these settings. Nothing is connected yet.
    ///
    /// # Errors
    /// If the TLS settings or the proxy cannot be used.
    pub(crate) fn new(
        tls: rustls::ClientConfig,
        user_agent: &str,
        proxy: Option<Proxy>,
    ) -> Result<Self, reqwest::Error> {
        let clients = Clients::new(&tls, user_agent, proxy.as_ref())?;
        Ok(Connection { user_agent: user_agent.to_owned(), proxy, clients: RwLock::new(clients) })
    }

    /// From now on connections are made with other TLS settings. What is under way goes on over the old ones.
    pub(crate) fn change_tls(&self, tls: &rustls::ClientConfig) -> Result<(), reqwest::Error> {
        let clients = Clients::new(tls, &self.user_agent, self.proxy.as_ref())?;
        *self.clients.write().expect("nobody panics while holding this lock") = clients;
        Ok(())
    }

    fn clients(&self) -> Clients {
        self.clients.read().expect("nobody panics while holding this lock").clone()
    }

    /// For questions, answers and downloads.
    pub(crate) fn questions(&self) -> Client {
        self.clients().questions
    }

    /// For uploads.
    pub(crate) fn uploads(&self) -> Client {
        self.clients().uploads
    }

    /// A client with other TLS settings that goes the same way.
    pub(crate) fn another(&self, tls: &rustls::ClientConfig) -> Result<Client, reqwest::Error> {
        builder(tls, &self.user_agent, self.proxy.as_ref())?.read_timeout(READ_TIMEOUT).build()
    }
}

impl Clients {
    fn new(
        tls: &rustls::ClientConfig,
        user_agent: &str,
        proxy: Option<&Proxy>,
    ) -> Result<Self, reqwest::Error> {
        let questions = builder(tls, user_agent, proxy)?.read_timeout(READ_TIMEOUT).build()?;
        let uploads = builder(tls, user_agent, proxy)?.build()?;
        Ok(Clients { questions, uploads })
    }
}

fn builder(
    tls: &rustls::ClientConfig,
    user_agent: &str,
    proxy: Option<&Proxy>,
) -> Result<ClientBuilder, reqwest::Error> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(user_agent)
        // Nothing from the environment: what is not in the settings does not count.
        .no_proxy()
        .https_only(true);
    let Some(proxy) = proxy else { return Ok(builder) };
    let mut way = reqwest::Proxy::all(&proxy.url)?;
    if let Some(account) = &proxy.account {
        way = way.basic_auth(&account.user, &account.password);
    }
    Ok(builder.proxy(way))
}
