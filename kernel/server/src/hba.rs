//! Who may connect from where, and how they prove who they are: rules in the manner of PostgreSQL's `pg_hba.conf`.
//!
//! The first rule that fits a connection decides; when none does, it is refused. A rule is about a kind of
//! connection, names of databases and roles, and addresses. Without any rules, one method is for all
//! ([`ServerConfig::auth`](crate::ServerConfig)).
//!
//! Whoever is taken at their word must be on this machine: [`HbaRule::check`] holds rules to that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use heliosdb_sql::HbaFileRule;
use heliosdb_sql::error::{SqlError, state};

use crate::auth::AuthMethod;

/// The word for every database, role or address.
const ALL: &str = "all";
const SAME_USER: &str = "sameuser";
const SAME_HOST: &str = "samehost";

/// How a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionType {
    /// By the Unix socket.
    Local,
    /// By the network, with TLS or without.
    Host,
    HostSsl,
    HostNoSsl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    All,
    /// Those of this machine.
    SameHost,
    /// So many leading bits are compared.
    Network {
        ip: IpAddr,
        prefix: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HbaMethod {
    Prove(AuthMethod),
    Reject,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HbaRule {
    /// Where the rule is in the settings file.
    pub line: usize,
    pub connection: ConnectionType,
    /// Names, or `all`, or `sameuser`.
    pub databases: Vec<String>,
    /// Names, or `all`.
    pub users: Vec<String>,
    /// Of every connection by the network, and of no other.
    pub address: Option<Address>,
    /// `None` is what the server asks of all.
    pub method: Option<HbaMethod>,
}

/// What a connection is known by before it has proved anything.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// `None` comes by the Unix socket.
    pub peer: Option<IpAddr>,
    pub is_encrypted: bool,
    pub user: &'a str,
    pub database: &'a str,
}

impl FromStr for ConnectionType {
    type Err = String;

    fn from_str(text: &str) -> Result<ConnectionType, String> {
        match text {
            "local" => Ok(ConnectionType::Local),
            "host" => Ok(ConnectionType::Host),
            "hostssl" => Ok(ConnectionType::HostSsl),
            "hostnossl" => Ok(ConnectionType::HostNoSsl),
            other => Err(format!(
                "unknown type \"{other}\", expected \"local\", \"host\", \"hostssl\" or \"hostnossl\""
            )),
        }
    }
}

impl ConnectionType {
    fn name(self) -> &'static str {
        match self {
            ConnectionType::Local => "local",
            ConnectionType::Host => "host",
            ConnectionType::HostSsl => "hostssl",
            ConnectionType::HostNoSsl => "hostnossl",
        }
    }
}

impl FromStr for HbaMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<HbaMethod, String> {
        match text {
            "scram-sha-256" | "scram" => Ok(HbaMethod::Prove(AuthMethod::Scram)),
            "trust" => Ok(HbaMethod::Prove(AuthMethod::Trust)),
            "reject" => Ok(HbaMethod::Reject),
            other => Err(format!(
                "unknown method \"{other}\", expected \"scram-sha-256\", \"trust\" or \"reject\""
            )),
        }
    }
}

impl HbaMethod {
    fn name(self) -> &'static str {
        match self {
            HbaMethod::Prove(AuthMethod::Scram) => "scram-sha-256",
            HbaMethod::Prove(AuthMethod::Trust) => "trust",
            HbaMethod::Reject => "reject",
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text {
            ALL => return Ok(Address::All),
            SAME_HOST => return Ok(Address::SameHost),
            _ => {}
        }
        let invalid = || {
            format!(
                "invalid address \"{text}\", expected an IP address, a network such as \"10.0.0.0/8\", \"samehost\" or \"all\""
            )
        };
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| invalid())?;
        if ip.to_canonical() != ip {
            // Its clients are taken for those of IPv4, which such a rule would not fit.
            return Err(format!(
                "invalid address \"{text}\": write it as one of IPv4"
            ));
        }
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // No sign and no blank, which parse() of a number would take.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| invalid())?
            }
            Some(_) => return Err(invalid()),
            None => width,
        };
        if prefix > width {
            return Err(format!(
                "invalid address \"{text}\": a prefix of it has at most {width} bits"
            ));
        }
        let network = Address::Network { ip, prefix };
        if bits(ip) & !mask(ip, prefix) != 0 {
            return Err(format!(
                "invalid address \"{text}\": bits are set after the first {prefix}; the network is \"{network}\""
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::All => f.write_str(ALL),
            Address::SameHost => f.write_str(SAME_HOST),
            Address::Network { ip, prefix } => {
                let network = of_bits(*ip, bits(*ip) & mask(*ip, *prefix));
                write!(f, "{network}/{prefix}")
            }
        }
    }
}

impl Address {
    fn holds(self, peer: IpAddr) -> bool {
        match self {
            Address::All => true,
            Address::SameHost => is_own(peer),
            Address::Network { ip, prefix } => {
                ip.is_ipv4() == peer.is_ipv4() && (bits(ip) ^ bits(peer)) & mask(ip, prefix) == 0
            }
        }
    }

    /// Whether only this machine can have such an address.
    fn is_loopback(self) -> bool {
        match self {
            Address::All | Address::SameHost => false,
            Address::Network { ip, prefix } => match ip {
                IpAddr::V4(v4) => v4.is_loopback() && prefix >= 8,
                IpAddr::V6(v6) => v6.is_loopback() && prefix == 128,
            },
        }
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn of_bits(like: IpAddr, bits: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(bits as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(bits).into(),
    }
}

/// The leading bits of an address of this kind.
fn mask(like: IpAddr, prefix: u8) -> u128 {
    let width: u32 = if like.is_ipv4() { 32 } else { 128 };
    let all = u128::MAX >> (128 - width);
    match width.saturating_sub(prefix.into()) {
        128 => 0,
        free => (all >> free) << free,
    }
}

/// Whether an interface of this machine has the address. When they cannot be told, none has.
fn is_own(peer: IpAddr) -> bool {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "the addresses of this machine cannot be told");
            return false;
        }
    };
    interfaces.filter_map(|i| i.address).any(|address| {
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        let v6 = address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip()));
        v4.or(v6) == Some(peer)
    })
}

impl HbaRule {
    /// Why it cannot be a rule, where `auth` is the method of rules that have none.
    pub fn check(&self, auth: AuthMethod) -> Result<(), String> {
        let local = self.connection == ConnectionType::Local;
        match self.address {
            Some(_) if local => {
                return Err("a rule of type \"local\" has no address".to_owned());
            }
            None if !local => {
                return Err(format!(
                    "a rule of type \"{}\" needs an address",
                    self.connection.name()
                ));
            }
            _ => {}
        }
        check_names(
            "database",
            &self.databases,
            &["samerole", "samegroup", "replication"],
        )?;
        if let Some(name) = self.databases.iter().find(|name| name.contains('/')) {
            return Err(format!(
                "\"{name}\" is no database: rules for a database are for all of its branches"
            ));
        }
        check_names("user", &self.users, &[])?;
        let trusts = self.method(auth) == HbaMethod::Prove(AuthMethod::Trust);
        if trusts && !self.address.is_none_or(Address::is_loopback) {
            return Err(
                "method \"trust\" is allowed for type \"local\" and loopback addresses only"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn method(&self, auth: AuthMethod) -> HbaMethod {
        self.method.unwrap_or(HbaMethod::Prove(auth))
    }

    fn fits(&self, candidate: &Candidate<'_>) -> bool {
        let connects = match (self.connection, candidate.peer) {
            (ConnectionType::Local, peer) => peer.is_none(),
            (_, None) => false,
            (ConnectionType::Host, _) => true,
            (ConnectionType::HostSsl, _) => candidate.is_encrypted,
            (ConnectionType::HostNoSsl, _) => !candidate.is_encrypted,
        };
        connects
            && self.databases.iter().any(|name| {
                name == ALL
                    || name == candidate.database
                    || (name == SAME_USER && candidate.user == candidate.database)
            })
            && self
                .users
                .iter()
                .any(|name| name == ALL || name == candidate.user)
            && match (self.address, candidate.peer) {
                (Some(address), Some(peer)) => address.holds(peer),
                _ => true,
            }
    }

    /// As `pg_hba_file_rules` shows it.
    pub(crate) fn row(&self, auth: AuthMethod) -> HbaFileRule {
        let (address, netmask) = match self.address {
            Some(Address::Network { ip, prefix }) => (
                Some(ip.to_string()),
                Some(of_bits(ip, mask(ip, prefix)).to_string()),
            ),
            Some(word) => (Some(word.to_string()), None),
            None => (None, None),
        };
        HbaFileRule {
            line: i32::try_from(self.line).unwrap_or(i32::MAX),
            connection: self.connection.name(),
            databases: self.databases.clone(),
            users: self.users.clone(),
            address,
            netmask,
            method: self.method(auth).name(),
        }
    }
}

/// Refuses names that mean more in `pg_hba.conf` than they would here.
fn check_names(what: &str, names: &[String], words: &[&str]) -> Result<(), String> {
    if names.is_empty() {
        return Err(format!("a rule without a {what} fits nobody"));
    }
    for name in names {
        if name.is_empty() {
            return Err(format!("the name of a {what} is empty"));
        }
        if words.contains(&name.as_str()) || name.starts_with(['+', '@', '/']) {
            return Err(format!(
                "{what} \"{name}\" is not supported: a rule has names, or \"all\""
            ));
        }
    }
    Ok(())
}

/// How the client is to prove who it is, by the first rule that fits; 28000 if it may not.
pub fn method(
    rules: &[HbaRule],
    auth: AuthMethod,
    candidate: &Candidate<'_>,
) -> Result<AuthMethod, SqlError> {
    // A client of IPv4 on a socket of IPv6 is one of IPv4.
    let candidate = Candidate {
        peer: candidate.peer.map(|ip| ip.to_canonical()),
        ..*candidate
    };
    let refused = |words: &str| {
        let host = candidate.peer.map(|ip| ip.to_string());
        let host = host.as_deref().unwrap_or("[local]");
        let (user, database) = (candidate.user, candidate.database);
        let encryption = match candidate.is_encrypted {
            true => "SSL encryption",
            false => "no encryption",
        };
        SqlError::new(
            state::INVALID_AUTHORIZATION_SPECIFICATION,
            format!(
                "{words} for host \"{host}\", user \"{user}\", database \"{database}\", {encryption}"
            ),
        )
    };
    let rule = rules.iter().find(|rule| rule.fits(&candidate));
    match rule.map(|rule| rule.method(auth)) {
        Some(HbaMethod::Prove(method)) => Ok(method),
        Some(HbaMethod::Reject) => Err(refused("heliosdb.toml rejects connection")),
        None => Err(refused("no heliosdb.toml entry")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(connection: &str, address: &str, method: &str) -> HbaRule {
        HbaRule {
            line: 1,
            connection: connection.parse().unwrap(),
            databases: vec![ALL.to_owned()],
            users: vec![ALL.to_owned()],
            address: (!address.is_empty()).then(|| address.parse().unwrap()),
            method: (!method.is_empty()).then(|| method.parse().unwrap()),
        }
    }

    fn ask(rules: &[HbaRule], peer: &str, is_encrypted: bool) -> Result<AuthMethod, String> {
        let candidate = Candidate {
            peer: (!peer.is_empty()).then(|| peer.parse().unwrap()),
            is_encrypted,
            user: "ann",
            database: "shop",
        };
        method(rules, AuthMethod::Scram, &candidate).map_err(|e| e.message)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [
            rule("local", "", "trust"),
            rule("host", "10.1.0.0/16", "reject"),
            rule("hostnossl", "10.2.0.0/16", "reject"),
            rule("hostssl", "10.0.0.0/8", "scram-sha-256"),
            rule("host", "127.0.0.0/8", "trust"),
            rule("host", "2001:db8::/33", ""),
        ];
        assert_eq!(ask(&rules, "", false), Ok(AuthMethod::Trust));
        assert_eq!(ask(&rules, "127.3.4.5", false), Ok(AuthMethod::Trust));
        assert_eq!(
            ask(&rules, "::ffff:127.0.0.1", false),
            Ok(AuthMethod::Trust)
        );
        assert_eq!(ask(&rules, "10.3.0.1", true), Ok(AuthMethod::Scram));
        assert_eq!(
            ask(&rules, "2001:db8:7fff::1", false),
            Ok(AuthMethod::Scram)
        );
        assert_eq!(
            ask(&rules, "10.1.2.3", true).unwrap_err(),
            "heliosdb.toml rejects connection for host \"10.1.2.3\", user \"ann\", database \"shop\", SSL encryption"
        );
        for peer in ["10.3.0.1", "11.0.0.1", "2001:db8:8000::1", "::1"] {
            assert_eq!(
                ask(&rules, peer, false).unwrap_err(),
                format!(
                    "no heliosdb.toml entry for host \"{peer}\", user \"ann\", database \"shop\", no encryption"
                )
            );
        }
        assert!(
            ask(&rules, "10.2.0.1", false)
                .unwrap_err()
                .contains("rejects")
        );
        assert_eq!(
            ask(&rules[1..], "", false).unwrap_err(),
            "no heliosdb.toml entry for host \"[local]\", user \"ann\", database \"shop\", no encryption"
        );
    }

    #[test]
    fn names_are_of_databases_and_roles() {
        let of = |databases: &[&str], users: &[&str]| HbaRule {
            databases: databases.iter().map(|s| (*s).to_owned()).collect(),
            users: users.iter().map(|s| (*s).to_owned()).collect(),
            ..rule("host", "all", "")
        };
        let fits = |rule: &HbaRule, user, database| {
            rule.fits(&Candidate {
                peer: Some("10.0.0.1".parse().unwrap()),
                is_encrypted: false,
                user,
                database,
            })
        };
        let named = of(&["shop", "stock"], &["ann", "bob"]);
        assert!(fits(&named, "bob", "shop"));
        assert!(!fits(&named, "bob", "Shop") && !fits(&named, "eve", "shop"));
        let same = of(&["sameuser"], &["all"]);
        assert!(fits(&same, "ann", "ann") && !fits(&same, "ann", "shop"));
        for (databases, users) in [
            (&["replication"][..], &["all"][..]),
            (&["all"], &["+staff"]),
            (&["/^s"], &["all"]),
            (&[], &["all"]),
            (&["all"], &[""]),
        ] {
            assert!(of(databases, users).check(AuthMethod::Scram).is_err());
        }
    }

    #[test]
    fn addresses_are_networks() {
        for (text, near) in [
            ("10.0.0.1/8", "the network is \"10.0.0.0/8\""),
            ("10.0.0.0/33", "at most 32 bits"),
            ("::/129", "at most 128 bits"),
            ("10.0.0.0/+8", "expected an IP address"),
            ("10.0.0", "expected an IP address"),
            ("example.org", "expected an IP address"),
            ("::ffff:10.0.0.1", "as one of IPv4"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(near), "{error}");
        }
        let any: Address = "0.0.0.0/0".parse().unwrap();
        assert!(any.holds("203.0.113.9".parse().unwrap()) && !any.holds("::1".parse().unwrap()));
        let any: Address = "::/0".parse().unwrap();
        assert!(any.holds("2001:db8::1".parse().unwrap()));
        let own: Address = "samehost".parse().unwrap();
        assert!(own.holds("127.0.0.1".parse().unwrap()));
        assert!(!own.holds("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn nobody_from_elsewhere_is_trusted() {
        for (connection, address) in [
            ("host", "all"),
            ("host", "samehost"),
            // The network that 127.0.0.0 would be in.
            ("host", "126.0.0.0/7"),
            ("hostssl", "10.0.0.0/8"),
            ("host", "::/127"),
        ] {
            let explicit = rule(connection, address, "trust").check(AuthMethod::Scram);
            assert!(explicit.unwrap_err().contains("loopback"));
            let implied = rule(connection, address, "").check(AuthMethod::Trust);
            assert!(implied.unwrap_err().contains("loopback"));
        }
        for (connection, address) in [
            ("local", ""),
            ("host", "127.0.0.1"),
            ("hostnossl", "127.0.0.0/8"),
            ("host", "::1/128"),
        ] {
            assert_eq!(
                rule(connection, address, "trust").check(AuthMethod::Scram),
                Ok(())
            );
        }
        assert!(rule("local", "all", "").check(AuthMethod::Scram).is_err());
        assert!(rule("host", "", "").check(AuthMethod::Scram).is_err());
    }
}
