//! A document as the validator walks it: the crate's traits over [`Document`].
//!
//! A node is a reference and an index. Two methods are more than reading, see [`stack`]: `identity`,
//! which the validator asks for whenever it follows a reference that can recur, looks at the stack,
//! and `kind`, which every look at a value goes through, lets the statement be canceled.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{self, NodeIdentity};
use serde_json::Value;

use super::number::Decimal;
use super::{Document, Kind, equality, name_order};
use crate::stack;

/// Values whose text is longer are not copied into an error.
const SHOWN_MAX: usize = 120;

/// The representation of JSON that validators are compiled for.
pub struct Text;

/// One value of a document, or a name on its own (`propertyNames` checks names as strings).
#[derive(Clone, Copy)]
pub enum Node<'a> {
    Value(&'a Document<'a>, u32),
    Name(&'a str),
}

impl<'a> Node<'a> {
    pub(super) fn at(document: &'a Document<'a>, at: u32) -> Node<'a> {
        Node::Value(document, at)
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Node::Value(document, at) => {
                if let Some(watch) = document.watch {
                    watch.look();
                }
                document.tape.nodes[at as usize].kind
            }
            Node::Name(_) => Kind::String,
        }
    }

    /// The text of the value as it was written.
    pub fn source(self) -> &'a str {
        match self {
            Node::Value(document, at) => {
                let entry = &document.tape.nodes[at as usize];
                &document.text[entry.start as usize..entry.end as usize]
            }
            Node::Name(name) => name,
        }
    }

    /// Too long to be shown.
    pub fn is_long(self) -> bool {
        self.source().len() > SHOWN_MAX
    }

    /// The content, of a string.
    pub fn string(self) -> Option<&'a str> {
        match self {
            Node::Name(name) => Some(name),
            Node::Value(document, at) => match self.kind() {
                Kind::String | Kind::Escaped => Some(document.tape.string(document.text, at)),
                _ => None,
            },
        }
    }

    /// The elements, of an array.
    pub fn elements(self) -> Option<Elements<'a>> {
        match (self, self.kind()) {
            (Node::Value(document, at), Kind::Array) => Some(Elements {
                document,
                rest: document.tape.children(at),
            }),
            _ => None,
        }
    }

    /// The members, of an object.
    pub fn members(self) -> Option<Members<'a>> {
        match (self, self.kind()) {
            (Node::Value(document, at), Kind::Object) => Some(Members {
                document,
                rest: document.tape.children(at),
            }),
            _ => None,
        }
    }

    /// The value a JSON pointer leads to.
    pub fn pointer(self, pointer: &str) -> Option<Node<'a>> {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            node = match (node.members(), node.elements()) {
                (Some(members), _) => members.find(&step)?,
                (_, Some(elements)) => {
                    let at = *elements.rest.get(step.parse::<usize>().ok()?)?;
                    Node::Value(elements.document, at)
                }
                _ => return None,
            };
        }
        Some(node)
    }
}

/// Elements of an array, in order.
#[derive(Clone, Copy)]
pub struct Elements<'a> {
    document: &'a Document<'a>,
    rest: &'a [u32],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(Node::Value(self.document, *first))
    }
}

/// Members of an object, in the order of their names.
#[derive(Clone, Copy)]
pub struct Members<'a> {
    document: &'a Document<'a>,
    rest: &'a [u32],
}

impl<'a> Members<'a> {
    /// The value of the member of that name.
    pub fn find(&self, name: &str) -> Option<Node<'a>> {
        let document = self.document;
        let compare = |at: &u32| name_order(document.tape.string(document.text, *at), name);
        let found = self.rest.binary_search_by(compare).ok()?;
        Some(Node::Value(document, self.rest[found] + 1))
    }

    pub(super) fn count(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Node<'a>);

    fn next(&mut self) -> Option<(&'a str, Node<'a>)> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        let name = self.document.tape.string(self.document.text, *first);
        Some((name, Node::Value(self.document, *first + 1)))
    }
}

impl json::Json for Text {
    type Node<'a> = Node<'a>;
    type PreparedKey = String;
    type StringBuffer = String;

    // A lookup bisects, so for a schema with many properties one pass over the members is cheaper.
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut String, string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        buffer.clear();
        buffer.push_str(string);
        f(Node::Name(buffer))
    }
}

impl<'a> json::Node<'a, Text> for Node<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = Decimal<'a>;

    fn as_object(&self) -> Option<Members<'a>> {
        self.members()
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        self.elements()
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.string().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<Decimal<'a>> {
        (self.kind() == Kind::Number).then(|| Decimal::new(self.source()))
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    fn json_type(&self) -> JsonType {
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::True | Kind::False => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String | Kind::Escaped => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equality::equals(*self, expected)
    }

    /// For messages only: equality and uniqueness do not come here. What is too long to be shown
    /// is an ellipsis.
    fn to_value(&self) -> Cow<'a, Value> {
        if let Node::Name(name) = self {
            return Cow::Owned(Value::String((*name).to_owned()));
        }
        if self.is_long() {
            return Cow::Owned(Value::String("…".to_owned()));
        }
        let value = match self.string() {
            Some(string) => Value::String(string.to_owned()),
            None => serde_json::from_str(self.source()).unwrap_or(Value::Null),
        };
        Cow::Owned(value)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        stack::check();
        Some(match self {
            Node::Value(document, at) => {
                NodeIdentity::new(std::ptr::from_ref(&document.tape.nodes[*at as usize]) as usize)
            }
            Node::Name(name) => NodeIdentity::tagged(name.as_ptr() as usize, NAME),
        })
    }
}

/// Tag of names' identities. Their addresses are of another allocation than the nodes', but an
/// empty name has no allocation.
const NAME: u32 = 1;

impl<'a> json::Object<'a, Text> for Members<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.count()
    }

    fn get(&self, key: &String) -> Option<Node<'a>> {
        self.find(key)
    }

    fn members(&self) -> Members<'a> {
        *self
    }
}

impl<'a> json::Array<'a, Text> for Elements<'a> {
    type Node = Node<'a>;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        self.rest.len()
    }

    fn elements(&self) -> Elements<'a> {
        *self
    }

    fn is_unique(&self) -> bool {
        equality::all_distinct(*self)
    }
}
