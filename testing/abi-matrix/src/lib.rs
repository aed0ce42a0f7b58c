//! Old and hostile builds in the present host.
