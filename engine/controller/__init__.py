"""Joins search, advisors, gate, executor and store; the only room where they meet. The daemon is its only caller."""
