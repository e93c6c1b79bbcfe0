//! Who does something, for those who read about it later.

use super::principal::Principal;

/// Who does something, and from where, as the audit log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// A user, `key:` and the name of a key, `anonymous`, `server`, or `command:` and the number of a user of the system.
    pub name: String,
    /// The address of the network that it came from; empty if it did not.
    pub origin: String,
    /// The request or job, as the log has it; empty if it is none.
    pub request_id: String,
}

impl Actor {
    /// Whoever sent a request.
    pub fn of_request(principal: &Principal, origin: Option<std::net::IpAddr>, request_id: &str) -> Actor {
        Actor {
            name: principal.user.as_ref().map_or("anonymous", |user| user.as_str()).to_owned(),
            origin: origin.map(|address| address.to_string()).unwrap_or_default(),
            request_id: request_id.to_owned(),
        }
    }

    /// Whoever submitted a job; `owner` is empty if nobody knows.
    pub fn of_job(owner: &str, job_id: &str) -> Actor {
        let name = if owner.is_empty() { "anonymous" } else { owner };
        Actor { name: name.to_owned(), origin: String::new(), request_id: job_id.to_owned() }
    }

    /// A server by itself.
    pub fn server() -> Actor {
        Actor { name: "server".to_owned(), ..Actor::default() }
    }

    /// A user of the system, who has run a command.
    pub fn command(user_id: u32) -> Actor {
        Actor { name: format!("command:{user_id}"), ..Actor::default() }
    }
}
