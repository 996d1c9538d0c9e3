"""Copy examples to the device: resident, mapped from a file, or generated when needed."""
