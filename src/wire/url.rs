//! Addresses in answers.

use uuid::Uuid;

use crate::model::data_format::DataFormat;

/// The address of a service, for clients that reach the server at `base`.
pub(crate) fn service(base: &str, name: &str) -> String {
    format!("{base}/arcgis/rest/services/{}/FeatureServer", encode(name))
}

/// The address of a result file.
pub(crate) fn result_file(base: &str, service_name: &str, id: Uuid, format: DataFormat) -> String {
    format!("{}/replicafiles/{}.{}", service(base, service_name), id.simple(), format.extension())
}

/// A name as a segment of a path.
pub(crate) fn encode(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
