//! Types that users make: enums and domains.
//!
//! A type has an oid and one for arrays of it. Tables name the oid; what it stands for in a plan is found
//! in the catalog that has the table ([`UserTypes::resolve`]), so that a statement sees the labels of its
//! own snapshot. Nothing here checks a rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Oid, Table};
use crate::error::Result;
use crate::types::enumeration::Declared;
use crate::types::{PgType, enumeration};

/// A type of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserType {
    pub oid: Oid,
    /// Of arrays of it; 0 for a domain, of which there are none.
    pub array_oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub definition: TypeDefinition,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum TypeDefinition {
    /// In the order of their keys.
    Enum(Vec<EnumLabel>),
    Domain(Domain),
}

/// A label of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnumLabel {
    pub oid: Oid,
    pub label: String,
    /// What rows keep of it ([`enumeration`]); it never changes.
    pub key: i64,
}

/// A type with a default and checks of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Another domain, perhaps.
    pub base: Oid,
    pub typmod: i32,
    pub not_null: bool,
    /// An SQL expression, like a column's.
    pub default: Option<String>,
    pub constraints: Vec<DomainConstraint>,
}

/// A check of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainConstraint {
    pub oid: Oid,
    pub name: String,
    /// Over `VALUE`, as an SQL expression.
    pub expression: String,
    /// False while it was added NOT VALID.
    pub validated: bool,
}

/// What a value of a domain has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRules {
    pub name: String,
    pub not_null: bool,
    /// Names and conditions over `VALUE`, those of the domains that it is based on first.
    pub checks: Vec<(String, String)>,
    /// For columns that have none.
    #[serde(skip)]
    pub default: Option<String>,
}

impl UserType {
    pub fn labels(&self) -> Option<&[EnumLabel]> {
        match &self.definition {
            TypeDefinition::Enum(labels) => Some(labels),
            TypeDefinition::Domain(_) => None,
        }
    }

    pub fn domain(&self) -> Option<&Domain> {
        match &self.definition {
            TypeDefinition::Enum(_) => None,
            TypeDefinition::Domain(domain) => Some(domain),
        }
    }

    /// The enum in a plan; `None` for a domain.
    pub fn declare(&self) -> Result<Option<Arc<Declared>>> {
        let Some(labels) = self.labels() else {
            return Ok(None);
        };
        let labels = labels.iter().map(|l| (l.key, l.label.as_str()));
        enumeration::declare(self.oid, self.array_oid, &self.name, labels).map(Some)
    }
}

/// The types of one version of the catalog.
#[derive(Clone, Debug, Default)]
pub struct UserTypes {
    types: BTreeMap<Oid, Arc<UserType>>,
    /// Enums in plans.
    declared: BTreeMap<Oid, Arc<Declared>>,
    /// By the oid of arrays.
    arrays: BTreeMap<Oid, Oid>,
    /// schema → name → type.
    names: BTreeMap<Oid, BTreeMap<String, Oid>>,
}

impl UserTypes {
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<UserType>> {
        self.types.values()
    }

    pub fn get(&self, oid: Oid) -> Option<&Arc<UserType>> {
        self.types.get(&oid)
    }

    /// The type that an oid is of, or of arrays of; true for the latter.
    pub fn find(&self, oid: Oid) -> Option<(&Arc<UserType>, bool)> {
        match (self.types.get(&oid), self.arrays.get(&oid)) {
            (Some(ty), _) => Some((ty, false)),
            (None, Some(of)) => Some((self.types.get(of)?, true)),
            (None, None) => None,
        }
    }

    pub fn named(&self, schema: Oid, name: &str) -> Option<&Arc<UserType>> {
        let oid = self.names.get(&schema)?.get(name)?;
        self.types.get(oid)
    }

    fn enumeration(&self, oid: Oid) -> Option<PgType> {
        let declared = self.declared.get(&oid)?;
        Some(PgType::Enum(declared.ty))
    }

    /// What an oid stands for in a plan: of a domain what it is based on, with its modifier.
    pub fn resolve(&self, oid: Oid) -> Option<(PgType, i32)> {
        let Some((ty, is_array)) = self.find(oid) else {
            return Some((PgType::from_oid(oid)?, -1));
        };
        match (&ty.definition, is_array) {
            (TypeDefinition::Enum(_), false) => Some((self.enumeration(ty.oid)?, -1)),
            (TypeDefinition::Enum(_), true) => Some((self.enumeration(ty.oid)?.array_of(), -1)),
            (TypeDefinition::Domain(domain), _) => {
                let (base, typmod) = self.resolve(domain.base)?;
                // A domain over another has no modifier of its own.
                Some((base, domain.typmod.max(typmod)))
            }
        }
    }

    /// A domain and those that it is based on, the outermost first.
    pub fn domains(&self, oid: Oid) -> Vec<&Arc<UserType>> {
        let mut all = Vec::new();
        let mut next = self.types.get(&oid);
        while let Some(ty) = next
            && let Some(domain) = ty.domain()
        {
            all.push(ty);
            next = self.types.get(&domain.base);
        }
        all
    }

    /// What values of a domain have to be; `None` for what is no domain.
    pub fn rules(&self, oid: Oid) -> Option<Arc<DomainRules>> {
        let domains = self.domains(oid);
        let outermost = domains.first()?;
        let mut rules = DomainRules {
            name: outermost.name.clone(),
            not_null: false,
            checks: Vec::new(),
            default: outermost.domain()?.default.clone(),
        };
        for domain in domains.iter().rev().filter_map(|ty| ty.domain()) {
            rules.not_null |= domain.not_null;
            let mut checks: Vec<_> = domain.constraints.iter().collect();
            checks.sort_by(|a, b| a.name.cmp(&b.name));
            let checks = checks.into_iter();
            let checks = checks.map(|c| (c.name.clone(), c.expression.clone()));
            rules.checks.extend(checks);
        }
        Some(Arc::new(rules))
    }

    /// A check of a domain, by its oid.
    pub fn constraint(&self, oid: Oid) -> Option<(&Arc<UserType>, &DomainConstraint)> {
        self.iter().find_map(|ty| {
            let mut constraints = ty.domain()?.constraints.iter();
            Some((ty, constraints.find(|c| c.oid == oid)?))
        })
    }

    /// The types that are made of one: itself, and domains over it or its arrays.
    pub fn made_of(&self, oid: Oid) -> Vec<Oid> {
        let mut all = vec![oid];
        let mut at = 0;
        while let Some(oid) = all.get(at).copied() {
            at += 1;
            let array = self.types.get(&oid).map_or(0, |ty| ty.array_oid);
            for ty in self.types.values() {
                let base = ty.domain().map(|domain| domain.base);
                if base.is_some_and(|base| base == oid || (base == array && array != 0)) {
                    all.push(ty.oid);
                }
            }
        }
        all
    }

    /// An enum that cannot be declared is none that a plan has.
    pub(super) fn put(&mut self, ty: Arc<UserType>) {
        match ty.declare() {
            Ok(Some(declared)) => _ = self.declared.insert(ty.oid, declared),
            Ok(None) => {}
            Err(error) => tracing::warn!("type {}: {error}", ty.name),
        }
        if ty.array_oid != 0 {
            self.arrays.insert(ty.array_oid, ty.oid);
        }
        let names = self.names.entry(ty.schema).or_default();
        names.insert(ty.name.clone(), ty.oid);
        self.types.insert(ty.oid, ty);
    }

    pub(super) fn remove(&mut self, oid: Oid) -> Option<Arc<UserType>> {
        let ty = self.types.remove(&oid)?;
        self.arrays.remove(&ty.array_oid);
        self.declared.remove(&oid);
        if let Some(names) = self.names.get_mut(&ty.schema) {
            names.remove(&ty.name);
        }
        Some(ty)
    }

    /// Says of a table's columns what their types are; true when that was not known.
    pub(super) fn settle(&self, table: &mut Arc<Table>) -> bool {
        let resolve = |oid| self.find(oid).and_then(|_| self.resolve(oid));
        let mut columns = table.columns.iter();
        let is_settled = columns.all(|column| match resolve(column.type_oid) {
            Some((ty, _)) => {
                column.user_type.as_ref() == Some(&ty)
                    && column.domain == self.rules(column.type_oid)
            }
            None => true,
        });
        if is_settled {
            return false;
        }
        for column in &mut Arc::make_mut(table).columns {
            if let Some((ty, _)) = resolve(column.type_oid) {
                column.user_type = Some(ty);
                column.domain = self.rules(column.type_oid);
            }
        }
        true
    }
}
