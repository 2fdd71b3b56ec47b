//! Which files an input argument means: a file, a directory, a glob.
