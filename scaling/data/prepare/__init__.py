"""From images as they are distributed to arrays that training reads."""
