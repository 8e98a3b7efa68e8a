//! The same study by what is usual: Orthanc at both hospitals, one a peer of the other over HTTP, on the line of Noord.
//!
//! Both run as they come. A job that breaks is submitted again, as an operator would, and begins again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beeldbox_demo::child::{Program, Running, until_listening};
use beeldbox_dicom::PeerNode;
use beeldbox_peer::send::send_files;
use serde_json::{Value, json};

use crate::stage::{LOOK, Stage, Study};
use crate::wire::{Conditions, Tallies};

/// Where Debian puts it, and a name that the search path may know.
const PLACES: [&str; 2] = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"];

/// Longest that an Orthanc may take for an answer; it delivers a whole study before it gives one.
const PATIENCE: Duration = Duration::from_secs(300);

/// Names of both in DICOM.
const AE_TITLES: [&str; 2] = ["ORTHANC_NOORD", "ORTHANC_ZUID"];

/// How instances go on from one to the other and to the PACS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// When somebody says so.
    ByHand,
    /// By a script of each Orthanc, as each instance arrives.
    ByScript,
}

/// Both of them.
pub struct Pair {
    ports: [u16; 2],
    dicom: [String; 2],
    programs: [Running; 2],
}

/// What became of one study.
#[derive(Debug, Clone, Copy)]
pub struct Peered {
    /// From the order until the other Orthanc held everything.
    pub took: Duration,
    /// How often the job broke and was submitted again.
    pub again: u32,
    /// What had gone over the line by then.
    pub tallies: Tallies,
}

impl Pair {
    /// Starts both, in empty folders. `kind` tells several pairs of a run apart.
    ///
    /// # Errors
    /// If Orthanc is missing or does not start.
    pub async fn start(stage: &Stage, kind: &str, routing: Routing) -> Result<Pair> {
        let path = PLACES.iter().map(PathBuf::from).find(|path| path.exists());
        let path = path.context("Orthanc is missing; on Debian: apt-get install orthanc")?;
        let words = ["noord", "zuid"];
        let port = |word: &str, what: &str| stage.place.port(&format!("orthanc-{kind}-{word}-{what}"));
        let ports = [port("noord", "http")?, port("zuid", "http")?];
        let dicom = [port("noord", "dicom")?, port("zuid", "dicom")?].map(|port| format!("127.0.0.1:{port}"));
        let mut programs = Vec::new();
        for (index, word) in words.into_iter().enumerate() {
            let folder = stage.place.folder(&format!("orthanc-{kind}-{word}"))?;
            let mut configuration = json!({
                "Name": AE_TITLES[index],
                "StorageDirectory": folder.join("store"),
                "IndexDirectory": folder.join("store"),
                "DicomAet": AE_TITLES[index],
                "DicomPort": port(word, "dicom")?,
                "DicomAlwaysAllowStore": true,
                "HttpPort": ports[index],
                // The other one comes from the far end of a line.
                "RemoteAccessAllowed": true,
                "AuthenticationEnabled": false,
                "OrthancPeers": { "zuid": [format!("http://{}:{}/", stage.host_of_zuid(), ports[1])] },
                "DicomModalities": { "pacs": node_of_pacs(stage)? },
                "Plugins": [],
            });
            if routing == Routing::ByScript {
                let file = folder.join("route.lua");
                let to =
                    if word == "noord" { "SendToPeer(id, 'zuid')" } else { "SendToModality(id, 'pacs')" };
                std::fs::write(
                    &file,
                    format!("function OnStoredInstance(id, tags, metadata)\n  {to}\nend\n"),
                )?;
                configuration["LuaScripts"] = json!([file]);
            }
            let file = folder.join("orthanc.json");
            std::fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
            let log = stage.place.folder("log")?.join(format!("orthanc-{kind}-{word}.log"));
            let running = stage.children.keep(Program {
                name: format!("Orthanc of {word}"),
                path: path.clone(),
                arguments: vec![file.display().to_string()],
                log: log.clone(),
            })?;
            until_listening(&format!("127.0.0.1:{}", ports[index]), &log).await?;
            until_listening(&dicom[index], &log).await?;
            programs.push(running);
        }
        let programs = programs.try_into().map_err(|_| anyhow::anyhow!("two words, two programs"))?;
        Ok(Pair { ports, dicom, programs })
    }

    /// The modality sends a study to the Orthanc of Noord.
    ///
    /// # Errors
    /// If it does not take all of it.
    pub async fn give(&self, study: &Study) -> Result<()> {
        let to = PeerNode::plain(AE_TITLES[0].parse()?, &*self.dicom[0]);
        let sent = send_files(&to, &"PACS_NOORD".parse()?, &study.files, |_| ()).await?;
        ensure!(sent.iter().all(|sent| sent.is_stored()), "Orthanc did not store an instance");
        Ok(())
    }

    /// Everything that the Orthanc of Noord has goes to its peer over the line, which is as in `line` from now on.
    ///
    /// # Errors
    /// If it is not there in time.
    pub async fn peer(&self, stage: &Stage, line: Conditions, limit: Duration) -> Result<Peered> {
        let expected = self.count(0).await?;
        let resources = self.get(0, "/studies").await?;
        stage.noord.set(line);
        let began = Instant::now();
        let order = json!({ "Resources": resources, "Asynchronous": true });
        let job = self.post(0, "/peers/zuid/store", &order).await?;
        let job = job["ID"].as_str().context("a job has an ID")?.to_owned();
        let mut again = 0;
        loop {
            let state = self.get(0, &format!("/jobs/{job}")).await?;
            match state["State"].as_str() {
                Some("Success") => break,
                Some("Failure") => {
                    again += 1;
                    self.post(0, &format!("/jobs/{job}/resubmit"), &json!({})).await?;
                }
                _ => {}
            }
            if began.elapsed() > limit {
                let there = self.count(1).await?;
                bail!(
                    "not there after {:.0} s: {there} of {expected} instances, job broken {again} times, {:.1} MB sent",
                    limit.as_secs_f64(),
                    crate::boxes::megabytes(stage.noord.tallies().up.fresh)
                );
            }
            tokio::time::sleep(LOOK).await;
        }
        let (took, tallies) = (began.elapsed(), stage.noord.tallies());
        let there = self.count(1).await?;
        ensure!(there == expected, "{there} of {expected} instances are at the peer");
        Ok(Peered { took, again, tallies })
    }

    /// The Orthanc of Zuid sends everything that it has to the PACS of Zuid.
    ///
    /// # Errors
    /// If the PACS does not take it.
    pub async fn deliver(&self) -> Result<()> {
        let resources = self.get(1, "/studies").await?;
        let order = json!({ "Resources": resources, "Synchronous": true });
        let done = self.post(1, "/modalities/pacs/store", &order).await?;
        ensure!(done["FailedInstancesCount"] == 0, "Orthanc did not deliver everything: {done}");
        Ok(())
    }

    /// Ends both for good.
    ///
    /// # Errors
    /// If they do not end.
    pub async fn stop(self) -> Result<()> {
        for program in &self.programs {
            program.take_down().await?;
        }
        Ok(())
    }

    /// How many instances one of them holds.
    async fn count(&self, which: usize) -> Result<u64> {
        self.get(which, "/statistics").await?["CountInstances"].as_u64().context("no count from Orthanc")
    }

    async fn get(&self, which: usize, path: &str) -> Result<Value> {
        ask(self.ports[which], format!("GET {path} HTTP/1.0\r\n\r\n")).await
    }

    async fn post(&self, which: usize, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        ask(self.ports[which], head + &body).await
    }
}

fn node_of_pacs(stage: &Stage) -> Result<Value> {
    let pacs = &stage.demo.zuid.pacs;
    let (host, port) = pacs.dicom.split_once(':').context("host:port")?;
    Ok(json!([pacs.ae, host, port.parse::<u16>()?]))
}

/// One request to a server on this machine, on a connection of its own.
async fn ask(port: u16, request: String) -> Result<Value> {
    let asked = tokio::task::spawn_blocking(move || -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = asked.await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer from Orthanc")?;
    ensure!(head.contains(" 200 "), "Orthanc answered {}", head.lines().next().unwrap_or_default());
    Ok(serde_json::from_str(body)?)
}
