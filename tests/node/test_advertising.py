"""(2) What a node says of itself, and what it believes of others."""
