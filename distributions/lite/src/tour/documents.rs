//! Step: documents and their JSON Schema.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "JSON documents that keep to a schema",
    play: Play::Script(&[
        Line::Say("A schema has a name; a column is validated with it, inside the transaction that writes:"),
        Line::Run(
            r#"CREATE JSON SCHEMA review AS '{
  "type": "object",
  "required": ["stars", "by"],
  "properties": {
    "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    "by": {"type": "string", "minLength": 1},
    "pros": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}
  }
}'"#,
        ),
        Line::Run(
            "CREATE TABLE review (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partkey integer NOT NULL REFERENCES part,
    doc jsonb NOT NULL VALIDATE USING SCHEMA review
)",
        ),
        Line::Run(
            r#"INSERT INTO review (partkey, doc) VALUES
  (1, '{"stars": 5, "by": "Ada", "pros": ["sturdy", "quiet"]}'),
  (1, '{"stars": 3, "by": "Grace"}'),
  (2, '{"stars": 4, "by": "Edgar", "pros": ["cheap"]}')"#,
        ),
        Line::Say("A document that does not fit is refused, with every place and reason:"),
        Line::Refused(
            "23514",
            r#"INSERT INTO review (partkey, doc) VALUES (2, '{"stars": 9, "pros": ["loud", "loud"]}')"#,
        ),
        Line::Say("The same as a table, for documents that are not in one:"),
        Line::Run(
            r#"SELECT pointer, keyword, message
FROM jsonschema_errors('review', '{"stars": 9, "pros": ["loud", "loud"]}'::jsonb)"#,
        ),
        Line::Run(
            "SELECT p_name, doc->>'by' AS reviewer, (doc->>'stars')::int AS stars, doc->'pros'->>0 AS best
FROM review JOIN part ON p_partkey = partkey ORDER BY id",
        ),
        Line::Say("A schema changes only if all documents that are there fit the new one:"),
        Line::Refused(
            "23514",
            r#"ALTER JSON SCHEMA review AS '{"type": "object", "required": ["stars", "by", "pros"]}'"#,
        ),
        Line::Run(
            r#"ALTER JSON SCHEMA review AS '{
  "type": "object",
  "required": ["stars", "by"],
  "properties": {
    "stars": {"type": "integer", "minimum": 0, "maximum": 5},
    "by": {"type": "string", "minLength": 1}
  }
}'"#,
        ),
    ]),
    next: &[
        Next::Sql("SELECT name, draft, schema FROM jsonschema_list()"),
        Next::Sql(r#"SELECT jsonb_matches_schema('{"type": "array", "maxItems": 2}', '[1, 2, 3]')"#),
        Next::Read("docs/json-schema.md has the rest: drafts, references, NOT VALID."),
    ],
};
