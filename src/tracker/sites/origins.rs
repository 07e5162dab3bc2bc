//! How many peers are known from each origin.
