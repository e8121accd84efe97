//! Log lines: one per thing that happened, to standard error.

use std::io::Write as _;

use log::kv::{self, Key, Value, VisitSource};

use crate::config::LogFormat;

/// Starts logging: levels by `RUST_LOG`, `info` without it. Called twice, the first counts.
pub fn start(format: LogFormat) {
    let environment = env_logger::Env::default().default_filter_or("info,actix_server=warn");
    let mut builder = env_logger::Builder::from_env(environment);
    if format == LogFormat::Json {
        builder.format(|output, record| {
            let mut line = serde_json::Map::new();
            line.insert("time".to_owned(), output.timestamp_millis().to_string().into());
            line.insert("level".to_owned(), record.level().as_str().to_lowercase().into());
            line.insert("target".to_owned(), record.target().into());
            line.insert("message".to_owned(), record.args().to_string().into());
            // Fields that cannot be read are left out; the message reads alone.
            let _ = record.key_values().visit(&mut Fields(&mut line));
            writeln!(output, "{}", serde_json::Value::Object(line))
        });
    }
    let _ = builder.try_init();
}

struct Fields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.insert(key.to_string(), value.to_string().into());
        Ok(())
    }
}
