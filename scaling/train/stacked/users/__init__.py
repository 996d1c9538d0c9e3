"""Modules of users in stacks: mapped by torch, and tried before that."""
