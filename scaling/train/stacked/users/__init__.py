"""Users' modules in stacks: mapped by torch, and checked first."""
