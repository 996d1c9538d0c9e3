"""Users' modules in stacks: checked, then computed by torch's vmap."""
