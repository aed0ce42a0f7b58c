//! `[[server.hba]]` of `heliosdb.toml`: who may connect, as it is written there.
//!
//! What a rule means, and which cannot be, is `heliosdb_server`'s.

use heliosdb_server::{AuthMethod, HbaRule};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use toml::Spanned;

use crate::config::line_of;

/// The rules in their order. Until they are located, what stands for the line of each is where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct HbaRules(pub Vec<HbaRule>);

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    r#type: Parsed<heliosdb_server::ConnectionType>,
    #[serde(default = "all")]
    database: Names,
    #[serde(default = "all")]
    user: Names,
    address: Option<Parsed<heliosdb_server::Address>>,
    method: Option<Parsed<heliosdb_server::HbaMethod>>,
}

/// One name, or a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name or a list of names")]
enum Names {
    One(String),
    Many(Vec<String>),
}

fn all() -> Names {
    Names::One("all".to_owned())
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Vec<String> {
        match names {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        }
    }
}

/// A word that is read by its `FromStr`.
struct Parsed<T>(T);

impl<'de, T: std::str::FromStr<Err = String>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Parsed).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for HbaRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HbaRules, D::Error> {
        let written = Vec::<Spanned<Written>>::deserialize(deserializer)?;
        let rules = written.into_iter().map(|rule| {
            let line = rule.span().start;
            let rule = rule.into_inner();
            HbaRule {
                line,
                connection: rule.r#type.0,
                databases: rule.database.into(),
                users: rule.user.into(),
                address: rule.address.map(|address| address.0),
                method: rule.method.map(|method| method.0),
            }
        });
        Ok(HbaRules(rules.collect()))
    }
}

impl HbaRules {
    /// Gives each rule the line that it is in. A line and what is wrong with the rule there, if one cannot be.
    pub(crate) fn locate(&mut self, text: &str, auth: AuthMethod) -> Result<(), (usize, String)> {
        for rule in &mut self.0 {
            rule.line = line_of(text, rule.line);
            rule.check(auth).map_err(|why| (rule.line, why))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use heliosdb_server::{Address, ConnectionType, HbaMethod};

    use crate::config::Config;

    fn error_of(rule: &str) -> String {
        let text = format!("[server]\nmax_connections = 7\n\n[[server.hba]]\n{rule}\n");
        let error = Config::parse(&text, "heliosdb.toml").unwrap_err();
        error.to_string()
    }

    #[test]
    fn rules_are_read_in_their_order() {
        let text = "[[server.hba]]\ntype = \"local\"\nmethod = \"trust\"\n\n\
                    [[server.hba]]\ntype = \"hostssl\"\ndatabase = [\"a\", \"b\"]\nuser = \"ann\"\n\
                    address = \"10.0.0.0/8\"\n";
        let rules = Config::parse(text, "f").unwrap().server.hba.unwrap().0;
        assert_eq!(rules.len(), 2);
        assert_eq!((rules[0].line, rules[1].line), (1, 5));
        assert_eq!(rules[0].connection, ConnectionType::Local);
        assert_eq!(rules[0].databases, ["all"]);
        assert!(matches!(rules[0].method, Some(HbaMethod::Prove(_))));
        assert_eq!(rules[1].databases, ["a", "b"]);
        assert_eq!(rules[1].users, ["ann"]);
        assert!(matches!(
            rules[1].address,
            Some(Address::Network { prefix: 8, .. })
        ));
        assert_eq!(rules[1].method, None);
        let none = Config::parse("[server]\nhba = []\n", "f").unwrap();
        assert_eq!(none.server.hba.unwrap().0, []);
    }

    #[test]
    fn a_wrong_rule_is_told_by_its_line() {
        assert_eq!(
            error_of("type = \"host\"\naddress = \"10.0.0.0/33\""),
            "heliosdb.toml:6: invalid address \"10.0.0.0/33\": a prefix of it has at most 32 bits"
        );
        assert_eq!(
            error_of("type = \"tcp\""),
            "heliosdb.toml:5: unknown type \"tcp\", expected \"local\", \"host\", \"hostssl\" or \"hostnossl\""
        );
        assert_eq!(
            error_of("type = \"host\"\naddress = \"all\"\nmethod = \"trust\""),
            "heliosdb.toml:4: method \"trust\" is allowed for type \"local\" and loopback addresses only"
        );
        assert_eq!(
            error_of("type = \"host\""),
            "heliosdb.toml:4: a rule of type \"host\" needs an address"
        );
        assert!(
            error_of("type = \"local\"\nmethod = \"md5\"").contains(":6: unknown method \"md5\"")
        );
        assert!(error_of("type = \"local\"\nusr = \"a\"").contains("did you mean \"user\"?"));
        assert!(error_of("type = \"local\"\nuser = 7").contains("a name or a list of names"));
        assert!(error_of("method = \"reject\"").contains("missing field `type`"));
    }
}
