"""Verbs beside sweeps: what a machine has, what models cost there, schemas for editors."""
