//! Secrets that a file's own notation gives away: password files, SQL, tables, Kubernetes objects.

mod hashes;
mod kubernetes;
mod notations;
mod printed;
mod sql;
mod table;

pub(crate) use hashes::{DUMPS, HASHES, dump_rule, hash_rule};
pub(crate) use kubernetes::{kube_document_rule, kube_json_rule, kube_secret_rule};
pub(crate) use notations::{NOTATIONS, notation_rule, pgpass_rule};
pub(crate) use printed::{PRINTERS, printed_rule};
pub(crate) use sql::{insert_rule, sql_rule};
pub(crate) use table::{COLUMNS, table_rule};
