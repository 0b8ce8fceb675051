//! Who may ask: pages of other origins are refused, names that lead here by a trick of their DNS (rebinding)
//! too, and beyond this machine nobody gets an answer without the token.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::Result;

use super::http::{Answer, Head};

/// Begins the name of the cookie that holds the token. Browsers keep one set of cookies a host, whatever the
/// port: the port is the rest of the name, so that two servers do not take each other's place.
const COOKIE: &str = "demotic-";

/// What a request must show.
pub(crate) struct Guard {
    /// The host that `--listen` names; none where only this machine is listened to.
    listened: Option<String>,
    token: Option<String>,
}

impl Guard {
    /// For this machine alone.
    pub(crate) fn local() -> Self {
        Self {
            listened: None,
            token: None,
        }
    }

    /// For a network, by a token of 128 random bits.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub(crate) fn open(listened: &str) -> Result<Self> {
        Ok(Self {
            listened: Some(listened.to_ascii_lowercase()),
            token: Some(random()?),
        })
    }

    /// The address of the page.
    pub(crate) fn address(&self, bound: SocketAddr) -> String {
        let ip = if bound.ip().is_unspecified() {
            own_address()
        } else {
            Some(bound.ip())
        };
        let host = match ip {
            None => "<this machine>".to_owned(),
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            Some(ip) => ip.to_string(),
        };
        let token = self.token.as_ref();
        let token = token.map_or_else(String::new, |token| format!("?token={token}"));
        format!("http://{host}:{}/{token}", bound.port())
    }

    /// The answer to a request that may not go further.
    pub(crate) fn refusal(&self, head: &Head) -> Option<Answer> {
        let host = head.header("host").unwrap_or_default().to_ascii_lowercase();
        if !self.knows(name_of(&host)) {
            return Some(Answer::text(
                403,
                "this host is not known here: open the address that demotic printed",
            ));
        }
        let is_page = head.path == "/";
        let is_own = head
            .header("origin")
            .is_none_or(|origin| origin.to_ascii_lowercase() == format!("http://{host}"));
        // Browsers say where a request comes from; a link from elsewhere may lead to the page, nothing else.
        let is_near = is_page
            || head
                .header("sec-fetch-site")
                .is_none_or(|site| site == "same-origin" || site == "none");
        if !is_own || !is_near {
            return Some(Answer::text(403, "this page is not asked by other pages"));
        }
        let token = self.token.as_ref()?;
        let cookie = format!("{COOKIE}{}", port_of(&host));
        if is_page
            && head
                .query("token")
                .is_some_and(|given| is_equal(given, token))
        {
            // The token leaves the address bar and its history.
            return Some(Answer::text(303, "/").with("Location", "/").with(
                "Set-Cookie",
                format!("{cookie}={token}; HttpOnly; SameSite=Lax; Path=/"),
            ));
        }
        let cookies = head.header("cookie").unwrap_or_default().split(';');
        let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
        if pairs.any(|(name, value)| name == cookie && is_equal(value, token)) {
            return None;
        }
        Some(Answer::text(
            403,
            "open the address that demotic printed: it ends with the token",
        ))
    }

    fn knows(&self, name: &str) -> bool {
        let ip = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        match (&self.listened, ip) {
            // An address cannot be made to lead elsewhere.
            (Some(_), Ok(_)) => true,
            (None, Ok(ip)) => ip.is_loopback(),
            (listened, Err(_)) => name == "localhost" || listened.as_deref() == Some(name),
        }
    }
}

/// The address by which this machine reaches others: connecting a UDP socket chooses it and sends nothing.
/// `None` without a network.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address of documentation (RFC 5737): any that is not this machine's own does.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// The port of a host, as the browser sees it.
fn port_of(host: &str) -> &str {
    let port = host[name_of(host).len()..].trim_start_matches(':');
    if port.is_empty() { "80" } else { port }
}

/// Takes as long wherever two texts of one length differ.
fn is_equal(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |all, (a, b)| all | (a ^ b))
            == 0
}

/// 128 random bits in hex.
///
/// # Errors
/// Where the system has none.
pub(crate) fn random() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| anyhow::anyhow!("the system gives no randomness: {e}"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_every_interface_is_one_that_others_reach() {
        let open = Guard::open("0.0.0.0").expect("randomness");
        let printed = open.address(SocketAddr::from(([0, 0, 0, 0], 7500)));
        let (host, rest) = printed
            .strip_prefix("http://")
            .and_then(|rest| rest.rsplit_once(":7500/?token="))
            .expect("an address with its token");
        assert_eq!(rest.len(), 32);
        let is_other = |ip: IpAddr| !ip.is_loopback() && !ip.is_unspecified();
        let is_reached = host.parse().is_ok_and(is_other);
        assert!(is_reached || host == "<this machine>", "{printed}");
        let named = open.address(SocketAddr::from(([192, 168, 1, 7], 7500)));
        assert!(
            named.starts_with("http://192.168.1.7:7500/?token="),
            "{named}"
        );
    }

    #[test]
    fn hosts_are_known_by_what_dns_cannot_change() {
        let (local, open) = (
            Guard::local(),
            Guard::open("Studio.lan").expect("randomness"),
        );
        for (host, is_local, is_open) in [
            ("localhost:7500", true, true),
            ("127.0.0.1:7500", true, true),
            ("[::1]:7500", true, true),
            ("[::1]", true, true),
            ("localhost", true, true),
            ("192.168.1.7:7500", false, true),
            ("studio.lan:7500", false, true),
            ("evil.example:7500", false, false),
            ("localhost.evil.example", false, false),
            ("127.0.0.1.evil.example:7500", false, false),
            ("", false, false),
        ] {
            assert_eq!(local.knows(name_of(host)), is_local, "{host}");
            assert_eq!(open.knows(name_of(host)), is_open, "{host}");
        }
        let ports = ["studio.lan:7500", "[::1]:81", "[::1]", "localhost"].map(port_of);
        assert_eq!(ports, ["7500", "81", "80", "80"]);
        assert!(is_equal("abc", "abc") && !is_equal("abc", "abd") && !is_equal("abc", "ab"));
        assert_eq!(random().expect("randomness").len(), 32);
    }
}
