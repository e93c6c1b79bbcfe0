//! Requests made of the description by chance: mostly what it allows, with mistakes in it.

use std::{collections::BTreeSet, fmt};

use serde_json::Value as Json;

use crate::support::Dice;

/// Ids that answers named, so that requests find something.
#[derive(Default)]
pub struct Known {
    replicas: Vec<String>,
    jobs: Vec<String>,
    items: Vec<String>,
    files: Vec<String>,
}

impl Known {
    /// Looks for ids in an answer.
    pub fn learn(&mut self, answer: &Json) {
        let last = |value: &Json| value.as_str()?.rsplit('/').next().map(str::to_owned);
        let note = |list: &mut Vec<String>, id: Option<String>| {
            if let Some(id) = id.filter(|id| !id.is_empty() && !list.contains(id)) {
                list.push(id);
                // Old ones may be gone.
                if list.len() > 8 {
                    list.remove(0);
                }
            }
        };
        note(&mut self.replicas, last(&answer["replicaID"]));
        note(&mut self.jobs, last(&answer["statusUrl"]));
        note(&mut self.items, last(&answer["item"]["itemID"]));
        note(&mut self.files, last(&answer["URL"]));
        note(&mut self.files, last(&answer["resultUrl"]));
    }

    fn fill(&self, placeholder: &str, dice: &mut Dice) -> String {
        let known = match placeholder {
            "{service}" => return mostly(&["trees"], &["Trees", "none", "%00", "a%2Fb"], dice).to_owned(),
            "{layer}" => return mostly(&["0", "0", "1"], &["2", "-1", "99999999999", "x"], dice).to_owned(),
            "{name}" => return mostly(&["style.css"], &["..", "%00", "a%2Fb"], dice).to_owned(),
            "{objectId}" | "{attachmentId}" | "{number}" => {
                return mostly(&["1", "2"], &["0", "-1", "9223372036854775807", "9223372036854775808", "x"], dice)
                    .to_owned();
            }
            "{replicaId}" => &self.replicas,
            "{jobId}" => &self.jobs,
            "{itemId}" => &self.items,
            "{file}" => &self.files,
            other => panic!("nothing is known for {other}"),
        };
        if known.is_empty() || dice.roll(8) == 0 {
            return dice
                .pick(&["6f9619ff-8b86-d011-b42d-00cf4fc964ff", "*", "%25", "..", "%F0%9F%8C%B3", "'"])
                .to_owned();
        }
        dice.pick(known)
    }
}

/// One of the first, or, seldom, of the second.
fn mostly<'a>(good: &[&'a str], bad: &[&'a str], dice: &mut Dice) -> &'a str {
    if dice.roll(16) == 0 { dice.pick(bad) } else { dice.pick(good) }
}

/// A request as it is sent.
pub struct Sent {
    pub verb: &'static str,
    pub path: String,
    pub uri: String,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(2_000).collect();
        let uri: String = self.uri.chars().take(2_000).collect();
        write!(f, "{} {uri} [{}] {body:?}", self.verb, self.content_type.as_deref().unwrap_or("-"))
    }
}

/// The names of all parameters of an operation, in lower case.
pub fn names(operation: &Json) -> BTreeSet<String> {
    parameters(operation).into_iter().map(|(name, ..)| name.to_ascii_lowercase()).collect()
}

/// The parameters of an operation: names, schemas, and whether they are required.
fn parameters(operation: &Json) -> Vec<(String, Json, bool)> {
    let of_query = operation["parameters"].as_array().into_iter().flatten().map(|parameter| {
        let name = parameter["name"].as_str().unwrap().to_owned();
        (name, parameter["schema"].clone(), parameter["required"] == true)
    });
    let form = &operation["requestBody"]["content"]["multipart/form-data"]["schema"];
    let required = |name: &str| form["required"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
    let of_form = form["properties"].as_object().into_iter().flatten();
    of_query.chain(of_form.map(|(name, schema)| (name.clone(), schema.clone(), required(name)))).collect()
}

/// The administrator's token.
pub const TOKEN: &str = "a token for the tests";

/// What breaks programs.
const NASTY: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "1e400",
    "NaN",
    "Infinity",
    "-0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999999999999999",
    "0x10",
    "1,2,3,4,5",
    ",",
    ",,,",
    "null",
    "true",
    "undefined",
    "{}",
    "[]",
    "[[]]",
    "{\"a\":",
    "\"",
    "'",
    "''",
    "';drop table oak;--",
    "1=1 or 1=1",
    "\u{0}",
    "a\u{0}b",
    "\\u0000",
    "\"\\ud800\"",
    "\u{feff}",
    "\u{202e}",
    "ａ",
    "🌳",
    "%",
    "%00",
    "..%2f",
    "<script>",
    "\r\n",
    "{\"wkid\":-1}",
    "{\"wkid\":999999999999}",
    "{\"wkt\":\"\"}",
    "{\"x\":null,\"y\":1}",
    "{\"x\":1e308,\"y\":-1e308}",
    "{\"x\":\"NaN\",\"y\":\"NaN\"}",
    "{\"rings\":[[]]}",
    "{\"rings\":[[[0,0]]]}",
    "{\"rings\":[[[0,0],[1,1],[0,0]]]}",
    "{\"paths\":[]}",
    "-1e308,-1e308,1e308,1e308",
    "[{}]",
    "[null]",
    "[{\"id\":0}]",
    "[{\"attributes\":null}]",
    "[{\"attributes\":{\"objectid\":9999999999999}}]",
    "*",
];

/// A request, with the path template and the description of its operation.
pub fn request(document: &Json, known: &Known, dice: &mut Dice) -> (String, Json, Sent) {
    let paths: Vec<(&String, &Json)> = document["paths"].as_object().unwrap().iter().collect();
    let (template, item) = paths[usize::try_from(dice.roll(paths.len() as u64)).unwrap()];
    let verbs: Vec<&'static str> = ["get", "post"].into_iter().filter(|verb| item.get(verb).is_some()).collect();
    let verb = dice.pick(&verbs);
    let operation = item[verb].clone();
    let path: Vec<String> = template
        .split('/')
        .map(|part| if part.starts_with('{') { known.fill(part, dice) } else { part.to_owned() })
        .collect();
    let path = path.join("/");
    // Of a request that is wrong everywhere only the first mistake is seen.
    let wrong_of_16 = dice.pick(&[0, 1, 1, 8]);
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, schema, required) in parameters(&operation) {
        if name == "f" || is_file(&schema) {
            continue;
        }
        if ((required || name == "token") && wrong_of_16 < 8) || dice.roll(5) == 0 {
            let value = if name == "token" {
                TOKEN.to_owned()
            } else if name == "replicaID" && dice.roll(8) > 0 {
                known.fill("{replicaId}", dice)
            } else if ["editsUploadId", "appendUploadId", "uploadId"].contains(&name.as_str()) && dice.roll(4) > 0 {
                known.fill("{itemId}", dice)
            } else {
                value(&schema, wrong_of_16, dice)
            };
            pairs.push((name, value));
        }
    }
    pairs.push(("f".to_owned(), mostly(&["json", "json", "json", "pjson", "html"], &["", "x"], dice).to_owned()));
    let form = &operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"];
    let files = form.as_object().into_iter().flatten().filter(|(_, schema)| is_file(schema));
    let file = files.map(|(name, _)| name.clone()).next();
    let sent = written(verb, path, &pairs, file.as_deref(), dice);
    (template.clone(), operation, sent)
}

fn is_file(schema: &Json) -> bool {
    schema["contentMediaType"] == "application/octet-stream"
}

fn value(schema: &Json, wrong_of_16: u64, dice: &mut Dice) -> String {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut good: Vec<String> = schema["examples"].as_array().into_iter().flatten().map(text).collect();
    good.extend(schema["enum"].as_array().into_iter().flatten().map(text));
    if schema["type"] == "boolean" {
        good.extend(["true", "false", "True", "1"].map(str::to_owned));
    }
    let is_wrong = dice.roll(16) < wrong_of_16;
    if good.is_empty() || (is_wrong && dice.roll(3) == 0) {
        return dice.pick(NASTY).to_owned();
    }
    let good = dice.pick(&good);
    if is_wrong { mutated(&good, dice) } else { good }
}

/// A text with a mistake in it.
fn mutated(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.roll(3) {
        let at = usize::try_from(dice.roll(chars.len() as u64 + 1)).unwrap();
        match dice.roll(6) {
            0 => chars.truncate(at),
            1 if at < chars.len() => drop(chars.remove(at)),
            2 => chars
                .insert(at, dice.pick(&['"', '\'', '{', '}', '[', ']', '(', ')', ',', '0', '-', '\0', 'é', '%', '\\'])),
            3 => {
                let piece: Vec<char> = dice.pick(NASTY).chars().collect();
                chars.splice(at..at, piece);
            }
            4 => {
                // Another number where there is one.
                if let Some(digit) = chars.iter().skip(at).position(char::is_ascii_digit) {
                    let piece: Vec<char> =
                        dice.pick(&["99999999999", "-1", "1e999", "0.5", "null", "\"x\""]).chars().collect();
                    chars.splice(at + digit..=at + digit, piece);
                }
            }
            _ => {
                let rest: Vec<char> = chars.iter().skip(at).copied().collect();
                chars.extend(rest);
            }
        }
    }
    chars.into_iter().collect()
}

fn encoded(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The parameters in the query string or in one of the bodies that there are.
fn written(verb: &str, path: String, pairs: &[(String, String)], file: Option<&str>, dice: &mut Dice) -> Sent {
    if verb == "get" {
        let uri = format!("{path}?{}", encoded(pairs));
        return Sent { verb: "GET", path, uri, content_type: None, body: Vec::new() };
    }
    let way = if file.is_some() { 1 } else { dice.roll(6) };
    let (content_type, mut body) = match way {
        1 => multipart(pairs, file, dice),
        2 => {
            let members = pairs.iter().map(|(name, value)| {
                (name.clone(), serde_json::from_str(value).unwrap_or_else(|_| Json::String(value.clone())))
            });
            ("application/json", Json::Object(members.collect()).to_string().into_bytes())
        }
        // As some clients write it.
        3 => {
            let raw: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            ("application/x-www-form-urlencoded", raw.join("&").into_bytes())
        }
        _ => ("application/x-www-form-urlencoded", encoded(pairs).into_bytes()),
    };
    let mut content_type = content_type.to_owned();
    match dice.roll(40) {
        0 => body.truncate(usize::try_from(dice.roll(body.len() as u64 + 1)).unwrap()),
        1 => {
            let at = usize::try_from(dice.roll(body.len() as u64 + 1)).unwrap();
            body.splice(at..at, [0xff, 0xfe, 0x00]);
        }
        2 => dice
            .pick(&["text/plain", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "x", ""])
            .clone_into(&mut content_type),
        _ => {}
    }
    Sent { verb: "POST", uri: path.clone(), path, content_type: Some(content_type), body }
}

fn multipart(pairs: &[(String, String)], file: Option<&str>, dice: &mut Dice) -> (&'static str, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in pairs {
        body.extend(format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes());
    }
    if let Some(file) = file.filter(|_| dice.roll(8) > 0) {
        let name = dice.pick(&["a.json", "a.json", "a.exe", "", "../../a.json", "a\u{0}.json", "🌳.json"]);
        body.extend(
            format!("--B\r\nContent-Disposition: form-data; name=\"{file}\"; filename=\"{name}\"\r\n\r\n").into_bytes(),
        );
        body.extend(vec![b'x'; usize::try_from(dice.roll(5_000)).unwrap()]);
        body.extend(b"\r\n");
    }
    body.extend(b"--B--\r\n");
    ("multipart/form-data; boundary=B", body)
}
