//! The setting that puts letters and parts into an S3-compatible store instead of a local folder.
//!
//! The keys never stand on a command line, which everybody on the machine can read: they come from the environment
//! (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and their family), from the machine's own role, or from a file of
//! `name=value` lines with these names.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};

/// Region that is named to stores which have none.
const NO_REGION: &str = "us-east-1";

/// How often, and how long, a request to the store is tried before the client is told to come back.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where letters and parts lie, as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartsPlace {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket, under a prefix if there is one.
    Bucket {
        /// Its name.
        name: String,
        /// What all names begin with.
        prefix: Option<String>,
    },
}

/// Why a text says nothing about where parts lie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a folder, or s3://bucket, or s3://bucket/prefix")]
pub struct NoPlace;

impl FromStr for PartsPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let Some(bucket) = text.strip_prefix("s3://") else {
            let is_address = text.is_empty() || text.contains("://");
            return if is_address { Err(NoPlace) } else { Ok(PartsPlace::Folder(text.into())) };
        };
        let (name, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        if name.is_empty() {
            return Err(NoPlace);
        }
        let prefix = Some(prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty());
        Ok(PartsPlace::Bucket { name: name.to_owned(), prefix: prefix.map(str::to_owned) })
    }
}

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The file with the keys cannot be read.
    #[error("{} cannot be read", path.display())]
    Credentials {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings do not fit together.
    #[error("the settings of the bucket do not fit together")]
    Settings(#[from] object_store::Error),
}

/// A bucket. Nothing is asked of the store yet.
///
/// # Errors
/// If the file with the keys cannot be read or the settings do not fit together.
pub fn bucket(
    name: &str,
    prefix: Option<&str>,
    endpoint: Option<&str>,
    credentials: Option<&Path>,
) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(name).with_retry(RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    });
    if let Some(endpoint) = endpoint {
        // A store of one's own is rarely reached by a host name per bucket, and often has no region.
        builder = builder
            .with_endpoint(endpoint)
            .with_allow_http(endpoint.starts_with("http://"))
            .with_virtual_hosted_style_request(false);
        if std::env::var_os("AWS_REGION").is_none() && std::env::var_os("AWS_DEFAULT_REGION").is_none() {
            builder = builder.with_region(NO_REGION);
        }
    }
    if let Some(path) = credentials {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BucketError::Credentials { path: path.to_owned(), source })?;
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim().trim_matches('"');
            builder = match name.trim().to_ascii_uppercase().as_str() {
                "AWS_ACCESS_KEY_ID" => builder.with_access_key_id(value),
                "AWS_SECRET_ACCESS_KEY" => builder.with_secret_access_key(value),
                "AWS_SESSION_TOKEN" => builder.with_token(value),
                _ => builder,
            };
        }
    }
    let objects = builder.build()?;
    Ok(match prefix {
        Some(prefix) => Arc::new(PrefixStore::new(objects, prefix)),
        None => Arc::new(objects),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let bucket = |name: &str, prefix: Option<&str>| {
            Ok(PartsPlace::Bucket { name: name.to_owned(), prefix: prefix.map(str::to_owned) })
        };
        assert_eq!("s3://parts".parse(), bucket("parts", None));
        assert_eq!("s3://parts/a/b/".parse(), bucket("parts", Some("a/b")));
        assert_eq!("/srv/parts".parse(), Ok(PartsPlace::Folder("/srv/parts".into())));
        for none in ["", "s3://", "s3:///x", "gs://bucket"] {
            assert_eq!(none.parse::<PartsPlace>(), Err(NoPlace), "{none}");
        }
    }
}
