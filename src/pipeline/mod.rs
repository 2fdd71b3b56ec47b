//! Joins the stages: one thread each, bounded channels between them.
