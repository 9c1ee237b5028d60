"""Joins search, advisors, gate, executor and store; the only room where they meet. The daemon is its only caller."""

from engine.controller.loop import Controller

__all__ = ["Controller"]
