"""A run as a document: one HTML file without anything from the network, and the same as Markdown with its figures."""
