//! Where a portal of these tests keeps its things: SQLite, and a prefix of its own in a bucket.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use beeldbox_portal::{PortalOptions, s3};

use crate::server::{self, KEY, SECRET};

/// A prefix in the bucket.
pub struct Place {
    /// Which.
    pub prefix: String,
}

/// A place that nobody used yet.
pub fn new() -> Place {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    Place { prefix: format!("portal{}", COUNT.fetch_add(1, Ordering::SeqCst)) }
}

/// A file with keys, as the portal wants it.
pub fn credentials(secret: &str) -> PathBuf {
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    writeln!(file, "AWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY={secret}").unwrap();
    file.into_temp_path().keep().unwrap()
}

impl Place {
    /// For a portal in this process.
    pub fn set(&self, options: PortalOptions) -> PortalOptions {
        let keys = credentials(SECRET);
        let bucket =
            s3::bucket(server::BUCKET, Some(&self.prefix), Some(&server::shared().url()), Some(&keys));
        std::fs::remove_file(keys).unwrap();
        PortalOptions { objects: Some(bucket.unwrap()), ..options }
    }

    /// For a portal as a program.
    pub fn arguments(&self) -> Vec<String> {
        let keys = credentials(SECRET).display().to_string();
        let place = format!("s3://{}/{}", server::BUCKET, self.prefix);
        let endpoint = server::shared().url();
        ["--parts", &place, "--s3-endpoint", &endpoint, "--s3-credentials", &keys].map(str::to_owned).to_vec()
    }
}
