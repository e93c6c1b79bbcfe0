//! Where a request comes from: the other end of the connection, or, if that is a proxy that the settings name, whom it asks for.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::HeaderMap,
};

use crate::model::network::Network;

/// The address of whoever asks; `None` where the request came over no network.
pub(super) fn address(request: &Request, proxies: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(behind(peer.ip().to_canonical(), request.headers(), proxies))
}

/// Whom a proxy asks for: the last one of the chain that is no proxy itself. What stands before it, anybody may have written.
fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    if !is_proxy(peer) {
        return peer;
    }
    let last = |chain: Vec<Option<IpAddr>>| {
        let mut known = peer;
        for address in chain.into_iter().rev() {
            // Beyond what cannot be read, nothing is known.
            let Some(address) = address else { break };
            known = address;
            if !is_proxy(address) {
                break;
            }
        }
        known
    };
    match (forwarded_for(headers), forwarded(headers)) {
        (Some(chain), None) | (None, Some(chain)) => last(chain),
        (None, None) => peer,
        // A proxy writes one of them; the other one may be the client's own.
        (Some(one), Some(other)) => {
            let (one, other) = (last(one), last(other));
            if one == other { one } else { peer }
        }
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Option<Vec<&'a str>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    Some(values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim).collect())
}

/// `X-Forwarded-For: 203.0.113.7, 10.0.0.1`
fn forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    Some(values(headers, "x-forwarded-for")?.into_iter().map(node).collect())
}

/// `Forwarded: for=203.0.113.7;proto=https, for="[2001:db8::1]:4711"`
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let of_element = |element: &str| {
        let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = { pairs }.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
        node(value)
    };
    Some(values(headers, "forwarded")?.into_iter().map(of_element).collect())
}

/// An address, perhaps in quotes or brackets, perhaps with a port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn seen(peer: &str, proxies: &[&str], headers: &[(&'static str, &str)]) -> String {
        let proxies: Vec<Network> = proxies.iter().map(|network| network.parse().unwrap()).collect();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        behind(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_proxies_of_the_settings_are_believed_and_only_the_last_step() {
        let xff = |value| [("x-forwarded-for", value)];
        assert_eq!(seen("8.8.8.8", &["10.0.0.0/8"], &xff("1.1.1.1")), "8.8.8.8");
        assert_eq!(seen("10.0.0.2", &[], &xff("1.1.1.1")), "10.0.0.2");
        assert_eq!(seen("10.0.0.2", &["10.0.0.0/8"], &[]), "10.0.0.2");
        assert_eq!(seen("10.0.0.2", &["10.0.0.0/8"], &xff("1.1.1.1")), "1.1.1.1");
        assert_eq!(seen("10.0.0.2", &["10.0.0.0/8"], &xff("6.6.6.6, 1.1.1.1, 10.9.9.9")), "1.1.1.1");
        assert_eq!(seen("10.0.0.2", &["10.0.0.0/8"], &xff("6.6.6.6, unknown")), "10.0.0.2");
        assert_eq!(seen("10.0.0.2", &["10.0.0.0/8"], &xff("6.6.6.6, 1.1.1.1:80")), "1.1.1.1");
        assert_eq!(
            seen("10.0.0.2", &["10.0.0.0/8"], &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1")]),
            "1.1.1.1"
        );
    }

    #[test]
    fn the_standard_header_counts_and_two_that_differ_do_not() {
        let proxies = ["10.0.0.2"];
        let of = |value| [("forwarded", value)];
        assert_eq!(seen("10.0.0.2", &proxies, &of("for=1.1.1.1;proto=https")), "1.1.1.1");
        assert_eq!(seen("10.0.0.2", &proxies, &of("proto=http; For=\"[2001:db8::1]:4711\"")), "2001:db8::1");
        assert_eq!(seen("10.0.0.2", &proxies, &of("for=\"_hidden\"")), "10.0.0.2");
        let both = |one, other| [("forwarded", one), ("x-forwarded-for", other)];
        assert_eq!(seen("10.0.0.2", &proxies, &both("for=6.6.6.6", "1.1.1.1")), "10.0.0.2");
        assert_eq!(seen("10.0.0.2", &proxies, &both("for=1.1.1.1", "6.6.6.6, 1.1.1.1")), "1.1.1.1");
    }
}
